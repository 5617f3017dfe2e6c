"""What the chosen maps are worth on six real networks: calibration error and log-loss, by the number of labels."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from rich.table import Table

from server.domain.calibration.category_fit import fit_smoothed_temperature
from server.domain.calibration.category_maps import Identity
from server.domain.calibration.probability import DoubleArray
from server.domain.calibration.selection import fit_best
from server.domain.metrics.binned import calibration_error
from server.domain.metrics.scores import log_loss
from server.domain.task import Head, HeadKind

pytestmark = pytest.mark.soak

SPLITS = 8
TEST_ITEMS = 5_000
MAX_ERROR = {1_000: 0.022, 5_000: 0.016}
MAX_ADDED_LOSS = 0.002
WORLDS = 300
HEAD = Head("object", "Object", HeadKind.CATEGORY, tuple("abcdefghij"))


@dataclass(frozen=True, slots=True)
class Result:
    """One network, one number of labels, one way of choosing; over all splits.

    Attributes:
        network: Its name.
        labels: How many the map was fitted on.
        monotone_only: Whether the winning label had to stay.
        errors: [split_count] float64. Top-label ECE15 on the test items.
        floors: [split_count] float64. What a perfectly calibrated model with the same confidences shows on average.
        added_losses: [split_count] float64. Log-loss on the test items, less that of the raw probabilities.
        maps: The names of the chosen maps.
    """

    network: str
    labels: int
    monotone_only: bool
    errors: DoubleArray
    floors: DoubleArray
    added_losses: DoubleArray
    maps: tuple[str, ...]


def networks(shared_material: Path) -> tuple[dict[str, DoubleArray], np.ndarray]:
    """Logits of each network, the logarithm of its probabilities where only these are known; and the labels."""
    with np.load(shared_material / "data" / "cifar10_six_networks.npz", allow_pickle=False) as file:
        arrays = dict(file)
    labels = arrays.pop("labels").astype(np.int64)
    del arrays["is_cal"]
    return {
        name.removesuffix("_probs").removesuffix("_logits"): np.log(np.maximum(each.astype(np.float64), 1e-30))
        if name.endswith("_probs")
        else each.astype(np.float64)
        for name, each in arrays.items()
    }, labels


def mean_floor(confidences: DoubleArray) -> float:
    """The mean ECE15 of a perfectly calibrated model, each bin's sum of outcomes taken as normal."""
    places = np.clip(np.ceil(confidences * 15) - 1, 0, 14).astype(np.intp)
    variances = np.bincount(places, weights=confidences * (1 - confidences), minlength=15)
    return float(np.sqrt(2 / np.pi * variances).sum() / len(confidences))


def order_of(split: int, item_count: int) -> np.ndarray:
    """Returns [item_count] int64: a split takes its labels from the front and its test items from the back."""
    return np.random.default_rng(split).permutation(item_count)


def run(network: str, logits: DoubleArray, labels: np.ndarray, count: int, *, monotone_only: bool) -> Result:
    """Fits on `count` items drawn anew in every split, and measures on 5,000 others."""
    rows, maps = [], []
    for split in range(SPLITS):
        order = order_of(split, len(labels))
        fit, test = order[:count], order[-TEST_ITEMS:]
        fitted = fit_best(
            HEAD, logits[fit], labels[fit], engine_sha256="a" * 64, monotone_only=monotone_only, seed=split
        )
        answers, truth = fitted.calibrator.calibrate(logits[test]), labels[test]
        confidences = answers.max(axis=1)
        rows.append(
            (
                calibration_error(confidences, answers.argmax(axis=1) == truth),
                mean_floor(confidences),
                log_loss(answers, truth) - log_loss(Identity().calibrate(logits[test]), truth),
            )
        )
        maps.append(fitted.calibrator.name)
    errors, floors, losses = np.array(rows).T
    return Result(network, count, monotone_only, errors, floors, losses, tuple(maps))


