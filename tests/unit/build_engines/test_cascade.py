"""From the outputs of two tiers to thresholds with a promise, and to confidences that hold where photos stop."""

from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from builders import TASK, make_tier

from build_engines.calibrate import CalibratedEngine, fit_calibrators, fit_meaning
from build_engines.cascade import SolvedCascade, solve_on
from build_engines.cascade_solver import (
    Basis,
    DisagreementPromise,
    GapPromise,
    Promise,
    PromiseKind,
    SelectivePromise,
)
from build_engines.checkpoint import HeldOutPhotos
from build_engines.compile import CompiledEngine
from build_engines.costs import TierCosts, require_rising
from build_engines.errors import MixedTiersError, PromiseOutOfReachError
from build_engines.evidence import evidence_of, exits_of, is_sure
from build_engines.fusing import fused_outputs
from build_engines.served_outputs import ServedOutputs
from server.domain.fusion import fuse
from server.domain.prediction import RawPrediction

TIERS = ("fast", "full")
COSTS = TierCosts({"fast": 1.0, "full": 10.0}, {"fast": 0.6, "full": 9.6})
NOISE = {"fast": 2.0, "full": 0.7}
NEAR_NOISE = {"fast": 1.6, "full": 1.0}
"""Of tiers that are worth asking together."""
SHA = {tier: sha256(tier.encode()).hexdigest() for tier in TIERS}
LIST = "0" * 64
COUNT = 9_000
PROMISE = GapPromise(0.03, 0.1)
NEAR_PROMISE = GapPromise(0.01, 0.1)


