"""How much each label weighs in the training loss, from how often it occurs among the training photos."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from server.domain.task import HeadKind, Task
from training.photo_data import LabelArrays
from training.recipe import LossSection

LabelWeights = Mapping[str, Tensor]
"""By head id, float32. Category: [label_count]. Attributes: [label_count, 2], where absent and where present."""


def label_weights(labels: LabelArrays, task: Task, section: LossSection) -> LabelWeights:
    """Returns the weights of all labels; nothing if the recipe balances nothing.

    `inverse` weighs a label by one over its count; `effective_number` by one over the number of really different
    photos that so many stand for, `(1 - beta ** count) / (1 - beta)` (Cui et al., "Class-balanced loss based on
    effective number of samples", 2019). Over the training photos the weights of a head have mean 1 before they are
    limited.

    Args:
        labels: Of the training photos.
        task: The taxonomy.
        section: How to balance.
    """
    if section.class_balance == "none":
        return {}
    weights: dict[str, Tensor] = {}
    for head in task.heads:
        each = labels[head.id]
        if head.kind is HeadKind.CATEGORY:
            counts = np.bincount(each[each >= 0].astype(np.int64), minlength=len(head.labels))
            table = _weights(counts, section)
        else:
            pairs = np.stack([(each == 0).sum(axis=0), (each == 1).sum(axis=0)], axis=1)
            table = np.stack([_weights(pair, section) for pair in pairs])
        weights[head.id] = torch.from_numpy(table.astype(np.float32))
    return weights


def _weights(counts: npt.NDArray[np.int64], section: LossSection) -> npt.NDArray[np.float64]:
    """Returns a weight for each count; a label that never occurs weighs 1, as no photo will ask."""
    seen = np.maximum(counts, 1).astype(np.float64)
    beta = section.effective_number_beta
    share = seen if section.class_balance == "inverse" else (1 - beta**seen) / (1 - beta)
    raw = np.where(counts > 0, 1 / share, 0)
    mean = (raw * counts).sum() / max(1, counts.sum())
    scaled = np.where(counts > 0, raw / max(mean, np.finfo(np.float64).tiny), 1.0)
    limited: npt.NDArray[np.float64] = scaled.clip(1 / section.largest_class_weight, section.largest_class_weight)
    return limited
