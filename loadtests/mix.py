"""Which request leaves when: drawn from the plan's shares by the seed and the request's number alone."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np

from loadtests.photo_kinds import UNDECODABLE
from loadtests.plan import LoadPlan, RequestKind
from loadtests.served import ServedTask


@dataclass(frozen=True, slots=True)
class DrawnRequest:
    """What one request will say.

    Attributes:
        number: Its place in the order of arrivals, from 0.
        photo_kind: What is made of the photo.
        kind: Its kind.
        max_tier: The strongest tier that may run; empty for no limit.
        heads: The heads that it asks for; all if empty.
    """

    number: int
    photo_kind: str
    kind: RequestKind
    max_tier: str
    heads: tuple[str, ...]

    @property
    def is_answerable(self) -> bool:
        """Whether an answer is right; else a refusal is."""
        return self.photo_kind != UNDECODABLE

    @property
    def deadline_s(self) -> float | None:
        """The time allowed, in seconds; None for as long as the server allows."""
        return None if self.kind.deadline_ms is None else self.kind.deadline_ms / 1e3


class Mix:
    """Draws requests; the same number gives the same request, whoever sends it and whenever."""

    def __init__(self, plan: LoadPlan, task: ServedTask) -> None:
        """Draws by the plan's shares among what the task serves."""
        self._seed = plan.arrivals.seed
        self._photo_kinds = tuple(plan.photos)
        self._photo_edges = _edges(list(plan.photos.values()))
        self._kinds = plan.requests
        self._kind_edges = _edges([each.share for each in plan.requests])
        tiers = [each.id for each in task.tiers]
        self._weaker_tiers = tiers[:-1] or tiers
        self._heads = task.heads

    def draw(self, number: int) -> DrawnRequest:
        """Returns the request with this number, from 0."""
        random = np.random.default_rng((self._seed, number))
        photo_kind = self._photo_kinds[_place(self._photo_edges, random.random())]
        kind = self._kinds[_place(self._kind_edges, random.random())]
        max_tier = self._weaker_tiers[random.integers(len(self._weaker_tiers))] if kind.below_strongest else ""
        return DrawnRequest(number, photo_kind, kind, max_tier, self._draw_heads(kind, random))

    def _draw_heads(self, kind: RequestKind, random: np.random.Generator) -> tuple[str, ...]:
        if kind.head_count is None:
            return ()
        count = min(kind.head_count, len(self._heads))
        return tuple(self._heads[each] for each in sorted(random.choice(len(self._heads), count, replace=False)))


def _edges(shares: Sequence[float]) -> list[float]:
    """Returns where each share ends on the way from 0 to 1."""
    return list(accumulate(shares))


def _place(edges: Sequence[float], drawn: float) -> int:
    """Returns which share a number in [0, 1) falls into."""
    return min(bisect_right(edges, drawn), len(edges) - 1)
