"""Labels drawn from a known truth, and one of every kind of map."""

import numpy as np

from server.domain.calibration.binary_maps import Beta, BinaryIdentity, CentredIsotonic, Platt
from server.domain.calibration.calibrator import AttributeMaps, HeadMap
from server.domain.calibration.category_maps import Identity, SmoothedTemperature, StructuredMatrix, StructuredVector
from server.domain.calibration.probability import DoubleArray
from server.domain.calibration.top_label import TopLabel

TEMPERATURE = SmoothedTemperature(1.5, 0.01)
BINARY_MAPS = (
    BinaryIdentity(),
    Platt(0.7, -0.3, 0.001),
    Platt(0.0, -2.0, 0.001),
    Beta(0.5, 1.4, 0.2, 0.001),
    CentredIsotonic((-2.0, 0.5, 3.0), (0.01, 0.4, 0.99)),
    CentredIsotonic((0.0,), (0.3,)),
)
MONOTONE_MAPS: tuple[HeadMap, ...] = (
    Identity(),
    TEMPERATURE,
    *(TopLabel(TEMPERATURE, each) for each in BINARY_MAPS),
    *(TopLabel(Identity(), each) for each in BINARY_MAPS),
)
FREE_MAPS: tuple[HeadMap, ...] = (
    StructuredVector(TEMPERATURE, (1.0, 0.8, 1.3), (0.1, -0.2, 0.0)),
    StructuredMatrix(TEMPERATURE, ((1.0, 0.1, -0.2), (0.0, 0.9, 0.1), (0.3, 0.0, 1.1)), (0.1, -0.2, 0.0)),
    TopLabel(StructuredVector(TEMPERATURE, (1.0, 0.8, 1.3), (0.1, -0.2, 0.0)), BINARY_MAPS[1]),
)
CATEGORY_MAPS = (*MONOTONE_MAPS, *FREE_MAPS)
ATTRIBUTE_MAPS = AttributeMaps((BINARY_MAPS[1], BINARY_MAPS[3], BINARY_MAPS[4]))


def draw_labels(probabilities: DoubleArray, seed: int) -> np.ndarray:
    """Draws one label an item from its true distribution [item_count, label_count]."""
    uniform = np.random.default_rng(seed).random((len(probabilities), 1))
    return (probabilities.cumsum(axis=1) < uniform).sum(axis=1).clip(max=probabilities.shape[1] - 1)
