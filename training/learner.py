"""What Lightning runs: the network, its loss, its optimiser and its metrics a head. The loop itself is Lightning's."""

import logging
import math
import shutil
from collections.abc import Callable, Mapping
from typing import Any, cast

import lightning.pytorch as pl
import torch
from torch import Tensor, nn
from torchmetrics import MeanMetric, Metric, MetricCollection
from torchmetrics.classification import (
    MulticlassAccuracy,
    MulticlassF1Score,
    MulticlassMatthewsCorrCoef,
    MultilabelAccuracy,
    MultilabelF1Score,
)

from server.domain.task import Head, HeadKind, Task
from training.augmentation import Augmentation, PhotoMixing, resized
from training.class_balance import LabelWeights
from training.errors import TrainingError
from training.fine_tuning import orthogonality
from training.loss import LossTerms, MultiHeadLoss
from training.model import InspectionNetwork, NetworkOutput
from training.photo_data import Batch
from training.recipe import TrainingSection

_CPU_COMPILERS = ("g++", "clang++")
_GPU_COMPILERS = ("gcc", "clang")
"""Of what starts a kernel there; the kernels themselves need no program of the machine."""

_log = logging.getLogger(__name__)

MONITORED = "val_loss"
"""What early stopping and the choice of the checkpoint look at: the weighted log-loss on val_select."""


class LossNotFiniteError(TrainingError):
    """The loss of a batch is no number: training cannot go on."""

    def __init__(self, *, epoch: int, step: int, terms: Mapping[str, float]) -> None:
        """Keeps the step and which terms failed."""
        failed = tuple(name for name, value in terms.items() if not math.isfinite(value))
        super().__init__(
            f"The loss is not finite at step {step} (epoch {epoch}): {', '.join(failed) or 'the sum of its terms'}.",
            cure=(
                "Lower training.learning_rate or training.gradient_clip, or set mixed_precision = false;"
                " then train again. --resume would run into it once more."
            ),
        )
        self.epoch = epoch
        self.step = step
        self.failed = failed


