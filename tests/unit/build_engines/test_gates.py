"""Measuring and judging: honest confidences pass, dishonest ones fail by name, too few say so."""

from pathlib import Path

import numpy as np
import pytest
from builders import TASK, platt_of, temperature_of
from sklearn.metrics import matthews_corrcoef

from build_engines.checkpoint import HeldOutPhotos
from build_engines.gates import ATTRIBUTE_SLACK, LeastScores, judge
from build_engines.measure import HeadMetrics, measure
from build_engines.served_outputs import ServedOutputs
from server.domain.calibration.calibrator import Calibrator

SHA = "a" * 64


def calibrators(*, temperature: float = 1.0, slope: float = 1.0) -> dict[str, Calibrator]:
    """Maps that change nothing unless asked to."""
    return {
        "kind": temperature_of(SHA, temperature, item_count=100_000),
        "grade": temperature_of(SHA, item_count=100_000),
        "signs": platt_of(SHA, slope, 1.0, item_count=100_000),
    }


def calibrated_world(count: int, *, seed: int = 11, copies: int = 1) -> tuple[ServedOutputs, HeldOutPhotos]:
    """Outputs whose softmax (sigmoid) is the truth, and labels drawn from it; `copies` photos a specimen."""
    generator = np.random.default_rng(seed)
    logits = {
        "kind": generator.normal(0, 3, (count, 3)),
        "grade": generator.normal(0, 3, (count, 2)),
        "signs": generator.normal(0, 3, (count, 2)),
    }
    labels = {
        "kind": (logits["kind"] + generator.gumbel(size=(count, 3))).argmax(axis=1),
        "grade": (logits["grade"] + generator.gumbel(size=(count, 2))).argmax(axis=1),
        "signs": (logits["signs"] + generator.logistic(size=(count, 2)) > 0).astype(np.int64),
    }
    repeated = {head: np.repeat(each, copies, axis=0).astype(np.float32) for head, each in logits.items()}
    photos = HeldOutPhotos(
        split="val_test",
        sha256=SHA,
        paths=(Path("photo.jpg"),) * (count * copies),
        groups=np.repeat(np.arange(count), copies),
        labels={head: np.repeat(each, copies, axis=0) for head, each in labels.items()},
        best_accuracies={},
    )
    zeros = np.zeros(count * copies, dtype=np.float32)
    return ServedOutputs(SHA, SHA, repeated, zeros, zeros), photos


def measured(maps: dict[str, Calibrator], outputs: ServedOutputs, photos: HeldOutPhotos) -> tuple[HeadMetrics, ...]:
    """Metrics of what these maps make of the outputs."""
    return measure(TASK, outputs.calibrated(maps), photos)


def failures(heads: tuple[HeadMetrics, ...], **least: float) -> list[str]:
    """The names of the gates that fail."""
    return [gate.name for gate in judge(heads, LeastScores(accuracies=least)) if not gate.passed]


def test_honest_confidences_pass() -> None:
    """A model whose confidences are the truth passes every gate."""
    heads = measured(calibrators(), *calibrated_world(4_000))
    assert failures(heads, kind=0.5) == []


def test_overconfidence_fails_both_gates_of_its_head() -> None:
    """Sharpened logits are found by calibration error and by gap, and only on the head concerned."""
    heads = measured(calibrators(temperature=0.6), *calibrated_world(4_000))
    found = failures(heads)
    assert [each.split()[0] for each in found] == ["kind", "kind"]


def test_parts_share_the_chance_to_fail() -> None:
    """Three parts are judged at a third of the level each, attributes at less; what is off is still found."""
    outputs, photos = calibrated_world(4_000)
    honest, sharp = (
        measure(TASK, outputs.calibrated(maps), photos, parts=3)
        for maps in (calibrators(), calibrators(temperature=0.6))
    )
    assert honest[0].whole.noise_floor_share == pytest.approx(1 - 0.05 / 3)
    [signs] = [each for each in honest if each.attributes]
    assert {each.noise_floor_share for each in signs.attributes.values()} == {1 - 0.05 / 3 / len(signs.attributes)}
    assert failures(honest) == []
    assert [each.split()[0] for each in failures(sharp)] == ["kind", "kind"]


