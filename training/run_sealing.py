"""What is done once the loop has ended: the feature density, the traced program, and the sealed folder."""

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from server.domain.task import Task
from training.asking import said_of
from training.checkpoint import (
    HISTORY_NAME,
    PROGRAM_NAME,
    WEIGHTS_NAME,
    Checkpoint,
    EarlierRun,
    describe_data,
    save_program,
    save_weights,
    seal,
    write_photo_lists,
)
from training.dataset import PhotoRecord
from training.density import density_classes, fit_density
from training.evaluate import evaluate
from training.model import InspectionNetwork
from training.photo_data import PhotoSplit, spread_places
from training.progress import Follow, unfollowed
from training.recipe import TrainingSection
from training.run_request import RunRequest
from training.task_file import Split

LOOKED_AT: tuple[Split, ...] = ("train", "val_select")
"""The splits that training looks at."""

_DENSITY_BATCH = 16
_DENSITY_PHOTOS = 4_096
# A view takes as long as a photo: networks in several are asked about fewer.
_MOST_VIEWS = 8_192


def density_photos(views: int) -> int:
    """Returns on how many photos, at most, the density of a network in so many views is fitted."""
    return min(_DENSITY_PHOTOS, _MOST_VIEWS // views)


def fit_feature_density(
    network: InspectionNetwork, split: PhotoSplit, task: Task, *, limit: int, on_photo: Follow = unfollowed
) -> None:
    """Fits the feature density of a trained network, over the combinations of the decision heads' labels.

    Args:
        network: Its density is fitted in place.
        split: Training photos.
        task: The taxonomy.
        limit: Looks at so many photos, spread over the split: a shared covariance needs tens a feature, not all.
        on_photo: Follows them.
    """
    photos = spread_places(len(split), limit)
    looks: list[npt.NDArray[np.float32]] = []
    places = (photos[first : first + _DENSITY_BATCH] for first in range(0, len(photos), _DENSITY_BATCH))
    done = 0
    for output in said_of(network, (torch.from_numpy(split.pixels[each]) for each in places)):
        looks.append(output.look.numpy())
        done += len(output.look)
        on_photo(done, len(photos))
    labels = {head: split.labels[head][photos].astype(np.int64) for head in task.decision_heads}
    counts = {head: len(task.head(head).labels) for head in task.decision_heads}
    fit_density(network.density, np.concatenate(looks), density_classes(labels, counts))


def measured(
    network: InspectionNetwork, split: PhotoSplit, task: Task, *, mixed_precision: bool, on_photo: Follow = unfollowed
) -> dict[str, float]:
    """Returns the metrics of a network in the views in which it will serve, named and rounded as the loop does.

    Args:
        network: In evaluation mode.
        split: Of a large one, only photos that are evenly spaced over it are looked at: 2,048 in four views.
        task: The taxonomy.
        mixed_precision: Multiplies in bfloat16.
        on_photo: Follows them.
    """
    seen = split.spread(_MOST_VIEWS // network.views)
    reports = evaluate(network, seen, task, mixed_precision=mixed_precision, on_photo=on_photo)
    return {f"val_{each.head}_{name}": value for each in reports for name, value in each.metrics.items()}


def write_checkpoint(
    folder: Path,
    request: RunRequest,
    network: InspectionNetwork,
    records: Mapping[Split, tuple[PhotoRecord, ...]],
    *,
    history: Sequence[Mapping[str, float]],
    metrics: Mapping[str, float],
    recipe: TrainingSection,
    began_s: float,
    trained_share: float | None = None,
    precision: str | None = None,
    earlier: Mapping[str, EarlierRun],
) -> Checkpoint:
    """Writes all files of a checkpoint, and seals it.

    Args:
        folder: Of the run.
        request: What was trained.
        network: The trained network, in evaluation mode.
        records: The photos of every split.
        history: The metrics of every epoch.
        metrics: Of the epoch that was kept.
        recipe: By which it was trained.
        began_s: When the run would have begun, by `time.monotonic`, had it never been interrupted.
        trained_share: Of the weights, how many were trained; None if unknown.
        precision: In which it was trained; None if unknown.
        earlier: The runs that had a part in it.
    """
    save_weights(network, folder / WEIGHTS_NAME)
    write_photo_lists(folder, records)
    (folder / HISTORY_NAME).write_text(json.dumps(history, indent=2) + "\n", encoding="utf-8")
    task = request.task.to_domain()
    facts = {
        "task_id": task.id,
        "task_title": task.title,
        "heads": request.task.heads,
        "decision_heads": task.decision_heads,
        "least_accuracies": request.task.gates.least_accuracies,
        "least_mccs": request.task.gates.least_mccs,
        "tier": request.tier,
        "variant": request.variant,
        "network": network.section,
        "training": recipe,
        "attention_grid": save_program(network, folder / PROGRAM_NAME),
        "metrics": dict(metrics),
        "data": describe_data(request.data_folder, records),
        "command": request.command,
        "duration_s": round(time.monotonic() - began_s, 1),
        "trained_share": trained_share,
        "precision": precision,
        "earlier": dict(earlier),
    }
    return seal(folder, facts)
