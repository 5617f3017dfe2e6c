"""What is wrong with photos of a source: gathered and counted, or the end of the import, as the policy says."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

from training.sources.errors import BadPhotoError

OnBad = Literal["skip", "stop"]


@dataclass(frozen=True, slots=True)
class Problem:
    """One photo and what is wrong with it.

    Attributes:
        photo: Its name in the source.
        reason: Why, in a few fixed words.
        detail: What was read.
        left_out: Whether the photo is missing from the dataset; if not, only the faulty part of what is known of it is.
    """

    photo: str
    reason: str
    detail: str = ""
    left_out: bool = True


@dataclass(slots=True)
class Problems:
    """All problems of one import."""

    on_bad: OnBad
    found: list[Problem] = field(default_factory=list)

    def add(self, problem: Problem) -> None:
        """Notes a problem.

        Raises:
            BadPhotoError: The policy is to stop at the first one.
        """
        if self.on_bad == "stop":
            raise BadPhotoError(problem.photo, reason=problem.reason, detail=problem.detail)
        self.found.append(problem)

    def skipped(self) -> dict[str, int]:
        """Returns the photos left out, by reason."""
        return dict(Counter(each.reason for each in self.found if each.left_out))
