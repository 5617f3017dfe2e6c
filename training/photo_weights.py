"""How often a training photo is drawn: by how far its labels are trusted, and by where it was taken."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from training.dataset import PhotoRecord
from training.errors import TrainingError
from training.place_sampling import SamplingSection, place_weights


class NothingTrustedError(TrainingError):
    """No training photo has labels that are trusted at all."""

    def __init__(self) -> None:
        """Says what a weight is."""
        super().__init__("All training photos have weight 0.", cure="Import photos whose labels are trusted.")


def sampling_weights(records: Sequence[PhotoRecord], section: SamplingSection) -> npt.NDArray[np.float64] | None:
    """Returns [photo_count] float64, at least 0: trust times the weight of the place; None if all are alike.

    Args:
        records: The training photos.
        section: Whether and how places count.

    Raises:
        TrainingError: Places are to count but no target is named, or no photo is trusted.
    """
    weights = np.array([record.weight for record in records], dtype=np.float64)
    if section.by_place:
        weights *= place_weights([record.place for record in records], section)
    if not weights.any():
        raise NothingTrustedError
    return None if np.all(weights == weights[0]) else weights
