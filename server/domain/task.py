"""A task: one product's taxonomy, an ordered tuple of heads. Immutable, and checked when made."""

import enum
import re
from dataclasses import dataclass

from server.domain.errors import UnknownHeadError

_IDENTIFIER = re.compile(r"[a-z][a-z0-9_]{0,62}")


class HeadKind(enum.Enum):
    """How the labels of a head relate to each other."""

    CATEGORY = "category"
    """The labels exclude each other: exactly one is right."""

    ATTRIBUTES = "attributes"
    """The labels are independent: each is present or not."""


@dataclass(frozen=True, slots=True)
class Head:
    """One question about a photo.

    Attributes:
        id: Lower snake case, unique within the task; also the name of the engine's output.
        title: What people read.
        kind: How the labels relate.
        labels: Ordered as in the engine's output; at least two for a category, one for attributes.
    """

    id: str
    title: str
    kind: HeadKind
    labels: tuple[str, ...]

    def __post_init__(self) -> None:
        """Raises ValueError for an id, or labels, that no engine could answer."""
        if not _IDENTIFIER.fullmatch(self.id):
            raise ValueError(f"head id {self.id!r} is not lower snake case")
        if len(set(self.labels)) != len(self.labels):
            raise ValueError(f"head {self.id} has a label twice")
        if len(self.labels) < (2 if self.kind is HeadKind.CATEGORY else 1):
            raise ValueError(f"head {self.id} has too few labels")


@dataclass(frozen=True, slots=True)
class Task:
    """An ordered tuple of heads, and which of them decide.

    Attributes:
        id: Lower snake case, e.g. `cannabis`.
        title: What people read.
        heads: In the order of answers.
        decision_heads: Ids of the category heads that must be sure before the cascade may stop; at least one.
    """

    id: str
    title: str
    heads: tuple[Head, ...]
    decision_heads: tuple[str, ...]

    def __post_init__(self) -> None:
        """Raises ValueError if ids repeat or a decision head is not a category head of the task."""
        if not _IDENTIFIER.fullmatch(self.id):
            raise ValueError(f"task id {self.id!r} is not lower snake case")
        ids = self.head_ids
        if len(set(ids)) != len(ids):
            raise ValueError(f"task {self.id} has a head twice")
        categories = {head.id for head in self.heads if head.kind is HeadKind.CATEGORY}
        strangers = [each for each in self.decision_heads if each not in categories]
        if strangers or not self.decision_heads:
            raise ValueError(f"task {self.id}: decision heads must be category heads, got {self.decision_heads}")

    @property
    def head_ids(self) -> tuple[str, ...]:
        """The ids of all heads, in order."""
        return tuple(head.id for head in self.heads)

    def head(self, head_id: str) -> Head:
        """Returns the head of this id.

        Raises:
            UnknownHeadError: The task has no such head.
        """
        for head in self.heads:
            if head.id == head_id:
                return head
        raise UnknownHeadError(head_id, known=self.head_ids)
