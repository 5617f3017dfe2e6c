"""Fits the feature density on a trained network's embeddings: class means, one shared covariance, and its whitening."""

import numpy as np
import numpy.typing as npt
import torch

from training.errors import TrainingError
from training.model import FeatureDensity

_SHRINKAGE = 1e-3


class DensityDataError(TrainingError):
    """The embeddings do not suffice to fit a density."""

    def __init__(self, *, photo_count: int, feature_width: int) -> None:
        """Keeps both counts."""
        super().__init__(
            f"A density over {feature_width} features cannot be fitted on {photo_count} labelled photos.",
            cure=f"Give at least {2 * feature_width} training photos that have labels of every decision head.",
        )
        self.photo_count = photo_count
        self.feature_width = feature_width


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


def fit_density(density: FeatureDensity, embeddings: npt.NDArray[np.float32], classes: npt.NDArray[np.int64]) -> None:
    """Fits in place. A class without a photo takes the mean of one that has some, which changes no distance.

    Args:
        density: What to fit.
        embeddings: [photo_count, feature_width] float32, of training photos.
        classes: [photo_count] int64 in [0, class_count), or -1 for photos to leave out.

    Raises:
        DensityDataError: Fewer than two photos a feature.
    """
    class_count, width = density.means.shape
    chosen = embeddings[classes >= 0].astype(np.float64)
    classes = classes[classes >= 0]
    if len(chosen) < 2 * width:
        raise DensityDataError(photo_count=len(chosen), feature_width=width)
    unit = chosen / np.linalg.norm(chosen, axis=1, keepdims=True).clip(1e-12)
    seen = np.unique(classes)
    means = np.tile(unit[classes == seen[0]].mean(axis=0), (class_count, 1))
    for each in seen:
        means[each] = unit[classes == each].mean(axis=0)
    residuals = unit - means[classes]
    covariance = residuals.T @ residuals / len(residuals)
    covariance += _SHRINKAGE * np.trace(covariance) / width * np.eye(width)
    values, vectors = np.linalg.eigh(covariance)
    whitening = vectors / np.sqrt(values)
    density.whitening.copy_(torch.from_numpy(whitening.astype(np.float32)))
    density.means.copy_(torch.from_numpy((means @ whitening).astype(np.float32)))
