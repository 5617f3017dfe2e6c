"""What the confidence of one inspection costs: `python -m loadtests.calibration_bench`.

Calibrates an inspection of `cannabis` (two categories of five labels, ten attributes) and
recommends, in this process and without a server; every kind of map in turn. The exit code says
whether the slowest keeps the limit.
"""

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from rich.console import Console
from rich.table import Table

from server.domain.answer import RecommendationBounds, answer_head, recommend
from server.domain.calibration.binary_maps import Beta, BinaryMap, CentredIsotonic, Platt
from server.domain.calibration.calibrator import AttributeMaps, Calibrator, CategoryMap
from server.domain.calibration.category_maps import Identity, SmoothedTemperature, StructuredMatrix, StructuredVector
from server.domain.calibration.top_label import TopLabel
from server.domain.prediction import CategoryAnswer, FloatArray, HeadAnswer, Uncertainty
from server.domain.task import Head, HeadKind

MAX_MICROSECONDS = 100.0

_LABELS = tuple("ABCDE")
_CATEGORIES = (
    Head("product_type", "Product type", HeadKind.CATEGORY, _LABELS),
    Head("quality_grade", "Quality grade", HeadKind.CATEGORY, _LABELS),
)
_ATTRIBUTES = Head("attributes", "Attributes", HeadKind.ATTRIBUTES, tuple("abcdefghij"))
_UNCERTAINTY = Uncertainty(0.3, 0.4, out_of_distribution=False)
_BOUNDS = RecommendationBounds()
_ROUNDS, _CALLS = 40, 250


@dataclass(frozen=True, slots=True)
class Cost:
    """What one pair of maps costs an inspection.

    Attributes:
        maps: What is applied.
        median_us: Median over rounds, in microseconds.
        worst_us: The slowest round's mean.
    """

    maps: str
    median_us: float
    worst_us: float


def main() -> None:
    """Measures every kind of map, prints the table, and exits with 1 if a median is above the limit."""
    temperature = SmoothedTemperature(1.4, 0.001)
    matrix = StructuredMatrix(temperature, tuple(tuple(row) for row in (np.eye(5) + 0.01).tolist()), (0.1,) * 5)
    points = tuple(np.linspace(-6, 6, 50).tolist())
    isotonic = CentredIsotonic(points, tuple(np.linspace(0.02, 0.98, 50).tolist()))
    platt, beta = Platt(0.8, -0.1, 0.001), Beta(0.8, 0.9, -0.1, 0.001)
    pairs: list[tuple[CategoryMap, BinaryMap]] = [
        (Identity(), platt),
        (temperature, platt),
        (StructuredVector(temperature, (1.1,) * 5, (0.1,) * 5), beta),
        (matrix, isotonic),
        (TopLabel(temperature, platt), platt),
        (TopLabel(temperature, isotonic), isotonic),
        (TopLabel(matrix, beta), beta),
    ]
    costs = [measure(category, binary) for category, binary in pairs]
    table = Table(title="Calibrated answers and recommendation of one cannabis inspection")
    for column in ("maps", "median", "slowest round", "limit"):
        table.add_column(column)
    for each in costs:
        table.add_row(each.maps, f"{each.median_us:.1f} us", f"{each.worst_us:.1f} us", f"{MAX_MICROSECONDS:.0f} us")
    Console().print(table)
    sys.exit(max(each.median_us for each in costs) > MAX_MICROSECONDS)


def measure(category: CategoryMap, binary: BinaryMap) -> Cost:
    """Times inspections with one map for categories and one for attributes."""
    calibrators = [Calibrator("a" * 64, category, 1_000)] * 2
    maps = AttributeMaps((binary,) * len(_ATTRIBUTES.labels))
    heads = [*zip(_CATEGORIES, calibrators, strict=True), (_ATTRIBUTES, Calibrator("a" * 64, maps, 1_000))]
    generator = np.random.default_rng(7)
    photos = [[generator.normal(0, 3, len(head.labels)).astype(np.float32) for head, _ in heads] for _ in range(_CALLS)]
    rounds = [timed(lambda: [inspect(heads, each) for each in photos]) / _CALLS * 1e6 for _ in range(_ROUNDS)]
    name = f"{calibrators[0].name}; attributes {heads[-1][1].name}"
    return Cost(name, float(np.median(rounds)), max(rounds))


def inspect(heads: Sequence[tuple[Head, Calibrator]], logits: Sequence[FloatArray]) -> list[HeadAnswer]:
    """Does what the gateway does for one answer: calibrates each head, and recommends by the weakest."""
    answers = [answer_head(head, calibrator, each) for (head, calibrator), each in zip(heads, logits, strict=True)]
    confidences = {each.head: each.confidence for each in answers if isinstance(each, CategoryAnswer)}
    recommend(confidences, _UNCERTAINTY, _BOUNDS)
    return answers


def timed(call: Callable[[], object]) -> float:
    """Returns how long a call takes, in seconds of this process's own time."""
    started = time.process_time()
    call()
    return time.process_time() - started


if __name__ == "__main__":
    main()