def test_one_dishonest_attribute_is_named() -> None:
    """An attribute that is off is found by itself, though the pooled head might hide it."""
    heads = measured(calibrators(slope=2.5), *calibrated_world(4_000))
    assert any(each.startswith("signs.crust ") for each in failures(heads))
    assert not any(each.startswith("signs.mould ") for each in failures(heads))


def test_an_attribute_is_not_held_to_chance() -> None:
    """What is hardly off fails as a head and passes as one of many attributes: nothing is promised of it alone."""
    heads = measured(calibrators(slope=1.2), *calibrated_world(4_000))
    crust = heads[2].attributes["crust"]
    assert 0 < crust.calibration_error - crust.noise_floor < ATTRIBUTE_SLACK
    assert not any(each.startswith("signs.") for each in failures(heads))


def test_all_failing_gates_are_gathered() -> None:
    """Accuracy and confidence are judged together, and an unknown head fails rather than passes."""
    heads = measured(calibrators(temperature=0.6), *calibrated_world(4_000))
    found = failures(heads, kind=0.99, colour=0.5)
    assert "kind accuracy at least 99.0%" in found
    assert "colour accuracy at least 50.0%" in found
    assert len(found) == 4


def test_a_head_may_be_judged_by_its_correlation() -> None:
    """It is scikit-learn's over all photos; attributes have none, and a head that nobody measured fails."""
    outputs, photos = calibrated_world(4_000)
    heads = measured(calibrators(), outputs, photos)
    found = matthews_corrcoef(photos.labels["kind"], outputs.logits["kind"].argmax(axis=1))
    assert heads[0].whole.mcc == pytest.approx(found)

    def failing(**least: float) -> list[str]:
        return [gate.name for gate in judge(heads, LeastScores(mccs=least)) if not gate.passed]

    assert failing(kind=found - 0.01) == []
    assert failing(kind=found + 0.01, signs=0.1, colour=0.1) == [
        f"kind Matthews correlation at least {found + 0.01:.3f}",
        "signs Matthews correlation at least 0.100",
        "colour Matthews correlation at least 0.100",
    ]


def test_the_strictest_limit_of_all_tiers_holds() -> None:
    """One tier was trained before a limit was raised, another before there was one."""
    old, new = LeastScores({"kind": 0.8, "grade": 0.7}), LeastScores({"kind": 0.9}, {"kind": 0.5})
    assert LeastScores.strictest([old, new]) == LeastScores({"kind": 0.9, "grade": 0.7}, {"kind": 0.5})


def test_few_items_promise_nothing() -> None:
    """Under 2,000 independent items the finding is that labels do not suffice."""
    gates = judge(measured(calibrators(), *calibrated_world(1_999)), LeastScores())
    assert [gate.passed for gate in gates] == [False, False, False]
    assert all("insufficient labels: 1999" in gate.finding for gate in gates)


def test_few_labels_may_be_accepted() -> None:
    """Who asks for it gets a release that says that nothing is promised; what was measured and failed still fails."""
    few = measured(calibrators(), *calibrated_world(1_999))
    gates = judge(few, LeastScores({"kind": 1.1}), few_labels=True)
    assert [gate.passed for gate in gates] == [False, True, True, True]
    assert all("nothing is promised" in gate.finding for gate in gates[1:])


def test_photos_of_one_specimen_are_not_more_items() -> None:
    """Three photos a specimen: the specimens are counted, and no interval gets narrower."""
    single = measured(calibrators(), *calibrated_world(2_100))[0].whole
    tripled = measured(calibrators(), *calibrated_world(2_100, copies=3))[0].whole
    assert (tripled.photo_count, tripled.specimen_count) == (6_300, 2_100)
    assert tripled.calibration_error == pytest.approx(single.calibration_error)
    assert tripled.noise_floor == pytest.approx(single.noise_floor)
    assert tripled.gap.worst == pytest.approx(single.gap.worst)


def test_missing_labels_are_left_out() -> None:
    """A photo without a label of a head counts for the other heads only."""
    outputs, photos = calibrated_world(2_000)
    photos.labels["kind"][:500] = -1
    photos.labels["signs"][:300, 1] = -1
    kind, grade, signs = measured(calibrators(), outputs, photos)
    assert (kind.whole.photo_count, grade.whole.photo_count) == (1_500, 2_000)
    assert (signs.attributes["crust"].photo_count, signs.attributes["mould"].photo_count) == (2_000, 1_700)
