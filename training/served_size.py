"""Callbacks that judge a network only at the size of photos at which it will serve."""

from typing import cast

import lightning.pytorch as pl
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint

from training.learner import Learner


class _AtServedSizeOnly(pl.Callback):
    """Passes the ends of epochs on to the callback behind it, but for epochs on smaller photos."""

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Passes it on."""
        if cast("Learner", pl_module).is_at_served_size:
            super().on_validation_end(trainer, pl_module)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Passes it on."""
        if cast("Learner", pl_module).is_at_served_size:
            super().on_train_epoch_end(trainer, pl_module)


class PatienceAtServedSize(_AtServedSizeOnly, EarlyStopping):
    """Early stopping that counts no epoch on smaller photos."""


class BestAtServedSize(_AtServedSizeOnly, ModelCheckpoint):
    """Keeps the best epoch of those on photos of the served size."""
