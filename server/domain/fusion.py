"""Fusing tiers: what a tier says together with all tiers before it, for a release that chooses it. Pure."""

import math
from collections.abc import Sequence

from server.domain.prediction import RawPrediction
from server.domain.release import TierRelease


def fuse(said: Sequence[tuple[TierRelease, RawPrediction]]) -> dict[str, list[float]]:
    """Returns what the last tier says together with those before it: by decision head id, [label_count] scores.

    A score is the log of a probability, up to a constant: the softmax of the scores is the logarithmic opinion pool of
    the tiers' calibrated probabilities (Genest and Zidek, "Combining probability distributions: a critique and an
    annotated bibliography", 1986).

    Args:
        said: Each tier that has run, in the release's order, none left out, with the outputs of its engine.

    Returns:
        Nothing for a tier that speaks alone.
    """
    last, _ = said[-1]
    return {
        head: pool(weights, [tier.decider(head).calibrate_item(raw.logits[head].tolist()) for tier, raw in said])
        for head, weights in last.fusion.items()
    }


def pool(weights: Sequence[float], probabilities: Sequence[Sequence[float]]) -> list[float]:
    """Returns [label_count] weighted sums of log-probabilities.

    Args:
        weights: [tier_count], at least 0.
        probabilities: [tier_count][label_count] in (0, 1).
    """
    scores = [0.0] * len(probabilities[0])
    for weight, each in zip(weights, probabilities, strict=True):
        if weight:
            scores = [score + weight * math.log(value) for score, value in zip(scores, each, strict=True)]
    return scores
