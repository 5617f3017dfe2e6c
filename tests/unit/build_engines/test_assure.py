"""Bands and sets, fitted on one world and measured on another."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from builders import TASK, make_release

from build_engines.assure import (
    AssuranceMetrics,
    QuarterMetrics,
    fit_assurances,
    least_coverage,
    measure_assurances,
)
from build_engines.checkpoint import HeldOutPhotos
from build_engines.gates import judge_assurances
from build_engines.served_outputs import ServedOutputs
from server.domain.calibration.calibrator import Calibrator
from server.domain.conformal import PredictionSets, conformal_rank

COUNT = 6_000
SHA = "0" * 64


def world(seed: int, *, sharpness: float = 1.0) -> tuple[ServedOutputs, HeldOutPhotos]:
    """Returns outputs and labels drawn from their own probabilities; a `sharpness` above 1 makes them overconfident."""
    random = np.random.default_rng(seed)
    logits, labels = {}, {}
    for head in TASK.heads:
        scores = random.normal(0, 2, (COUNT, len(head.labels)))
        logits[head.id] = (scores * sharpness).astype(np.float32)
        if head.id == "signs":
            labels[head.id] = (random.random(scores.shape) < 1 / (1 + np.exp(-scores))).astype(np.int64)
        else:
            shares = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
            labels[head.id] = (random.random((COUNT, 1)) > shares.cumsum(axis=1)).sum(axis=1)
    outputs = ServedOutputs(SHA, SHA, logits, np.zeros(COUNT, np.float32), np.zeros(COUNT, np.float32))
    groups = np.arange(COUNT) // 2
    return outputs, HeldOutPhotos("val_test", SHA, tuple(Path(str(each)) for each in range(COUNT)), groups, labels, {})


@pytest.fixture(scope="module")
def calibrators() -> dict[str, Calibrator]:
    """Maps that take the engine at its word."""
    return dict(make_release("fast").tiers[0].meaning.calibrators)


def measured(calibrators: dict[str, Calibrator], *, sharpness: float = 1.0) -> tuple[AssuranceMetrics, ...]:
    """Fits on an honest world, and measures on a new one."""
    outputs, photos = world(1)
    unseen = {head: each.calibrate(outputs.logits[head]) for head, each in calibrators.items()}
    assurances = fit_assurances(TASK, unseen, photos)
    seen, test_photos = world(2, sharpness=sharpness)
    return measure_assurances(TASK, seen.calibrated(calibrators), assurances, test_photos)


def test_what_the_deciders_saw_vouches_for_no_decision_head(calibrators: dict[str, Calibrator]) -> None:
    """Decision heads rest on the other photos alone; for the rest, all photos count."""
    outputs, photos = world(1)
    unseen = outputs.calibrated(calibrators)
    seen = photos.groups % 3 == 0
    restricted = fit_assurances(TASK, unseen, photos, seen_by_deciders=seen)
    rest = fit_assurances(TASK, {head: each[~seen] for head, each in unseen.items()}, photos.taken(~seen))
    whole = fit_assurances(TASK, unseen, photos)
    for head in TASK.head_ids:
        assert restricted[head] == (rest if head in TASK.decision_heads else whole)[head]
        assert rest[head] != whole[head]


def test_what_was_fitted_holds_on_new_items(calibrators: dict[str, Calibrator]) -> None:
    """Every question's band in every quarter, and every category's sets."""
    found = measured(calibrators)
    assert [each.question for each in found] == ["kind", "grade", *(f"signs.{each}" for each in TASK.heads[2].labels)]
    assert all(gate.passed for gate in judge_assurances(found))
    assert sum(each.set_target is not None for each in found) == 2
    assert all(1 <= each.set_size <= 3 for each in found if each.set_target is not None)


def test_an_overconfident_engine_is_found_out(calibrators: dict[str, Calibrator]) -> None:
    """When confidences are three times too sharp, bands and sets fail their gates."""
    failed = [gate.name for gate in judge_assurances(measured(calibrators, sharpness=3.0)) if not gate.passed]
    assert any("band" in each for each in failed)
    assert any("sets" in each for each in failed)


def test_a_quarter_is_held_if_what_was_seen_can_be_what_is_said() -> None:
    """Overlap on either side suffices; a gap does not."""
    quarter = QuarterMetrics(100, hit_low=0.4, hit_high=0.5, band_low=0.5, band_high=0.6)
    assert quarter.is_held
    assert not replace(quarter, hit_high=0.49).is_held
    assert not replace(quarter, hit_low=0.61, hit_high=0.7).is_held


@pytest.mark.parametrize("class_conditional", [False, True])
def test_sets_are_judged_by_chance_in_both_samples(*, class_conditional: bool) -> None:
    """Perfectly honest sets fall below the least coverage in 2.5 % of all pairs of samples, not in more."""
    random = np.random.default_rng(5)
    fitted, tested = ((300, 500), (200, 600)) if class_conditional else ((800, 800), (200, 600))
    sets = PredictionSets(0.9, class_conditional, (0.2, 0.3) if class_conditional else (0.2, 0.2), fitted)
    least = least_coverage(sets, np.repeat([0, 1], tested))
    draws = 40_000
    if class_conditional:
        counts = [(conformal_rank(count, 0.9), count) for count in fitted]
        hits = sum(
            random.binomial(of, random.beta(rank, count + 1 - rank, draws))
            for of, (rank, count) in zip(tested, counts, strict=True)
        )
    else:
        rank = conformal_rank(800, 0.9)
        hits = random.binomial(800, random.beta(rank, 801 - rank, draws))
    below = float((hits / 800 < least).mean())
    assert 0.018 < below <= 0.027
    assert least < 0.9


def test_sets_of_hardly_any_item_hold_everything() -> None:
    """With too few items to leave anything out every set is whole, and must hold every label."""
    assert least_coverage(PredictionSets(0.9, False, (0.0, 0.0), (3, 3)), np.array([0, 1, 1])) == 1.0
