"""Fits the weights of tiers that answer together, and fuses what they say on held-out photos as the gateway does."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from build_engines.cascade_solver.fusion import fit_tier_fusion, pool_tiers
from build_engines.checkpoint import HeldOutPhotos
from build_engines.served_outputs import ServedOutputs
from server.domain.calibration.calibrator import Calibrator
from server.domain.calibration.category_maps import Identity
from server.domain.task import Task

Deciders = Mapping[str, Mapping[str, Calibrator]]
"""By tier and decision head, the calibrator of the tier's own word."""

Fusions = dict[str, dict[str, tuple[float, ...]]]
"""By tier and decision head, how much each tier so far counts; nothing where tiers speak alone."""


def fit_fusions(
    task: Task, tiers: Sequence[str], deciders: Deciders, outputs: Sequence[ServedOutputs], photos: HeldOutPhotos
) -> Fusions:
    """Fits how much each tier counts, by the log-loss of the fused answers.

    Args:
        task: The taxonomy.
        tiers: Ids, cheapest first.
        deciders: Of each tier alone.
        outputs: One a tier, on the photos.
        photos: Of the *fit* part, with their labels.
    """
    fusions: Fusions = {tier: {} for tier in tiers}
    for head in task.decision_heads:
        known = photos.labels[head] >= 0
        words = zip(tiers, outputs, strict=True)
        alone = np.array([deciders[tier][head].calibrate(each.logits[head]) for tier, each in words])
        fitted = fit_tier_fusion(alone[:, known], photos.labels[head][known])
        for tier, weights in zip(tiers, fitted.weights, strict=True):
            fusions[tier][head] = weights
    return fusions


def fused_outputs(
    tiers: Sequence[str], deciders: Deciders, fusions: Fusions, outputs: Sequence[ServedOutputs]
) -> list[ServedOutputs]:
    """Returns the outputs with what each tier says together with those before it in place of its own logits.

    Args:
        tiers: Ids, cheapest first.
        deciders: Of each tier alone.
        fusions: The weights; without any, the outputs are returned as they are.
        outputs: One a tier, on the same photos.
    """
    fused = []
    for place, (tier, own) in enumerate(zip(tiers, outputs, strict=True)):
        logits = dict(own.logits)
        for head, weights in fusions.get(tier, {}).items():
            so_far = zip(tiers[: place + 1], outputs[: place + 1], strict=True)
            alone = [deciders[each][head].calibrate(said.logits[head]) for each, said in so_far]
            # Not rounded: thresholds are confidences of photos, and the gateway computes in these digits too.
            logits[head] = pool_tiers(weights, np.array(alone))
        fused.append(replace(own, logits=logits))
    return fused


def fused_deciders(deciders: Mapping[str, Calibrator]) -> dict[str, Calibrator]:
    """Returns what makes confidences of fused logits: nothing is left to map, they are log-probabilities."""
    return {head: replace(each, map=Identity()) for head, each in deciders.items()}