def world(seed: int, *, noise: dict[str, float] | None = None) -> tuple[list[ServedOutputs], HeldOutPhotos]:
    """Two engines that see the same truth through their own noise, and labels drawn from that truth."""
    random = np.random.default_rng(seed)
    truth = {head.id: random.normal(0, 3, (COUNT, len(head.labels))) for head in TASK.heads}
    labels = {}
    for head_id, scores in truth.items():
        if head_id == "signs":
            labels[head_id] = (random.random(scores.shape) < 1 / (1 + np.exp(-scores))).astype(np.int64)
        else:
            labels[head_id] = (scores + random.gumbel(size=scores.shape)).argmax(axis=1)
    outputs = []
    for tier, spread in (noise or NOISE).items():
        seen = {head: (each + random.normal(0, spread, each.shape)).astype(np.float32) for head, each in truth.items()}
        distances = random.normal(3, 1, COUNT).astype(np.float32)
        outputs.append(ServedOutputs(SHA[tier], LIST, seen, distances, distances))
    paths = tuple(Path(f"{each}.jpg") for each in range(COUNT))
    return outputs, HeldOutPhotos("val_calib", LIST, paths, np.arange(COUNT) // 2, labels, {})


def solved_in(
    world_: tuple[list[ServedOutputs], HeldOutPhotos], promise: Promise = PROMISE, *, fuse: bool = False
) -> SolvedCascade:
    """Calibrates both tiers by themselves, and solves their cascade."""
    outputs, photos = world_
    calibrated = tuple(
        CalibratedEngine(
            CompiledEngine(Path(tier), SHA[tier], "fp32", "cpu", 1, {}, ()),
            fit_meaning(TASK, each, photos, lambda *part: fit_calibrators(TASK, *part)).meaning,
        )
        for tier, each in zip(TIERS, outputs, strict=True)
    )
    return solve_on(TASK, TIERS, promise, calibrated, outputs, photos, COSTS, fuse=fuse)


@pytest.fixture(scope="module")
def solved() -> SolvedCascade:
    """The cascade of one world."""
    return solved_in(world(1))


@pytest.fixture(scope="module")
def together() -> SolvedCascade:
    """The cascade of a world whose tiers answer together."""
    return solved_in(world(1, noise=NEAR_NOISE), NEAR_PROMISE, fuse=True)


def stops_in(solved: SolvedCascade, outputs: list[ServedOutputs], photos: HeldOutPhotos) -> np.ndarray:
    """Where each photo stops, as a place of a tier."""
    everything = np.ones(COUNT, dtype=bool)
    evidence = evidence_of(
        TASK, TIERS, solved.deciders, outputs, photos, COSTS, is_test=everything, fusions=solved.fusions
    )
    return exits_of(TASK, solved.thresholds, evidence)


def test_a_cascade_saves_and_keeps_its_promise_on_new_photos(solved: SolvedCascade) -> None:
    """It was tested, costs less than the strongest tier, and is at most epsilon worse on photos it never saw."""
    assert solved.promise is not None
    assert solved.promise.basis is Basis.TESTED
    assert COSTS.entry_ms < solved.promise.cost_ms < COSTS.alone_ms["full"]
    outputs, photos = world(2)
    stops = stops_in(solved, outputs, photos)
    for head in TASK.decision_heads:
        answers = [
            solved.deciders[tier][head].calibrate(each.logits[head]).argmax(axis=1)
            for tier, each in zip(TIERS, outputs, strict=True)
        ]
        right = np.array(answers) == photos.labels[head]
        own = np.where(stops == 0, right[0], right[1])
        assert right[1].mean() - own.mean() <= PROMISE.epsilon + 0.005


def test_reported_confidences_hold_where_photos_stop(solved: SolvedCascade) -> None:
    """At each exit mean confidence is accuracy; the strongest tier's own map is off on the hard photos it is left."""
    outputs, photos = world(3)
    stops = stops_in(solved, outputs, photos)
    gaps = {"own": [], "any": []}
    for place, tier in enumerate(TIERS):
        here = stops == place
        for head in TASK.decision_heads:
            for name, meaning in (("own", solved.meanings_at_exit[tier]), ("any", solved.tiers[place].meaning)):
                probabilities = meaning.calibrators[head].calibrate(outputs[place].logits[head][here])
                right = probabilities.argmax(axis=1) == photos.labels[head][here]
                gaps[name].append(abs(float(probabilities.max(axis=1).mean() - right.mean())))
    assert max(gaps["own"]) < 0.02
    assert max(gaps["any"]) > max(gaps["own"])


def test_labels_are_those_that_the_promise_was_tested_with(solved: SolvedCascade) -> None:
    """What is reported at an exit never changes which label wins."""
    outputs, _ = world(4)
    for place, tier in enumerate(TIERS):
        for head in TASK.decision_heads:
            logits = outputs[place].logits[head]
            reported = solved.meanings_at_exit[tier].calibrators[head].calibrate(logits)
            decided = solved.deciders[tier][head].calibrate(logits)
            assert np.array_equal(reported.argmax(axis=1), decided.argmax(axis=1))


def test_tiers_that_answer_together_beat_the_strongest_alone(together: SolvedCascade) -> None:
    """Fused, a world costs less, the strongest tier is more often right, and confidences hold at each exit."""
    alone = solved_in(world(1, noise=NEAR_NOISE), NEAR_PROMISE)
    assert alone.promise is not None
    assert together.promise is not None
    assert together.promise.basis is Basis.TESTED
    assert together.promise.cost_ms < 0.9 * alone.promise.cost_ms
    assert together.fusions["fast"] == {"kind": (1.0,), "grade": (1.0,)}
    outputs, photos = world(2, noise=NEAR_NOISE)
    stops = stops_in(together, outputs, photos)
    said = fused_outputs(TIERS, together.deciders, together.fusions, outputs)
    for head in TASK.decision_heads:
        labels = photos.labels[head]
        own = together.deciders["full"][head].calibrate(outputs[1].logits[head]).argmax(axis=1) == labels
        assert (said[1].logits[head].argmax(axis=1) == labels).mean() > own.mean()
        for place, tier in enumerate(TIERS):
            here = stops == place
            served = together.meanings_at_exit[tier].calibrators[head].calibrate(said[place].logits[head][here])
            right = served.argmax(axis=1) == labels[here]
            assert abs(served.max(axis=1).mean() - right.mean()) < 0.02


def test_the_gateway_fuses_what_the_promise_was_tested_on(together: SolvedCascade) -> None:
    """Photo by photo, the gateway's few floats are the builder's arrays."""
    outputs, _ = world(2, noise=NEAR_NOISE)
    said = fused_outputs(TIERS, together.deciders, together.fusions, outputs)
    tiers = [
        replace(make_tier(tier), deciders=together.deciders[tier], fusion=together.fusions[tier]) for tier in TIERS
    ]
    for photo in range(0, COUNT, COUNT // 40):
        raw = [RawPrediction({head: each[photo] for head, each in own.logits.items()}, 3.0, 0.1) for own in outputs]
        for place in range(len(TIERS)):
            scores = fuse(list(zip(tiers, raw, strict=True))[: place + 1])
            assert set(scores) == set(TASK.decision_heads)
            for head, each in scores.items():
                assert each == pytest.approx(said[place].logits[head][photo].tolist(), abs=1e-5)


@pytest.mark.parametrize("fuse", [False, True])
def test_where_few_photos_stop_labels_are_those_of_the_promise(fuse: bool, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: FBT001
    """Too few to fit confidences on: these are fitted on any photo, and still no label changes."""
    monkeypatch.setattr("build_engines.cascade.LEAST_EXIT_SPECIMENS", COUNT)
    solved = solved_in(world(1, noise=NEAR_NOISE), fuse=fuse)
    outputs, _ = world(4, noise=NEAR_NOISE)
    said = fused_outputs(TIERS, solved.deciders, solved.fusions, outputs)
    for place, tier in enumerate(TIERS):
        for head in TASK.decision_heads:
            scores = said[place].logits[head]
            decided = scores if fuse else solved.deciders[tier][head].calibrate(scores)
            reported = solved.meanings_at_exit[tier].calibrators[head].calibrate(scores)
            assert np.array_equal(reported.argmax(axis=1), decided.argmax(axis=1))


def test_a_bypass_fuses_nothing() -> None:
    """What goes straight to the strongest tier is answered by it alone."""
    solved = solved_in(world(5, noise={"fast": 60.0, "full": 0.1}), GapPromise(0.001, 0.01), fuse=True)
    assert solved.promise is not None
    assert (solved.promise.basis, solved.fusions) == (Basis.BYPASS, {})


def test_what_tiers_share_is_paid_once() -> None:
    """The mean of what each saves behind another; nothing where noise says less than nothing."""
    assert TierCosts({"fast": 5.0, "full": 30.0}, {"fast": 2.0, "full": 25.0}).entry_ms == 4.0
    assert TierCosts({"fast": 5.0}, {"fast": 5.1}).entry_ms == 0.0


def test_a_promise_out_of_reach_sends_everything_to_the_strongest_tier() -> None:
    """If nothing passes its test, thresholds lie above 1 and only the strongest tier has answers to fit."""
    hopeless = world(5, noise={"fast": 60.0, "full": 0.1})
    solved = solved_in(hopeless, GapPromise(0.001, 0.01))
    assert solved.promise is not None
    assert solved.promise.basis is Basis.BYPASS
    assert all(threshold > 1 for thresholds in solved.thresholds.values() for threshold in thresholds.values())
    assert set(solved.meanings_at_exit) == {"full"}


def test_a_promise_about_disagreement_holds_on_new_photos() -> None:
    """Without a look at labels, few answers differ from those of the strongest tier."""
    solved = solved_in(world(1), DisagreementPromise(0.05, 0.1))
    assert solved.promise is not None
    assert (solved.promise.kind, solved.promise.basis) == (PromiseKind.DISAGREEMENT, Basis.TESTED)
    assert solved.promise.labels_used == 0
    outputs, photos = world(2)
    stops = stops_in(solved, outputs, photos)
    for head in TASK.decision_heads:
        fast, full = (
            solved.deciders[tier][head].calibrate(each.logits[head]).argmax(axis=1)
            for tier, each in zip(TIERS, outputs, strict=True)
        )
        assert ((stops == 0) & (fast != full)).mean() <= 0.05 + 0.005


def test_a_selective_promise_holds_for_the_answers_that_are_sure() -> None:
    """The last tier has thresholds too; what misses them is left out, and the rest is as seldom wrong as promised."""
    promise = SelectivePromise(0.06, 0.1, unanswered_cost_ms=100.0)
    solved = solved_in(world(1), promise)
    assert solved.promise is not None
    assert solved.promise.basis is Basis.TESTED
    assert all(threshold <= 1 for threshold in solved.thresholds["full"].values())
    outputs, photos = world(2)
    everything = np.ones(COUNT, dtype=bool)
    evidence = evidence_of(TASK, TIERS, solved.deciders, outputs, photos, COSTS, is_test=everything)
    sure, stops = is_sure(TASK, solved.thresholds, evidence), exits_of(TASK, solved.thresholds, evidence)
    assert 0.2 < sure.mean() < 1
    at_exit = np.take_along_axis(promise.losses(evidence), stops[None, None, :], axis=0)[0]
    assert at_exit[:, sure].mean(axis=1).max() <= 0.06 + 0.01
    assert at_exit[:, ~sure].mean(axis=1).max() > 0.06


def test_a_selective_promise_that_nothing_keeps_is_refused() -> None:
    """Not even the strongest tier errs so seldom: there is nothing to publish, and the error names the cure."""
    with pytest.raises(PromiseOutOfReachError, match="--epsilon"):
        solved_in(world(5, noise={"fast": 60.0, "full": 30.0}), SelectivePromise(0.0005, 0.01, unanswered_cost_ms=1.0))


def test_a_tier_must_cost_more_than_the_one_before_it() -> None:
    """An order that makes no sense is refused with both figures."""
    require_rising({"fast": 1.0, "full": 2.0})
    with pytest.raises(MixedTiersError, match=r"3\.0 ms before 2\.0 ms"):
        require_rising({"fast": 3.0, "full": 2.0})
