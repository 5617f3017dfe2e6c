"""Fused tiers: the posterior, its fit, and a cascade whose gap is still measured against the strongest tier alone."""

import dataclasses

import numpy as np
import pytest
from made_evidence import COSTS_MS

from build_engines.cascade_solver import (
    Basis,
    CascadeEvidence,
    CascadeEvidenceError,
    FusedAnswers,
    GapPromise,
    SolverOptions,
    TierFusion,
    evidence_from_answers,
    fit_tier_fusion,
    solve_cascade,
)


def _tiers(item_count: int, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Returns probabilities of three tiers that see the truth through independent noise, and the truth."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 4, item_count)
    scores = random.normal(size=(3, item_count, 4))
    scores[:, np.arange(item_count), labels] += np.array([0.7, 1.5, 2.5])[:, None]
    weights = np.exp(scores)
    return weights / weights.sum(axis=2, keepdims=True), labels


def _evidence(probabilities: np.ndarray, labels: np.ndarray, *, fused: np.ndarray | None) -> CascadeEvidence:
    return evidence_from_answers(
        tiers=("fast", "medium", "full"),
        heads=("grade",),
        costs_ms=COSTS_MS,
        confidences=probabilities.max(axis=2)[:, None],
        answers=probabilities.argmax(axis=2)[:, None],
        labels=labels[None],
        groups=np.arange(len(labels)),
        is_test=np.arange(len(labels)) % 2 == 0,
        fused=None if fused is None else FusedAnswers(fused.max(axis=2)[:, None], fused.argmax(axis=2)[:, None]),
    )


def test_one_weight_of_one_is_the_tier_alone() -> None:
    """Without a word of the others the posterior is the tier's own."""
    probabilities, _ = _tiers(50)
    fused = TierFusion(((1.0,), (0.0, 1.0), (0.0, 0.0, 1.0))).fuse(probabilities)
    assert fused == pytest.approx(probabilities)


def test_fusion_lowers_the_log_loss_on_new_items() -> None:
    """Tiers that err independently know more together than the best alone."""
    fusion = fit_tier_fusion(*_tiers(500))
    probabilities, labels = _tiers(5000, seed=1)
    items = np.arange(5000)
    fused, alone = fusion.fuse(probabilities)[2, items, labels], probabilities[2, items, labels]
    assert np.log(fused).mean() > np.log(alone).mean() + 0.02


def test_a_tier_of_noise_gets_no_word() -> None:
    """What knows nothing of the truth is weighed at about 0."""
    probabilities, labels = _tiers(3000)
    probabilities[0] = _tiers(3000, seed=5)[0][0]
    assert fit_tier_fusion(probabilities, labels).weights[2][0] < 0.1


def test_fused_tiers_are_never_skipped_and_compared_with_the_strongest_alone() -> None:
    """A fused cascade is tested against the strongest tier's own answers, and costs less for the same gap."""
    fusion = fit_tier_fusion(*_tiers(500))
    probabilities, labels = _tiers(6000, seed=1)
    solutions = [
        solve_cascade(
            _evidence(probabilities, labels, fused=each),
            GapPromise(0.05, 0.1),
            options=SolverOptions(tried_policies=50),
        )
        for each in (fusion.fuse(probabilities), None)
    ]
    assert [each.basis for each in solutions] == [Basis.TESTED] * 2
    assert solutions[0].skipped_tiers == ()
    assert solutions[0].cost_ms.mean < solutions[1].cost_ms.mean
    assert solutions[0].comparators[:3] == solutions[1].comparators[:3]


def test_a_bypass_serves_the_strongest_tiers_own_answers() -> None:
    """Where nothing passes, what is served and measured is the strongest tier alone."""
    probabilities, labels = _tiers(60)
    fused = TierFusion(((1.0,), (1.0, 0.0), (1.0, 0.0, 0.0))).fuse(probabilities)
    solution = solve_cascade(_evidence(probabilities, labels, fused=fused), GapPromise(0.02, 0.1))
    assert solution.basis is Basis.BYPASS
    assert solution.measured.mean_losses == {"grade": 0.0}


def test_malformed_fusions_are_refused() -> None:
    """Negative weights, labels of another length, impossible probabilities and other items are errors."""
    probabilities, labels = _tiers(20)
    with pytest.raises(ValueError, match="at least 0"):
        TierFusion(((1.0,), (-1.0, 1.0)))
    with pytest.raises(CascadeEvidenceError, match="do not match"):
        fit_tier_fusion(probabilities, labels[:5])
    with pytest.raises(CascadeEvidenceError, match="between 0 and 1"):
        fit_tier_fusion(np.zeros_like(probabilities), labels)
    evidence = _evidence(probabilities, labels, fused=probabilities)
    with pytest.raises(CascadeEvidenceError, match="same items"):
        dataclasses.replace(evidence, unfused=evidence.own.select(np.arange(5)))
