"""Callbacks that pass over the epochs on smaller photos: what they reach says little of what the network will be."""

from typing import cast

import lightning.pytorch as pl
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint

from training.learner import Learner


class _OfJudgedEpochs(pl.Callback):
    """Passes the ends of epochs on to the callback behind it, but for epochs on smaller photos."""

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Passes it on."""
        if cast("Learner", pl_module).is_judged:
            super().on_validation_end(trainer, pl_module)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Passes it on."""
        if cast("Learner", pl_module).is_judged:
            super().on_train_epoch_end(trainer, pl_module)


class JudgedPatience(_OfJudgedEpochs, EarlyStopping):
    """Early stopping that counts no epoch on smaller photos."""


class BestJudged(_OfJudgedEpochs, ModelCheckpoint):
    """Keeps the best epoch of those that are judged."""
