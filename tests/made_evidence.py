"""Evidence whose truth is known: calibrated tiers on items of known difficulty."""

import numpy as np

from build_engines.cascade_solver import CascadeEvidence, evidence_from_answers

COSTS_MS = (1.0, 8.0, 60.0)


def made_evidence(
    item_count: int,
    *,
    seed: int = 0,
    tiers: int = 3,
    heads: int = 2,
    group_size: int = 1,
    test_share: float = 0.5,
    strengths: tuple[float, ...] = (0.8, 2.0, 4.0),
) -> CascadeEvidence:
    """Returns items of which each tier is right with exactly its confidence; stronger tiers are surer.

    Args:
        item_count: A multiple of `group_size`.
        seed: Of all draws.
        tiers: 1 to 3; the strongest ones of three.
        heads: At least 1; the later ones are harder.
        group_size: Items of one group are equally easy.
        test_share: Of the groups.
        strengths: One for each of three tiers.
    """
    random = np.random.default_rng(seed)
    ease = np.repeat(random.normal(size=(heads, item_count // group_size)), group_size, axis=1)
    scores = np.array(strengths[-tiers:])[:, None, None] * (0.9 - 0.1 * np.arange(heads)[:, None] + 0.6 * ease)
    confidences = 1.0 / (1.0 + np.exp(-np.clip(scores, -6, 6)))
    # One draw an item and head: a stronger tier is right wherever a weaker one is that is no surer.
    right = random.random((heads, item_count)) < confidences
    groups = np.arange(item_count) // group_size
    is_test = groups >= round((1 - test_share) * (item_count // group_size))
    return evidence_from_answers(
        tiers=("fast", "medium", "full")[-tiers:],
        heads=tuple(f"head_{number}" for number in range(heads)),
        costs_ms=COSTS_MS[-tiers:],
        confidences=confidences,
        answers=np.where(right, 0, 1),
        labels=np.zeros((heads, item_count), dtype=np.int64),
        groups=groups,
        is_test=is_test,
    )
