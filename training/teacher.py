"""What a trained tier says of photos that a smaller one learns from."""

import os
from hashlib import sha256
from itertools import islice
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

from server.domain.task import HeadKind, Task
from training.asking import said_of
from training.checkpoint import CHECKPOINT_NAME, file_sha256, load_network, read_checkpoint
from training.devices import mixes_precision
from training.photo_data import Chances, PhotoSplit, iterate_images, open_splits
from training.progress import Follow, unfollowed
from training.task_file import Split

_BATCH = 16
_KEPT_FOLDER = "answers"


def ask_teacher(
    folder: Path, task: Task, *, data_folder: Path, split: Split, limit: int | None, on_photo: Follow = unfollowed
) -> Chances:
    """Returns a checkpoint's answers, as it gives them when it serves: in all its views.

    They are kept beside the checkpoint, by digest: the next pupil need not wait for them.

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
    section = checkpoint.network
    opened = open_splits(data_folder, task, splits=[split], size_px=section.input_size_px, framing=section.framing)
    photos = opened[split]
    wanted = len(photos) if limit is None else min(limit, len(photos))
    kept = folder / _KEPT_FOLDER / f"{split}_{_digest(folder, photos, wanted)}.safetensors"
    if kept.is_file():
        on_photo(wanted, wanted)
        known: Chances = load_file(kept)
        return known
    chances: Chances = {
        head.id: np.full((len(photos), len(head.labels)), np.nan, dtype=np.float32) for head in task.heads
    }
    done = 0
    batches = islice(iterate_images(photos, batch_size=_BATCH), -(-wanted // _BATCH))
    for output in said_of(network, batches, mixed_precision=mixes_precision(checkpoint.training)):
        first, done = done, done + len(output.look)
        for head, said in output.heads.items():
            is_category = task.head(head).kind is HeadKind.CATEGORY
            logits = said.effective_logits
            chances[head][first:done] = (logits.softmax(dim=1) if is_category else logits.sigmoid()).numpy()
        on_photo(min(done, wanted), wanted)
    kept.parent.mkdir(exist_ok=True)
    aside = kept.with_name(f".{kept.name}.{os.getpid()}")
    save_file(chances, aside)
    aside.rename(kept)
    return chances


def _digest(folder: Path, photos: PhotoSplit, wanted: int) -> str:
    """Names who was asked about which photos."""
    parts = (file_sha256(folder / CHECKPOINT_NAME), str(wanted), *(each.sha256 for each in photos.records))
    return sha256("\n".join(parts).encode()).hexdigest()[:16]


def taught_by(split: PhotoSplit, chances: Chances) -> PhotoSplit:
    """Returns the split with a teacher's answers beside its labels."""
    return PhotoSplit(split.records, split.pixels, split.labels, chances)
