"""Fits the feature density on what training photos look like: class means, one shared covariance, and its whitening."""

import numpy as np
import numpy.typing as npt
import torch
from sklearn.covariance import ledoit_wolf

from training.errors import TrainingError
from training.model import FeatureDensity

LEAST_PHOTOS = 20
"""Of fewer, even a covariance that is shrunk says nothing."""


class DensityDataError(TrainingError):
    """There are too few photos to fit a density on."""

    def __init__(self, *, photo_count: int) -> None:
        """Keeps their count."""
        super().__init__(
            f"A density of features cannot be fitted on {photo_count} labelled photos.",
            cure=f"Give at least {LEAST_PHOTOS} training photos that have labels of every decision head.",
        )
        self.photo_count = photo_count


def density_classes(labels: dict[str, npt.NDArray[np.int64]], label_counts: dict[str, int]) -> npt.NDArray[np.int64]:
    """Returns one class a photo: the combination of its decision heads' labels.

    Args:
        labels: By decision head id, [photo_count] int64 indices; below 0: missing.
        label_counts: By decision head id.

    Returns:
        [photo_count] int64 in [0, product of the label counts); -1 where a label is missing.
    """
    classes = np.zeros(len(next(iter(labels.values()))), dtype=np.int64)
    is_known = np.ones(len(classes), dtype=bool)
    for head, indices in labels.items():
        classes = classes * label_counts[head] + indices
        is_known &= indices >= 0
    return np.where(is_known, classes, -1)


def fit_density(density: FeatureDensity, features: npt.NDArray[np.float32], classes: npt.NDArray[np.int64]) -> None:
    """Fits in place. A class without a photo takes the mean of one that has some, which changes no distance.

    The covariance is shrunk towards that of independent features, by as much as the number of photos asks for (Ledoit
    and Wolf, "A well-conditioned estimator for large-dimensional covariance matrices", 2004): there may be fewer photos
    than features.

    Args:
        density: What to fit.
        features: [photo_count, width] float32, of training photos.
        classes: [photo_count] int64 in [0, class_count), or -1 for photos to leave out.

    Raises:
        DensityDataError: Fewer than `LEAST_PHOTOS` with a class.
    """
    class_count, _ = density.class_means.shape
    chosen = features[classes >= 0].astype(np.float64)
    classes = classes[classes >= 0]
    if len(chosen) < LEAST_PHOTOS:
        raise DensityDataError(photo_count=len(chosen))
    seen = np.unique(classes)
    means = np.tile(chosen[classes == seen[0]].mean(axis=0), (class_count, 1))
    for each in seen:
        means[each] = chosen[classes == each].mean(axis=0)
    residuals = chosen - means[classes]
    covariance, _ = ledoit_wolf(residuals, assume_centered=True)
    values, vectors = np.linalg.eigh(covariance)
    whitening = vectors / np.sqrt(values)
    density.whitening.copy_(torch.from_numpy(whitening.astype(np.float32)))
    density.class_means.copy_(torch.from_numpy((means @ whitening).astype(np.float32)))
