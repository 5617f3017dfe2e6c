"""What a cascade is worth against its tiers, on val_test: accuracy, cost, and what it promises."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from build_engines.cascade import SolvedCascade
from build_engines.cascade_solver import (
    CascadeEvidence,
    Estimate,
    MeasuredPolicy,
    Promise,
    PromiseKind,
    evidence_from_answers,
)
from build_engines.cascade_solver.comparators import FIXED_RULE, compare
from build_engines.checkpoint import HeldOutPhotos
from build_engines.costs import TierCosts
from build_engines.evidence import is_sure
from build_engines.plan import ReleasePlan
from build_engines.promise_facts import PromiseFacts
from build_engines.served_outputs import ServedOutputs
from build_engines.share import share_of
from server.domain.calibration.probability import softmax

CASCADE = "cascade"
"""The way to answer that is no single tier."""

DoubleArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class CascadeMetrics:
    """The cascade against its tiers, on val_test.

    Attributes:
        cost_ms: Of an inspection.
        accuracies: By way to answer (each tier alone by its id, and `cascade`) and decision head.
        steps: By `<tier> - <tier before>` and decision head, what a stronger tier adds.
        gaps: By decision head, the strongest tier's accuracy minus the cascade's.
        losses: By decision head, what counts against the promise, of the answers that it covers.
        covered: The share of answers that the promise covers.
        comparators: Single tiers, a random mix, the fixed rule and the oracle.
        fixed_on_raw: The fixed rule on the engines' own confidences, which nobody calibrated.
    """

    cost_ms: Estimate
    accuracies: dict[str, dict[str, Estimate]]
    steps: dict[str, dict[str, Estimate]]
    gaps: dict[str, Estimate]
    losses: dict[str, Estimate]
    covered: Estimate
    comparators: tuple[MeasuredPolicy, ...]
    fixed_on_raw: MeasuredPolicy


def measure_cascade(
    plan: ReleasePlan,
    solved: SolvedCascade,
    facts: PromiseFacts,
    evidence: CascadeEvidence,
    stops: npt.NDArray[np.int64],
    outputs: Sequence[ServedOutputs],
    photos: HeldOutPhotos,
) -> CascadeMetrics:
    """Measures a cascade against its tiers, on val_test.

    Args:
        plan: What is being built.
        solved: The cascade.
        facts: Its promise.
        evidence: What each tier says of each photo.
        stops: [photo_count] int64. The tier at which each photo stops, by its place.
        outputs: One a tier, on the photos.
        photos: With their labels.
    """
    heads, tiers, groups = plan.task.decision_heads, plan.tier_ids, photos.groups
    known = evidence.is_labelled
    right = evidence.own.right.astype(np.float64)
    own = np.take_along_axis(evidence.right.astype(np.float64), stops[None, None, :], axis=0)[0]
    ways = {**dict(zip(tiers, right, strict=True)), CASCADE: own}
    spent = np.array([solved.costs.next_ms[tier] * _runs(plan, solved, tier) for tier in tiers]).cumsum()
    paid = solved.costs.entry_ms + spent[stops]
    cost = share_of(paid, groups)

    def by_head(values: DoubleArray) -> dict[str, Estimate]:
        return {head: share_of(each[known], groups[known]) for head, each in zip(heads, values, strict=True)}

    labelled, promise = evidence.select(known), plan.promise
    covered = np.ones(len(groups), dtype=bool)
    if facts.kind is PromiseKind.SELECTIVE:
        covered = is_sure(plan.task, solved.thresholds, evidence)
    raw = _raw_evidence(plan, outputs, photos, solved.costs).select(known)
    return CascadeMetrics(
        cost_ms=cost,
        accuracies={way: by_head(each) for way, each in ways.items()},
        steps={
            f"{second} - {first}": by_head(ways[second] - ways[first]) for first, second in itertools.pairwise(tiers)
        },
        gaps=by_head(right[-1] - own),
        losses=_losses(promise, evidence, stops, covered & known if promise.needs_labels else covered, heads),
        covered=share_of(covered, groups),
        comparators=compare(labelled.own, promise, cost_ms=cost.mean),
        fixed_on_raw=next(each for each in compare(raw, promise, cost_ms=cost.mean) if each.name == FIXED_RULE),
    )


def _losses(
    promise: Promise,
    evidence: CascadeEvidence,
    stops: npt.NDArray[np.int64],
    counted: BoolArray,
    heads: Sequence[str],
) -> dict[str, Estimate]:
    """Returns what counts against the promise, by decision head, of the photos that count."""
    at_exit = np.take_along_axis(promise.losses(evidence), stops[None, None, :], axis=0)[0]
    return {head: share_of(each[counted], evidence.groups[counted]) for head, each in zip(heads, at_exit, strict=True)}


def _runs(plan: ReleasePlan, solved: SolvedCascade, tier: str) -> bool:
    """Returns whether the gateway runs a tier at all: one that can never stop is passed over, but for the last.

    Where tiers are fused, none is.
    """
    return bool(solved.fusions) or tier == plan.tier_ids[-1] or max(solved.thresholds[tier].values()) <= 1


def _raw_evidence(
    plan: ReleasePlan, outputs: Sequence[ServedOutputs], photos: HeldOutPhotos, costs: TierCosts
) -> CascadeEvidence:
    """Returns what a cascade would see that takes the engines at their word."""
    heads = plan.task.decision_heads
    probabilities = [[softmax(each.logits[head].astype(np.float64)) for head in heads] for each in outputs]
    return evidence_from_answers(
        tiers=plan.tier_ids,
        heads=heads,
        costs_ms=[costs.next_ms[tier] for tier in plan.tier_ids],
        entry_ms=costs.entry_ms,
        confidences=np.array([[each.max(axis=1) for each in tier] for tier in probabilities]),
        answers=np.array([[each.argmax(axis=1) for each in tier] for tier in probabilities], dtype=np.int64),
        labels=np.array([photos.labels[head] for head in heads], dtype=np.int64),
        groups=photos.groups,
        is_test=np.ones(len(photos.groups), dtype=bool),
    )
