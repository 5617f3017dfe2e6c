"""What a trained tier says of photos that a smaller one learns from."""

from pathlib import Path

import numpy as np
import torch

from server.domain.task import HeadKind, Task
from training.checkpoint import load_network, read_checkpoint
from training.photo_data import Chances, PhotoSplit, iterate_images, open_splits
from training.progress import Follow, unfollowed
from training.task_file import Split

_BATCH = 16


def ask_teacher(
    folder: Path, task: Task, *, data_folder: Path, split: Split, limit: int | None, on_photo: Follow = unfollowed
) -> Chances:
    """Returns a checkpoint's answers, as it gives them when it serves: in all its views.

    Args:
        folder: The checkpoint.
        task: The taxonomy, the same for teacher and pupil.
        data_folder: The dataset.
        split: Which photos.
        limit: Asks about so many photos only; None for all.
        on_photo: Called with (photos done, photos in all).
    """
    checkpoint = read_checkpoint(folder)
    network = load_network(folder, task)
    photos = open_splits(data_folder, task, splits=[split], size_px=checkpoint.network.input_size_px)[split]
    wanted = len(photos) if limit is None else min(limit, len(photos))
    chances: Chances = {
        head.id: np.full((len(photos), len(head.labels)), np.nan, dtype=np.float32) for head in task.heads
    }
    done = 0
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=checkpoint.training.mixed_precision):
        for images in iterate_images(photos, batch_size=_BATCH):
            if done >= wanted:
                break
            for head, output in network(images).heads.items():
                logits = output.effective_logits
                is_category = task.head(head).kind is HeadKind.CATEGORY
                said = logits.softmax(dim=1) if is_category else logits.sigmoid()
                chances[head][done : done + len(images)] = said.numpy()
            done = min(done + len(images), len(photos))
            on_photo(min(done, wanted), wanted)
    return chances


def taught_by(split: PhotoSplit, chances: Chances) -> PhotoSplit:
    """Returns the split with a teacher's answers beside its labels."""
    return PhotoSplit(split.records, split.pixels, split.labels, chances)
