"""What a solved cascade promises, on what grounds, and what more labels would buy."""

from dataclasses import dataclass

from build_engines.cascade_solver import Basis, CascadeSolution, PromiseKind, kind_of, labels_needed

TIGHTER = (0.75, 0.5)
"""Shares of epsilon for which the report says how many labels they would take."""


@dataclass(frozen=True, slots=True)
class LabelNeedFact:
    """How many labels a tighter promise would take.

    Attributes:
        epsilon: The tighter promise.
        labels: In all parts of val_calib; None if no policy that was looked at would keep it.
        cost_ms: Of an inspection, then.
    """

    epsilon: float
    labels: int | None
    cost_ms: float | None


@dataclass(frozen=True, slots=True)
class PromiseFacts:
    """What a cascade promises, and on what grounds.

    Attributes:
        kind: What the promise is about.
        epsilon: What each decision head keeps to: how far below the strongest tier, how often otherwise than it, or
            how often wrong.
        delta: With probability `1 - delta` over all of them.
        basis: Whether the thresholds passed their test.
        method: Of the test.
        p_values: By decision head, of the thresholds.
        labels_used: Labelled photos that the promise rests on.
        test_specimens: Independent ones that it was tested on.
        tried: Policies that were put to the test.
        cost_ms: The expected milliseconds of an inspection.
        exit_shares: By tier, on *test*; what is missing from 1 is not answered with the promise.
        needs: For tighter promises.
    """

    kind: PromiseKind
    epsilon: float
    delta: float
    basis: Basis
    method: str
    p_values: dict[str, float]
    labels_used: int
    test_specimens: int
    tried: int
    cost_ms: float
    exit_shares: dict[str, float]
    needs: tuple[LabelNeedFact, ...]

    @property
    def wording(self) -> str:
        """What is promised, as people read it."""
        limit = f"at most {self.epsilon * 100:g}%"
        what = {
            PromiseKind.GAP: f"accuracy is {limit} below the strongest tier",
            PromiseKind.DISAGREEMENT: f"{limit} of the answers differ from the strongest tier's",
            PromiseKind.SELECTIVE: f"{limit} of the answers that were sure enough are wrong",
        }
        return f"For each decision head, {what[self.kind]}, with probability {1 - self.delta:.0%} over all of them."


def promise_facts(solution: CascadeSolution) -> PromiseFacts:
    """Returns what a solution promises, and what a tighter promise would take."""
    promise = solution.promise
    needs = []
    for epsilon in (share * promise.limit for share in TIGHTER):
        found = min(labels_needed(solution, epsilon), key=lambda each: each.labels, default=None)
        needs.append(
            LabelNeedFact(epsilon, None, None) if found is None else LabelNeedFact(epsilon, found.labels, found.cost_ms)
        )
    return PromiseFacts(
        kind=kind_of(promise),
        epsilon=promise.limit,
        delta=promise.delta,
        basis=solution.basis,
        method=solution.method.value,
        p_values=solution.p_values,
        labels_used=solution.labels_used,
        test_specimens=solution.test_items,
        tried=len(solution.tested),
        cost_ms=solution.cost_ms.mean,
        exit_shares=dict(solution.exit_shares),
        needs=tuple(needs),
    )
