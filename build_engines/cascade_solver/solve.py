"""The solver: from evidence and a promise to thresholds."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from build_engines.cascade_solver.comparators import compare
from build_engines.cascade_solver.evidence import CascadeEvidence, CascadeEvidenceError
from build_engines.cascade_solver.exit_policy import ExitPolicy, bypass
from build_engines.cascade_solver.frontier import FrontierPoint, find_frontier, thin
from build_engines.cascade_solver.promise import Promise, SelectivePromise
from build_engines.cascade_solver.sequence import ProofMethod, TriedPolicy, try_in_sequence
from build_engines.cascade_solver.solution import (
    Basis,
    CascadeSolution,
    exit_shares,
    expected_cost,
    measure_policy,
)


@dataclass(frozen=True, slots=True)
class SolverOptions:
    """How a cascade is solved.

    Attributes:
        policies_per_tier: The size of the grid of one tier, over all its heads; at least 4. The finer, the closer the
            test can go to the limit.
        tried_policies: The most policies that are put to the test; at least 2.
        may_skip: Whether a tier may be left out. Fused answers need every tier: there none is.
        method: How policies are tested.
        seed: Draws one item a group where the test wants that.
    """

    policies_per_tier: int = 625
    tried_policies: int = 100
    may_skip: bool = True
    method: ProofMethod = ProofMethod.EXACT
    seed: int = 0

    def __post_init__(self) -> None:
        """Raises ValueError for a number out of range."""
        if self.policies_per_tier < 4 or self.tried_policies < 2:  # noqa: PLR2004  # two levels for each of two heads
            raise ValueError("a grid needs at least 4 policies a tier, and a sequence at least 2")


def solve_cascade(
    evidence: CascadeEvidence, promise: Promise, *, options: SolverOptions | None = None
) -> CascadeSolution:
    """Finds the cheapest thresholds that keep a promise with probability 1 - delta.

    *frontier* gives the candidates and their order; *test* only says how far down that order one may go. If not even
    the first candidate passes, everything goes to the strongest tier. The promise speaks of the mean over groups
    (specimens): a group counts once, however many photos it has.

    Args:
        evidence: Answers of all tiers in both parts. Items without all labels are left out if the promise needs labels:
            that is sound where labels are missing by chance.
        promise: What to keep.
        options: How; the defaults if None.

    Raises:
        CascadeEvidenceError: A part has no item that the promise can use.
    """
    options = options or SolverOptions()
    usable = evidence.select(evidence.is_labelled) if promise.needs_labels else evidence
    frontier_part, test_part = usable.select(~usable.is_test), usable.select(usable.is_test)
    _require_items(frontier_part, test_part, promise)
    if options.method is ProofMethod.EXACT:
        test_part = _one_item_a_group(test_part, np.random.default_rng(options.seed))
    points = _candidates(frontier_part, promise, options)
    tested = try_in_sequence(points, test_part, promise, method=options.method)
    labels = len(frontier_part.groups) + len(test_part.groups) if promise.needs_labels else 0
    return _describe(
        evidence, promise, options, points, tested, labels=labels, counts=_counts(frontier_part, test_part)
    )


def _require_items(frontier_part: CascadeEvidence, test_part: CascadeEvidence, promise: Promise) -> None:
    what = "labelled item" if promise.needs_labels else "item"
    findings = [
        f"the {name} part has no {what}"
        for name, part in (("frontier", frontier_part), ("test", test_part))
        if not len(part.groups)
    ]
    if findings:
        raise CascadeEvidenceError(*findings)


def _counts(frontier_part: CascadeEvidence, test_part: CascadeEvidence) -> tuple[int, int]:
    return len(frontier_part.groups), len(np.unique(test_part.groups))


def _one_item_a_group(evidence: CascadeEvidence, random: np.random.Generator) -> CascadeEvidence:
    """Returns one item of each group, drawn at random, in the order of the groups' numbers."""
    shuffled = random.permutation(len(evidence.groups))
    _, first = np.unique(evidence.groups[shuffled], return_index=True)
    return evidence.select(shuffled[first])


def _candidates(frontier_part: CascadeEvidence, promise: Promise, options: SolverOptions) -> tuple[FrontierPoint, ...]:
    """Returns what is worth a test, safest first: nothing as expensive as the strongest tier, which is always there."""
    found = find_frontier(
        frontier_part,
        promise,
        policies_per_tier=options.policies_per_tier,
        may_skip=options.may_skip and frontier_part.unfused is None,
    )
    if not isinstance(promise, SelectivePromise):
        strongest_ms = frontier_part.entry_ms + frontier_part.costs_ms[-1]
        found = tuple(each for each in found if each.cost_ms < strongest_ms)
    return tuple(found[each] for each in thin(np.arange(len(found)), options.tried_policies))


def _describe(
    evidence: CascadeEvidence,
    promise: Promise,
    options: SolverOptions,
    points: Sequence[FrontierPoint],
    tested: Sequence[TriedPolicy],
    *,
    labels: int,
    counts: tuple[int, int],
) -> CascadeSolution:
    passed = [each for each in tested if each.passed]
    policy, basis = _choose(evidence, promise, passed)
    test_part = evidence.select(evidence.is_test)
    labelled = test_part.select(test_part.is_labelled)
    unanswered_cost_ms = promise.unanswered_cost_ms if isinstance(promise, SelectivePromise) else 0.0
    cost_ms = expected_cost(policy, test_part, unanswered_cost_ms=unanswered_cost_ms)
    return CascadeSolution(
        promise=promise,
        basis=basis,
        method=options.method,
        tiers=evidence.tiers,
        heads=evidence.heads,
        policy=policy,
        labels_used=labels,
        frontier_items=counts[0],
        test_items=counts[1],
        tested=tuple(tested),
        cost_ms=cost_ms,
        exit_shares=exit_shares(policy, test_part),
        measured=measure_policy("cascade", policy, test_part if passed else test_part.own, promise),
        frontier=tuple(
            measure_policy(f"candidate {number}", each.policy, test_part, promise)
            for number, each in enumerate(points, start=1)
        ),
        comparators=compare(labelled.own, promise, cost_ms=cost_ms.mean) if len(labelled.groups) else (),
    )


def _choose(evidence: CascadeEvidence, promise: Promise, passed: Sequence[TriedPolicy]) -> tuple[ExitPolicy, Basis]:
    if passed:
        return passed[-1].point.policy, Basis.TESTED
    return bypass(evidence), Basis.NONE if isinstance(promise, SelectivePromise) else Basis.BYPASS
