"""What Lightning runs: the network, its loss, its optimiser and its metrics a head. The loop itself is Lightning's."""

from typing import Any, cast

import lightning.pytorch as pl
import torch
from torch import Tensor, nn
from torchmetrics import Metric, MetricCollection
from torchmetrics.classification import (
    MulticlassAccuracy,
    MulticlassF1Score,
    MulticlassMatthewsCorrCoef,
    MultilabelAccuracy,
    MultilabelF1Score,
)

from server.domain.task import Head, HeadKind, Task
from training.augmentation import Augmentation, resized
from training.loss import MultiHeadLoss
from training.model import InspectionNetwork
from training.photo_data import Batch
from training.recipe import TrainingSection

MONITORED = "val_loss"
"""What early stopping and the choice of the checkpoint look at: the weighted log-loss on val_select."""


class Learner(pl.LightningModule):
    """One network in training."""

    def __init__(
        self, network: InspectionNetwork, task: Task, section: TrainingSection, *, sizes_px: tuple[int, ...]
    ) -> None:
        """Builds what the loop needs.

        Args:
            network: Trained in place.
            task: The taxonomy.
            section: The recipe.
            sizes_px: The side of the photos in each epoch; the last is the served size. Small photos teach coarse
                things in a fraction of the time (progressive resizing: Howard, "Training ImageNet in 3 hours for
                USD 25", 2018; Tan and Le, "EfficientNetV2", 2021).
        """
        super().__init__()
        self.network = network
        self.section = section
        self.sizes_px = sizes_px
        kinds = {head.id: head.kind for head in task.heads}
        self.loss = MultiHeadLoss(section.loss, kinds, teacher_share=section.teacher_share)
        self.augmentation = Augmentation(section.augmentation)
        self.val_metrics = nn.ModuleDict({head.id: head_metrics(head) for head in task.heads})

    @property
    def size_px(self) -> int:
        """The side of the photos in this epoch."""
        return self.sizes_px[min(self.current_epoch, len(self.sizes_px) - 1)]

    @property
    def is_at_served_size(self) -> bool:
        """Whether this epoch's photos are of the size at which the network will serve."""
        return self.size_px == self.sizes_px[-1]

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:  # noqa: ARG002 -- Lightning's signature
        """Returns the loss of a batch of changed photos."""
        images, labels, taught = batch
        outputs = self.network(self.augmentation(resized(images, self.size_px))).heads
        terms = self.loss(outputs, labels, taught)
        self.log(
            "train_loss", terms.total.detach(), on_step=False, on_epoch=True, prog_bar=True, batch_size=len(images)
        )
        for head, loss in terms.heads.items():
            self.log(f"train_{head}_loss", loss.detach(), on_step=False, on_epoch=True, batch_size=len(images))
        total: Tensor = terms.total
        return total

    def validation_step(self, batch: Batch, batch_idx: int) -> None:  # noqa: ARG002 -- Lightning's signature
        """Adds a batch of val_select to the metrics."""
        images, labels, _ = batch
        outputs = self.network(resized(images, self.size_px)).heads
        terms = self.loss(outputs, labels)
        # The uncertainty term is left out: it has no floor, and the log-loss already pays for noise.
        weighted = [self.section.loss.head_weights.get(head, 1.0) * loss for head, loss in terms.heads.items()]
        self.log(MONITORED, torch.stack(weighted).sum(), prog_bar=True, batch_size=len(images))
        for head, metrics in self.val_metrics.items():
            cast("MetricCollection", metrics).update(outputs[head].effective_logits, labels[head].long())

    def on_validation_epoch_end(self) -> None:
        """Logs the metrics of each head."""
        for metrics in self.val_metrics.values():
            collection = cast("MetricCollection", metrics)
            self.log_dict(collection.compute())
            collection.reset()

    def configure_optimizers(self) -> Any:
        """Returns AdamW (no decay on biases and norms) under a cosine schedule with linear warm-up."""
        decayed: list[nn.Parameter] = []
        plain: list[nn.Parameter] = []
        for parameter in self.network.parameters():
            (decayed if parameter.ndim > 1 else plain).append(parameter)
        optimiser = torch.optim.AdamW(
            [{"params": decayed, "weight_decay": self.section.weight_decay}, {"params": plain, "weight_decay": 0.0}],
            lr=self.section.learning_rate,
            foreach=True,
        )
        steps = int(self.trainer.estimated_stepping_batches)
        warmup = max(1, round(self.section.warmup_share * steps))
        rising = torch.optim.lr_scheduler.LinearLR(optimiser, start_factor=0.05, total_iters=warmup)
        falling = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, T_max=max(1, steps - warmup))
        schedule = torch.optim.lr_scheduler.SequentialLR(optimiser, [rising, falling], milestones=[warmup])
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def head_metrics(head: Head) -> MetricCollection:
    """Returns fresh metrics of one head, named `val_<head>_<metric>`; photos without a label are left out."""
    count = len(head.labels)
    metrics: dict[str, Metric | MetricCollection]
    if head.kind is HeadKind.CATEGORY:
        metrics = {
            "accuracy": MulticlassAccuracy(count, average="micro", ignore_index=-1),
            "f1": MulticlassF1Score(count, average="macro", ignore_index=-1),
            "mcc": MulticlassMatthewsCorrCoef(count, ignore_index=-1),
        }
    else:
        metrics = {
            "accuracy": MultilabelAccuracy(count, average="macro", ignore_index=-1),
            "f1": MultilabelF1Score(count, average="macro", ignore_index=-1),
        }
    return MetricCollection(metrics, prefix=f"val_{head.id}_")