class Learner(pl.LightningModule):
    """One network in training."""

    def __init__(
        self,
        network: InspectionNetwork,
        task: Task,
        section: TrainingSection,
        *,
        sizes_px: tuple[int, ...],
        label_weights: LabelWeights | None = None,
    ) -> None:
        """Builds what the loop needs.

        Args:
            network: Trained in place.
            task: The taxonomy.
            section: The recipe.
            sizes_px: The side of the photos in each epoch; the last is the served size. Small photos teach coarse
                things in a fraction of the time (progressive resizing: Howard, "Training ImageNet in 3 hours for
                USD 25", 2018; Tan and Le, "EfficientNetV2", 2021).
            label_weights: How much labels weigh in training; nothing: all alike.
        """
        super().__init__()
        self.network = network
        self.section = section
        self.sizes_px = sizes_px
        kinds = {head.id: head.kind for head in task.heads}
        self.loss = MultiHeadLoss(section.loss, kinds, teacher_share=section.teacher_share, label_weights=label_weights)
        self.augmentation = Augmentation(section.augmentation)
        self.seen = _compiled(network) if section.compiled else network.forward
        self.mixing = PhotoMixing(section.augmentation, kinds, {head.id: len(head.labels) for head in task.heads})
        # Lightning forgets the running mean of a value when a run is killed; a metric's is part of the state.
        self.train_means = nn.ModuleDict({name: MeanMetric() for name in ("train_loss", *map(_loss_name, kinds))})
        for mean in self.train_means.values():
            cast("MeanMetric", mean).persistent(mode=True)
        self.val_metrics = nn.ModuleDict({head.id: head_metrics(head) for head in task.heads})

    @property
    def size_px(self) -> int:
        """The side of the photos in this epoch."""
        return self.sizes_px[min(self.current_epoch, len(self.sizes_px) - 1)]

    @property
    def is_at_served_size(self) -> bool:
        """Whether this epoch's photos are of the size at which the network will serve."""
        return self.size_px == self.sizes_px[-1]

    def on_train_epoch_start(self) -> None:
        """Begins the means anew: a state from the end of an epoch still holds that epoch's."""
        for mean in self.train_means.values():
            cast("MeanMetric", mean).reset()

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:  # noqa: ARG002 -- Lightning's signature
        """Returns the loss of a batch of changed photos."""
        images, labels, taught = batch
        changed = self.augmentation(resized(images, self.size_px))
        changed, labels, taught = self.mixing(changed, labels, taught)
        terms = self.loss(self.seen(changed).heads, labels, taught)
        self._require_finite(terms)
        self._follow("train_loss", terms.total, photo_count=len(images))
        for head, loss in terms.heads.items():
            self._follow(_loss_name(head), loss, photo_count=len(images))
        total: Tensor = terms.total
        return total + orthogonality(self.network) if self.section.fine_tuning.method == "adalora" else total

    def _require_finite(self, terms: LossTerms) -> None:
        if not torch.isfinite(terms.total):
            heads = {head: float(loss.detach()) for head, loss in terms.heads.items()}
            raise LossNotFiniteError(
                epoch=self.current_epoch,
                step=self.global_step,
                terms={**heads, "uncertainty": float(terms.uncertainty.detach())},
            )

    def _follow(self, name: str, loss: Tensor, *, photo_count: int) -> None:
        """Adds a batch to the mean that is logged at the epoch's end."""
        mean = cast("MeanMetric", self.train_means[name])
        mean.update(loss.detach(), weight=photo_count)
        self.log(
            name,
            mean,
            on_step=False,
            on_epoch=True,
            metric_attribute=f"train_means.{name}",
            prog_bar=name == "train_loss",
        )

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
        is_thawed_later = self.section.fine_tuning.unfreeze_after_epochs is not None
        undecayed = undecayed_names(self.network)
        for name, parameter in self.network.named_parameters():
            if not parameter.requires_grad and not is_thawed_later:
                continue
            (plain if parameter.ndim <= 1 or name in undecayed else decayed).append(parameter)
        optimiser = torch.optim.AdamW(
            [{"params": decayed, "weight_decay": self.section.weight_decay}, {"params": plain, "weight_decay": 0.0}],
            lr=self.section.learning_rate,
            # One pass over the weights. Lightning does not clip for it in mixed precision.
            fused=self.trainer.precision == "32-true",
        )
        steps = int(self.trainer.estimated_stepping_batches)
        warmup = max(1, round(self.section.warmup_share * steps))
        rising = torch.optim.lr_scheduler.LinearLR(optimiser, start_factor=0.05, total_iters=warmup)
        falling = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, T_max=max(1, steps - warmup))
        schedule = torch.optim.lr_scheduler.SequentialLR(optimiser, [rising, falling], milestones=[warmup])
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def undecayed_names(network: nn.Module) -> set[str]:
    """Returns the parameters of more than one axis that no decay may pull to 0.

    They are IA3's factors, which change nothing at 1, and what timm names for a backbone, e.g. embeddings of places.
    """
    known = {name for name, _ in network.named_parameters()}
    names = {name for name in known if "ia3_l" in name}
    for prefix, module in network.named_modules():
        told = getattr(module, "no_weight_decay", None)
        if callable(told):
            names |= {f"{prefix}.{name}" for name in told()}
    return names & known


def _compiled(network: InspectionNetwork) -> Callable[[Tensor], NetworkOutput]:
    """Returns the network's forward pass, compiled for each size of photos that training shows it.

    Only training is compiled: validation, few photos of many shapes, is not worth the wait.
    """
    compilers = _GPU_COMPILERS if torch.cuda.is_available() else _CPU_COMPILERS
    if not any(map(shutil.which, compilers)):
        _log.warning("No compiler here (%s): steps are not compiled, and take longer.", ", ".join(compilers))
        return network.forward
    forward: Callable[[Tensor], NetworkOutput] = torch.compile(network.forward, dynamic=False)
    return forward


def _loss_name(head: str) -> str:
    return f"train_{head}_loss"


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
