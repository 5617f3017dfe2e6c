"""What tiers that were calibrated say of held-out photos, as the solver and the cascade see it."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from build_engines.cascade_solver import CascadeEvidence, evidence_from_answers
from build_engines.cascade_solver.evidence import FusedAnswers
from build_engines.checkpoint import HeldOutPhotos
from build_engines.costs import TierCosts
from build_engines.fusing import Fusions, fused_outputs
from build_engines.served_outputs import ServedOutputs
from server.domain.calibration.calibrator import Calibrator
from server.domain.calibration.probability import softmax
from server.domain.task import Task

DoubleArray = npt.NDArray[np.float64]
IndexArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


def evidence_of(
    task: Task,
    tiers: Sequence[str],
    deciders: Mapping[str, Mapping[str, Calibrator]],
    outputs: Sequence[ServedOutputs],
    photos: HeldOutPhotos,
    costs: TierCosts,
    *,
    is_test: npt.NDArray[np.bool_],
    fusions: Fusions | None = None,
) -> CascadeEvidence:
    """Returns what the solver knows of photos: each tier's decisive confidences and answers, fused by the weights."""
    heads = task.decision_heads
    probabilities = [
        [deciders[tier][head].calibrate(each.logits[head]) for head in heads]
        for tier, each in zip(tiers, outputs, strict=True)
    ]
    fused = None
    if fusions:
        together = [
            [softmax(each.logits[head].astype(np.float64)) for head in heads]
            for each in fused_outputs(tiers, deciders, fusions, outputs)
        ]
        fused = FusedAnswers(*_decisive(together))
    confidences, answers = _decisive(probabilities)
    return evidence_from_answers(
        tiers=tiers,
        heads=heads,
        costs_ms=[costs.next_ms[tier] for tier in tiers],
        entry_ms=costs.entry_ms,
        confidences=confidences,
        answers=answers,
        labels=np.array([photos.labels[head] for head in heads], dtype=np.int64),
        groups=photos.groups,
        is_test=is_test,
        fused=fused,
    )


def _decisive(probabilities: Sequence[Sequence[npt.NDArray[np.float64]]]) -> tuple[DoubleArray, IndexArray]:
    """Returns [tier_count, head_count, photo_count] confidences and answers of probabilities by tier and head."""
    confidences = np.array([[each.max(axis=1) for each in tier] for tier in probabilities])
    return confidences, np.array([[each.argmax(axis=1) for each in tier] for tier in probabilities], dtype=np.int64)


def exits_of(task: Task, thresholds: Mapping[str, Mapping[str, float]], evidence: CascadeEvidence) -> IndexArray:
    """Returns [photo_count] int64: the place of the tier at which each photo stops, as the gateway would have it."""
    *early, _ = evidence.tiers
    exits = np.full(len(evidence.groups), len(early), dtype=np.int64)
    for place in reversed(range(len(early))):
        needed = np.array([thresholds[early[place]][head] for head in task.decision_heads])
        exits[(evidence.confidences[place] >= needed[:, None]).all(axis=0)] = place
    return exits


def is_sure(task: Task, thresholds: Mapping[str, Mapping[str, float]], evidence: CascadeEvidence) -> BoolArray:
    """Returns [photo_count] bool: whether some tier's decision heads all reach their thresholds."""
    needed = np.array([[thresholds[tier][head] for head in task.decision_heads] for tier in evidence.tiers])
    sure: BoolArray = (evidence.confidences >= needed[:, :, None]).all(axis=1).any(axis=0)
    return sure
