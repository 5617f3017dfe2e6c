"""What a trained network is worth on a split: one report a head, before any engine or calibrator.

The dataset's known posteriors, where it has them, say what no model could beat.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from server.domain.task import Head, HeadKind, Task
from training.asking import said_of
from training.learner import head_metrics
from training.model import InspectionNetwork
from training.photo_data import PhotoSplit, iterate_images
from training.progress import Follow, unfollowed

_BATCH = 64


@dataclass(frozen=True, slots=True)
class HeadReport:
    """One head on one split.

    Attributes:
        head: Its id.
        photo_count: Photos looked at.
        metrics: By name, e.g. `accuracy`, `f1`, `mcc`, `log_loss`.
        best_accuracy: The accuracy of one who knows the posteriors; None if the dataset has none.
        label_accuracies: By label: recall for a category, accuracy for an attribute; NaN without such photos.
    """

    head: str
    photo_count: int
    metrics: Mapping[str, float]
    best_accuracy: float | None
    label_accuracies: Mapping[str, float]


def evaluate(
    network: InspectionNetwork,
    split: PhotoSplit,
    task: Task,
    *,
    mixed_precision: bool = False,
    on_photo: Follow = unfollowed,
) -> tuple[HeadReport, ...]:
    """Reports on every head, in the task's order.

    Args:
        network: In evaluation mode.
        split: The photos.
        task: The taxonomy.
        mixed_precision: Multiplies in bfloat16.
        on_photo: Follows them.
    """
    collected: dict[str, list[Tensor]] = {head.id: [] for head in task.heads}
    done = 0
    batches = iterate_images(split, batch_size=_BATCH)
    for output in said_of(network, batches, mixed_precision=mixed_precision):
        for head, said in output.heads.items():
            collected[head].append(said.effective_logits)
        done += len(output.look)
        on_photo(done, len(split))
    return report_heads({head: torch.cat(each) for head, each in collected.items()}, split, task)


def report_heads(logits: Mapping[str, Tensor], split: PhotoSplit, task: Task) -> tuple[HeadReport, ...]:
    """Reports on every head, in the task's order, from what a network said.

    Args:
        logits: By head id, [photo_count, label_count] float32. Effective logits.
        split: The photos.
        task: The taxonomy.
    """
    return tuple(_report(head, logits[head.id], split) for head in task.heads)


def _report(head: Head, logits: Tensor, split: PhotoSplit) -> HeadReport:
    labels = torch.from_numpy(split.labels[head.id]).long()
    collection = head_metrics(head)
    collection.update(logits, labels)
    prefix = f"val_{head.id}_"
    metrics = {name.removeprefix(prefix): float(value) for name, value in collection.compute().items()}
    if head.kind is HeadKind.CATEGORY:
        known = labels >= 0
        metrics["log_loss"] = float(torch.nn.functional.cross_entropy(logits[known], labels[known]))
        right = logits.argmax(dim=1) == labels
        each = {label: right[labels == place] for place, label in enumerate(head.labels)}
    else:
        known = labels >= 0
        losses = torch.nn.functional.binary_cross_entropy_with_logits(logits, labels.float(), reduction="none")
        metrics["log_loss"] = float(losses[known].mean())
        right = (logits > 0) == (labels == 1)
        each = {label: right[known[:, place], place] for place, label in enumerate(head.labels)}
    accuracies = {label: float(chosen.float().mean()) for label, chosen in each.items()}
    return HeadReport(head.id, len(labels), metrics, best_accuracy(head, split), accuracies)


def best_accuracy(head: Head, split: PhotoSplit) -> float | None:
    """Returns the accuracy on a split of one who knows its posteriors; None if the dataset does not say them."""
    posteriors = [record.posteriors[head.id] for record in split.records if head.id in record.posteriors]
    if len(posteriors) != len(split):
        return None
    table = np.asarray(posteriors)
    return float(table.max(axis=1).mean() if head.kind is HeadKind.CATEGORY else np.maximum(table, 1 - table).mean())
