"""The loop: Lightning's trainer with the callbacks that a recipe asks for."""

import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, cast

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import RichProgressBar
from torch.utils.data import DataLoader

from training.batch_order import BatchOrder
from training.devices import ThawingDevicesError, mixes_precision, trainer_devices
from training.fine_tuning import fine_tuning_callbacks
from training.history import History
from training.learner import MONITORED
from training.moving_average import MovingAverage
from training.photo_data import Batch
from training.resume import BEST_FOLDER, ResumePoint
from training.run_request import RunRequest
from training.served_size import BestAtServedSize, PatienceAtServedSize

_DRY_BATCHES = 2
_BEST_NAME = "best"


class Loop(NamedTuple):
    """Lightning's trainer, and those of its callbacks whose state is asked for afterwards."""

    trainer: pl.Trainer
    history: History
    best: BestAtServedSize

    @property
    def callbacks(self) -> dict[str, str]:
        """By name, what each does: the first sentence of its docstring."""
        kinds = [type(each) for each in cast("list[pl.Callback]", vars(self.trainer)["callbacks"])]
        return {kind.__name__: inspect.cleandoc(kind.__doc__ or "").partition(".")[0] for kind in kinds}


def build_loop(
    unfinished: Path,
    request: RunRequest,
    loader: DataLoader[Batch],
    callbacks: Sequence[pl.Callback],
    *,
    steps: int,
    began_s: float,
) -> Loop:
    """Returns the loop of one run.

    Args:
        unfinished: Where its states and its best weights are kept until it is sealed.
        request: Its recipe; a dry run stops after two batches.
        loader: The training photos; its order is part of a state.
        callbacks: Join those of the loop.
        steps: Of the optimiser, in all.
        began_s: When the run began, by `time.monotonic`.

    Raises:
        ThawingDevicesError: A frozen backbone is to be thawed in several processes.
    """
    recipe, history = request.recipe, History()
    warmup_steps = 0 if request.dry_run else round(recipe.warmup_share * steps)
    is_chosen = recipe.kept_epoch == "best"
    # Lightning keeps the newest epoch where it monitors nothing.
    best = BestAtServedSize(unfinished / BEST_FOLDER, filename=_BEST_NAME, monitor=MONITORED if is_chosen else None)
    patience = (
        [PatienceAtServedSize(MONITORED, patience=recipe.patience_epochs, check_finite=True)] if is_chosen else []
    )
    point = ResumePoint(
        unfinished,
        cast("BatchOrder", loader.sampler),
        every_minutes=recipe.state_every_minutes,
        every_steps=recipe.state_every_steps,
        began_s=began_s,
    )
    trainer = pl.Trainer(
        accelerator="auto",
        # A GPU's fastest kernels add in any order: the same seed would give other weights.
        deterministic="warn" if torch.cuda.is_available() else None,
        max_epochs=recipe.epochs,
        limit_train_batches=_DRY_BATCHES if request.dry_run else None,
        limit_val_batches=_DRY_BATCHES if request.dry_run else None,
        num_sanity_val_steps=0,
        gradient_clip_val=recipe.gradient_clip,
        precision="bf16-mixed" if mixes_precision(recipe) else "32-true",
        callbacks=[
            # Averaging begins after the warm-up, so that no random weight is part of the average.
            MovingAverage(decay=recipe.ema_decay, from_step=warmup_steps),
            *fine_tuning_callbacks(recipe.fine_tuning),
            *patience,
            history,
            RichProgressBar(leave=True),
            *callbacks,
            best,
            point,
        ],
        logger=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        **trainer_devices(recipe),
    )
    if recipe.fine_tuning.unfreeze_after_epochs is not None and trainer.world_size > 1:
        raise ThawingDevicesError(devices=trainer.world_size)
    return Loop(trainer, history, best)
