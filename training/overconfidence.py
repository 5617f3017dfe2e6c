"""The over-confidence term: how far, within a batch, confidence is from being right as often as it says.

Maximum mean calibration error: Kumar, Sarawagi, Jain, "Trainable calibration measures for neural networks from kernel
mean embeddings", 2018. It is 0 only where confidences are calibrated, so that, unlike a penalty on low entropy
(Pereyra et al., "Regularizing neural networks by penalizing confident output distributions", 2017) or label smoothing,
it costs a network nothing to be sure where it is right.
"""

import torch
from torch import Tensor

_KERNEL_WIDTH = 0.4
_SMALLEST = 1e-12


def category_errors(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Returns confidences of the likeliest labels, and by how much they exceed having been right.

    Args:
        logits: [count, label_count] float32.
        labels: [count] int64, none of them missing.

    Returns:
        [count] float32 confidences, and [count] float32 confidence minus 1 where right, minus 0 where wrong.
    """
    confidences, guesses = logits.softmax(dim=1).max(dim=1)
    return confidences, confidences - (guesses == labels).float()


def attribute_errors(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the same for independent labels.

    Args:
        logits: [count] float32.
        labels: [count] float32, 0 or 1.
    """
    chances = logits.sigmoid()
    confidences = torch.maximum(chances, 1 - chances)
    return confidences, confidences - ((logits > 0) == (labels > 0.5)).float()  # noqa: PLR2004 -- half of a chance


def calibration_error(confidences: Tensor, errors: Tensor) -> Tensor:
    """Returns the maximum mean calibration error of some answers, a scalar; 0 of none.

    Args:
        confidences: [count] float32.
        errors: [count] float32. Confidence minus whether it was right.
    """
    if len(errors) == 0:
        return errors.sum()
    distances = (confidences.unsqueeze(0) - confidences.unsqueeze(1)).abs()
    products = errors.unsqueeze(0) * errors.unsqueeze(1) * torch.exp(-distances / _KERNEL_WIDTH)
    # The root's slope has no bound at 0.
    return products.mean().clamp_min(_SMALLEST).sqrt()
