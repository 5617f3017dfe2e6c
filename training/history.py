"""Remembers the metrics of every epoch, as plain numbers."""

from typing import Any

import lightning.pytorch as pl
from torch import Tensor


class History(pl.Callback):
    """Collects what was logged, an entry a finished epoch."""

    def __init__(self) -> None:
        self.epochs: list[dict[str, float]] = []

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        """Opens the entry of this epoch."""
        self.epochs.append({"epoch": trainer.current_epoch})

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        """Fills the entry of this epoch; Lightning has validated by now."""
        logged = trainer.callback_metrics
        self.epochs[-1] |= {name: float(value) for name, value in logged.items() if isinstance(value, Tensor)}

    def state_dict(self) -> dict[str, Any]:
        """Returns the epochs, for a run that resumes."""
        return {"epochs": self.epochs}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes back the epochs of an earlier process."""
        self.epochs = list(state_dict["epochs"])

    def of(self, epoch: int) -> dict[str, float]:
        """Returns the entry of an epoch; KeyError if it has none."""
        return {int(each["epoch"]): each for each in self.epochs}[epoch]
