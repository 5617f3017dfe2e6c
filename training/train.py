"""One training run, from a dataset to a sealed checkpoint folder."""

import json
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import lightning.pytorch as pl
import numpy as np
import numpy.typing as npt
import torch
from lightning.pytorch.callbacks import EMAWeightAveraging, ModelCheckpoint, RichProgressBar

from server.domain.task import Task
from training.checkpoint import (
    HISTORY_NAME,
    PROGRAM_NAME,
    WEIGHTS_NAME,
    Checkpoint,
    build_network,
    describe_data,
    latest_run,
    load_network,
    read_checkpoint,
    save_program,
    save_weights,
    seal,
    write_photo_lists,
)
from training.dataset import PhotoRecord
from training.density import density_classes, fit_density
from training.errors import OtherNetworkError
from training.evaluate import evaluate
from training.history import History
from training.learner import MONITORED, Learner
from training.model import InspectionNetwork
from training.photo_data import PhotoSplit, iterate_images, open_splits, photo_loader, records_by_split
from training.progress import Follow, unfollowed
from training.recipe import StageSection, TrainingSection, Variant
from training.served_size import BestAtServedSize, PatienceAtServedSize
from training.task_file import Split, TaskFile
from training.teacher import ask_teacher, taught_by

_EVALUATION_BATCH = 256
_DRY_BATCHES = 2
_DENSITY_BATCH = 16
_DENSITY_PHOTOS = 4_096
_DRY_DENSITY_PHOTOS = 512
_DRY_TAUGHT_PHOTOS = 64
_LOOKED_AT: tuple[Split, ...] = ("train", "val_select")
_LIGHTNING_FOLDER = "lightning"


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What to train.

    Attributes:
        task: The task file.
        tier: A tier of the task.
        variant: Its architecture.
        data_folder: The dataset.
        runs_folder: The run's folder is made in `<task>/<tier>/` of it.
        seed: Replaces the recipe's seed if not None.
        epochs: Replaces the recipe's epochs if not None.
        dry_run: Two batches of everything, in a folder that is thrown away.
        command: What the user typed, for the record.
    """

    task: TaskFile
    tier: str
    variant: Variant
    data_folder: Path
    runs_folder: Path
    seed: int | None = None
    epochs: int | None = None
    dry_run: bool = False
    command: str = "loupe-train train"

    @property
    def recipe(self) -> TrainingSection:
        """The tier's recipe with this request's own seed and epochs; asked-for epochs are all of the served size."""
        epochs = 1 if self.dry_run else self.epochs
        own = {"seed": self.seed, "stages": None if epochs is None else (StageSection(epochs=epochs),)}
        recipe = self.task.recipe(self.tier)
        return recipe.model_copy(update={name: value for name, value in own.items() if value is not None})


@dataclass(frozen=True, slots=True)
class RunResult:
    """What a run left behind.

    Attributes:
        folder: The sealed folder; gone by now after a dry run.
        checkpoint: What it says.
        callbacks: Names of the loop's callbacks, in order.
    """

    folder: Path
    checkpoint: Checkpoint
    callbacks: tuple[str, ...]


def train(request: RunRequest, *, on_photos: Follow = unfollowed, callbacks: Sequence[pl.Callback] = ()) -> RunResult:
    """Trains one tier.

    Args:
        request: What to train.
        on_photos: Follows the photos while their cache is made.
        callbacks: Join those of the loop.

    Raises:
        TrainingError: The dataset is missing, a split is empty, or the labels do not suffice.
    """
    if request.dry_run:
        with tempfile.TemporaryDirectory() as passing:
            return _train_into(Path(passing), request, on_photos, callbacks)
    return _train_into(_new_folder(request), request, on_photos, callbacks)


def _new_folder(request: RunRequest) -> Path:
    name = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    folder = request.runs_folder / request.task.id / request.tier / name
    folder.mkdir(parents=True)
    return folder


def _train_into(folder: Path, request: RunRequest, on_photos: Follow, callbacks: Sequence[pl.Callback]) -> RunResult:
    started = time.monotonic()
    recipe, task = request.recipe, request.task.to_domain()
    section = request.task.tier(request.tier).network(request.variant)
    torch.set_num_threads(recipe.threads)
    pl.seed_everything(recipe.seed, workers=True, verbose=False)
    records = records_by_split(request.data_folder, task_id=task.id)
    splits = open_splits(
        request.data_folder, task, splits=_LOOKED_AT, size_px=section.input_size_px, on_progress=on_photos
    )
    network = build_network(section, task)
    # Augmentation draws one view of a photo at a time; averaging over several is for the trained network.
    network.views = 1
    if recipe.teacher is not None:
        splits["train"] = _taught(splits["train"], request, recipe.teacher, on_photos)
    learner = Learner(network, task, recipe, sizes_px=recipe.sizes_px(section.input_size_px))
    history = History()
    steps = recipe.epochs * (len(splits["train"]) // recipe.batch_size)
    trainer = _trainer(
        folder,
        recipe,
        history,
        warmup_steps=round(recipe.warmup_share * steps),
        dry_run=request.dry_run,
        callbacks=callbacks,
    )
    trainer.fit(
        learner,
        photo_loader(splits["train"], batch_size=recipe.batch_size, shuffle_seed=recipe.seed),
        photo_loader(splits["val_select"], batch_size=_EVALUATION_BATCH, shuffle_seed=None),
    )
    _restore_best(trainer, learner)
    network.eval().views = section.views
    fit_feature_density(
        network, splits["train"], task, limit=_DRY_DENSITY_PHOTOS if request.dry_run else _DENSITY_PHOTOS
    )
    checkpoint = _write_checkpoint(
        folder,
        request,
        network,
        records,
        history=history.epochs,
        metrics=history.best(MONITORED),
        recipe=recipe,
        duration_s=time.monotonic() - started,
    )
    callbacks = tuple(type(each).__name__ for each in cast("list[pl.Callback]", vars(trainer)["callbacks"]))
    return RunResult(folder, checkpoint, callbacks)


def refit(request: RunRequest, *, on_photos: Follow = unfollowed) -> RunResult:
    """Gives the newest run's weights the task file's number of views: density, program and metrics are made anew.

    How many views pay is measured on a trained network (`loupe-train evaluate --views`), and wants no new training.

    Args:
        request: Which tier; its epochs and seed do not matter.
        on_photos: Follows the photos while their cache is made.

    Raises:
        TrainingError: There is no run, or its network is another one than the task file's in more than its views.
    """
    started = time.monotonic()
    task = request.task.to_domain()
    earlier = latest_run(request.runs_folder, task_id=task.id, tier=request.tier)
    told = read_checkpoint(earlier)
    section = request.task.tier(request.tier).network(request.variant)
    if told.network.model_copy(update={"views": section.views}) != section:
        raise OtherNetworkError(earlier, trained=told.network.model_dump(), wanted=section.model_dump())
    torch.set_num_threads(told.training.threads)
    network = load_network(earlier, task)
    network.views, network.section = section.views, section
    records = records_by_split(request.data_folder, task_id=task.id)
    splits = open_splits(
        request.data_folder, task, splits=_LOOKED_AT, size_px=section.input_size_px, on_progress=on_photos
    )
    fit_feature_density(network, splits["train"], task, limit=_DENSITY_PHOTOS)
    metrics = {
        f"val_{report.head}_{name}": value
        for report in evaluate(network, splits["val_select"], task)
        for name, value in report.metrics.items()
    }
    folder = _new_folder(request)
    checkpoint = _write_checkpoint(
        folder,
        replace(request, command=f"{told.command} && {request.command}"),
        network,
        records,
        history=json.loads((earlier / HISTORY_NAME).read_text("utf-8")),
        metrics=metrics,
        recipe=told.training,
        duration_s=told.duration_s + time.monotonic() - started,
    )
    return RunResult(folder, checkpoint, ())


def _taught(split: PhotoSplit, request: RunRequest, teacher: str, on_photos: Follow) -> PhotoSplit:
    """Returns the split with what the newest run of the teaching tier says of it."""
    chances = ask_teacher(
        latest_run(request.runs_folder, task_id=request.task.id, tier=teacher),
        request.task.to_domain(),
        data_folder=request.data_folder,
        split="train",
        limit=_DRY_TAUGHT_PHOTOS if request.dry_run else None,
        on_photo=on_photos,
    )
    return taught_by(split, chances)


def fit_feature_density(network: InspectionNetwork, split: PhotoSplit, task: Task, *, limit: int) -> None:
    """Fits the feature density of a trained network, over the combinations of the decision heads' labels.

    Args:
        network: Its density is fitted in place.
        split: Training photos.
        task: The taxonomy.
        limit: Looks at about so many photos: a shared covariance needs tens a feature, not all.
    """
    embeddings: list[npt.NDArray[np.float32]] = []
    seen = 0
    with torch.inference_mode():
        for images in iterate_images(split, batch_size=_DENSITY_BATCH):
            embeddings.append(network(images).embedding.numpy())
            seen += len(images)
            if seen >= limit:
                break
    labels = {head: split.labels[head][:seen].astype(np.int64) for head in task.decision_heads}
    counts = {head: len(task.head(head).labels) for head in task.decision_heads}
    fit_density(network.density, np.concatenate(embeddings), density_classes(labels, counts))


def _trainer(
    folder: Path,
    recipe: TrainingSection,
    history: History,
    *,
    warmup_steps: int,
    dry_run: bool,
    callbacks: Sequence[pl.Callback],
) -> pl.Trainer:
    return pl.Trainer(
        accelerator="auto",
        max_epochs=recipe.epochs,
        limit_train_batches=_DRY_BATCHES if dry_run else None,
        limit_val_batches=_DRY_BATCHES if dry_run else None,
        num_sanity_val_steps=0,
        gradient_clip_val=recipe.gradient_clip,
        precision="bf16-mixed" if recipe.mixed_precision else "32-true",
        callbacks=[
            # Averaging begins after the warm-up, so that no random weight is part of the average.
            EMAWeightAveraging(decay=recipe.ema_decay, update_starting_at_step=0 if dry_run else warmup_steps),
            PatienceAtServedSize(MONITORED, patience=recipe.patience_epochs, check_finite=True),
            BestAtServedSize(folder / _LIGHTNING_FOLDER, filename="best", monitor=MONITORED, save_weights_only=True),
            history,
            RichProgressBar(leave=True),
            *callbacks,
        ],
        logger=False,
        enable_model_summary=False,
        default_root_dir=folder,
    )


def _restore_best(trainer: pl.Trainer, learner: Learner) -> None:
    """Loads the averaged weights of the best epoch, and removes Lightning's own copy of them."""
    best = cast("ModelCheckpoint", trainer.checkpoint_callback).best_model_path
    # Lightning's file keeps the averaged weights under `state_dict`.
    state = torch.load(best, weights_only=True, map_location="cpu")["state_dict"]
    learner.cpu().load_state_dict(state)
    shutil.rmtree(Path(best).parent)


def _write_checkpoint(
    folder: Path,
    request: RunRequest,
    network: InspectionNetwork,
    records: Mapping[Split, tuple[PhotoRecord, ...]],
    *,
    history: Sequence[Mapping[str, float]],
    metrics: Mapping[str, float],
    recipe: TrainingSection,
    duration_s: float,
) -> Checkpoint:
    """Writes all files of a checkpoint, and seals it."""
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
        "tier": request.tier,
        "variant": request.variant,
        "network": network.section,
        "training": recipe,
        "attention_grid": save_program(network, folder / PROGRAM_NAME),
        "metrics": dict(metrics),
        "data": describe_data(request.data_folder, records),
        "command": request.command,
        "duration_s": round(duration_s, 1),
    }
    return seal(folder, facts)