@pytest.fixture(scope="module")
def results(shared_material: Path) -> list[Result]:
    """All results, printed as a table."""
    logits, labels = networks(shared_material)
    found = [
        run(name, each, labels, count, monotone_only=monotone_only)
        for monotone_only in (True, False)
        for name, each in logits.items()
        for count in (100, *MAX_ERROR)
    ]
    table = Table(title=f"Chosen maps on {TEST_ITEMS:,} test items, mean of {SPLITS} splits (most frequent map)")
    for column in ("network", "labels", "winner", "ECE15", "limit", "chance", "log-loss added", "worst", "map"):
        table.add_column(column)
    for each in found:
        table.add_row(
            each.network,
            f"{each.labels:,}",
            "kept" if each.monotone_only else "free",
            f"{each.errors.mean():.2%}",
            f"{MAX_ERROR[each.labels]:.1%}" if each.labels in MAX_ERROR else "",
            f"{each.floors.mean():.2%}",
            f"{each.added_losses.mean():+.4f}",
            f"{each.added_losses.max():+.4f}",
            max(set(each.maps), key=each.maps.count),
        )
    Console(width=150).print(table)
    return found


LENET_MISS = pytest.mark.xfail(
    reason="2.0 %: its confidences spread so wide that even true probabilities keep within 1.6 % in a third of all "
    "worlds only, as the test of these prints; the map of least log-loss, a matrix, is not among the lucky ones here. "
    "Keeping the winner shows less on these splits, at .014 more log-loss",
)


@pytest.mark.parametrize("count", list(MAX_ERROR))
@pytest.mark.parametrize("network", ["lenet5", "wrn16_4", *(f"resnet{depth}_jpeg75" for depth in (20, 32, 44, 56))])
def test_confidences_are_honest(
    network: str, count: int, results: list[Result], request: pytest.FixtureRequest
) -> None:
    """Mean ECE15 of the freely chosen map is within its limit."""
    if (network, count) == ("lenet5", 5_000):
        request.applymarker(LENET_MISS)
    assert one(results, network, count).errors.mean() <= MAX_ERROR[count]


def test_the_widest_confidences_are_honest_with_the_winner_kept(results: list[Result]) -> None:
    """Where chance alone is above the limit, a map that keeps the winner is still within it on these items."""
    assert one(results, "lenet5", 5_000, monotone_only=True).errors.mean() <= MAX_ERROR[5_000]


def test_true_probabilities_keep_the_limit_save_on_lenet5(shared_material: Path) -> None:
    """Where labels are drawn from the confidences, mean ECE15 of these splits is nearly always within 1.6 %."""
    all_logits, labels = networks(shared_material)
    tests = [order_of(split, len(labels))[-TEST_ITEMS:] for split in range(SPLITS)]
    generator = np.random.default_rng(SPLITS)
    table = Table(title=f"True probabilities, mean of {SPLITS} splits, in {WORLDS} worlds")
    for column in ("network", "ECE15", "standard deviation", f"within {MAX_ERROR[5_000]:.1%}"):
        table.add_column(column)
    kept = {}
    for network, logits in all_logits.items():
        confidences = fit_smoothed_temperature(logits, labels).calibrate(logits).max(axis=1)
        means = []
        for _ in range(WORLDS):
            hits = generator.random(len(labels)) < confidences
            means.append(np.mean([calibration_error(confidences[test], hits[test]) for test in tests]))
        kept[network] = float(np.mean(np.array(means) <= MAX_ERROR[5_000]))
        table.add_row(network, f"{np.mean(means):.2%}", f"{np.std(means):.2%}", f"{kept[network]:.0%}")
    Console(width=150).print(table)
    assert kept.pop("lenet5") < 0.5
    assert min(kept.values()) > 0.9


def one(results: list[Result], network: str, count: int, *, monotone_only: bool = False) -> Result:
    """Finds a result."""
    return next(
        each for each in results if (each.network, each.labels, each.monotone_only) == (network, count, monotone_only)
    )


def test_100_labels_never_make_it_worse(results: list[Result]) -> None:
    """In no split of any network does the chosen map lose more than .002 of log-loss against the raw probabilities."""
    assert [each.network for each in results if each.labels == 100 and each.added_losses.max() > MAX_ADDED_LOSS] == []
