"""What of a network is trained: all, the parts behind a frozen backbone, or adapters inside it, which PEFT puts there.

AdaLoRA: Zhang et al., "AdaLoRA: adaptive budget allocation for parameter-efficient fine-tuning", 2023. VeRA:
Kopiczko, Blankevoort, Asano, "VeRA: vector-based random matrix adaptation", 2024. (IA)3: Liu et al., "Few-shot
parameter-efficient fine-tuning is better and cheaper than in-context learning", 2022.
"""

# ruff: noqa: ARG002 -- signatures are Lightning's

import copy
from collections.abc import Iterator
from typing import Any, NamedTuple, cast

import lightning.pytorch as pl
import torch
from peft import AdaLoraConfig, IA3Config, PeftConfig, PeftModel, VeraConfig, get_peft_model
from torch import Tensor, nn

from training.errors import TrainingError
from training.model import InspectionNetwork
from training.recipe import FineTuningSection

_ADAPTER = "default"
_STATE_KEY = "rank_allocator"
_ALLOCATOR_TABLES = ("ipt", "exp_avg_ipt", "exp_avg_unc")


class NothingToAdaptError(TrainingError):
    """A method of fine-tuning finds no module of the backbone that it can adapt."""

    def __init__(self, backbone: str, *, method: str, wanted: tuple[str, ...]) -> None:
        """Keeps what was looked for."""
        named = f" named {', '.join(wanted)}" if wanted else ""
        super().__init__(
            f"{backbone} has no layer{named} that {method} can adapt.",
            cure="adalora and vera want linear layers, as a ViT or Swin has; for a convolutional backbone take ia3"
            " or frozen_backbone. fine_tuning.target_modules are ends of timm's module names, e.g. qkv.",
        )
        self.backbone = backbone
        self.method = method


class TrainedShare(NamedTuple):
    """How much of a network is trained.

    Attributes:
        trained: Weights that are trained, those of adapters included.
        all_weights: Of the network without adapters.
    """

    trained: int
    all_weights: int

    @property
    def share(self) -> float:
        """The trained ones, of all."""
        return self.trained / self.all_weights


def prepare_fine_tuning(network: InspectionNetwork, section: FineTuningSection, *, steps: int) -> TrainedShare:
    """Freezes what is not trained and puts adapters in place.

    Args:
        network: Changed in place.
        section: What to train.
        steps: Of the whole run: AdaLoRA shares out its ranks over them.

    Raises:
        NothingToAdaptError: The backbone has no layer that the method can adapt.
    """
    all_weights = sum(each.numel() for each in network.parameters())
    if section.method != "full":
        network.backbone.requires_grad_(requires_grad=False)
    if section.has_adapters:
        targets = adaptable_modules(network, section)
        network.backbone = get_peft_model(cast("Any", network.backbone), _config(section, targets, steps=steps))
    return TrainedShare(sum(each.numel() for each in network.parameters() if each.requires_grad), all_weights)


def adaptable_modules(network: InspectionNetwork, section: FineTuningSection) -> list[str]:
    """Returns the names of the backbone's modules that get adapters: linear ones, with ia3 convolutional ones as well.

    Raises:
        NothingToAdaptError: There is none.
    """
    kinds = (nn.Linear, nn.Conv2d) if section.method == "ia3" else (nn.Linear,)
    ends = section.target_modules
    names = [
        name
        for name, module in network.backbone.named_modules()
        if isinstance(module, kinds) and (not ends or any(name == end or name.endswith(f".{end}") for end in ends))
    ]
    if not names:
        raise NothingToAdaptError(network.section.backbone, method=section.method, wanted=ends)
    return names


def _config(section: FineTuningSection, targets: list[str], *, steps: int) -> PeftConfig:
    if section.method == "adalora":
        return AdaLoraConfig(
            target_modules=targets,
            init_r=round(1.5 * section.rank),
            target_r=section.rank,
            lora_alpha=2 * section.rank,
            total_step=max(3, steps),
            tinit=steps // 10,
            tfinal=steps // 4,
            deltaT=max(1, steps // 100),
        )
    if section.method == "vera":
        return VeraConfig(target_modules=targets, r=section.rank * 16, d_initial=0.1)
    return IA3Config(target_modules=targets, feedforward_modules=[])


def plain_network(network: InspectionNetwork) -> InspectionNetwork:
    """Returns a copy in which adapters are part of the backbone's own weights, so that nobody need know of them."""
    plain = copy.deepcopy(network)
    if isinstance(plain.backbone, PeftModel):
        plain.backbone = cast("Any", plain.backbone).merge_and_unload()
    return plain.requires_grad_()


def orthogonality(network: InspectionNetwork) -> Tensor:
    """Returns AdaLoRA's regulariser, a scalar: how far its matrices are from orthogonal.

    PEFT adds it to losses that the wrapped model returns itself, which a backbone does not.
    """
    config = cast("AdaLoraConfig", cast("PeftModel", network.backbone).peft_config[_ADAPTER])
    parts = []
    for name, weight in network.backbone.named_parameters():
        if "lora_A" in name or "lora_B" in name:
            products = weight @ weight.T if "lora_A" in name else weight.T @ weight
            parts.append((products - torch.eye(len(products), device=products.device)).norm())
    return config.orth_reg_weight * torch.stack(parts).mean()


class FrozenBackbone(pl.Callback):
    """Keeps a frozen backbone's statistics as they are, and thaws it when the recipe says so."""

    def __init__(self, section: FineTuningSection) -> None:
        self._section = section

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Freezes or thaws for this epoch."""
        self._apply(trainer, pl_module)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """The same, when a run goes on inside an epoch."""
        self._apply(trainer, pl_module)

    def _apply(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        backbone = cast("InspectionNetwork", pl_module.network).backbone
        after = self._section.unfreeze_after_epochs
        is_thawed = after is not None and trainer.current_epoch >= after
        if is_thawed:
            backbone.requires_grad_()
        # Adapters learn in evaluation mode too; only the statistics of norms and the dropping of paths stand still.
        backbone.train(is_thawed)


class RankAllocation(pl.Callback):
    """Tells AdaLoRA of every step, so that it moves its ranks to where they are worth most."""

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Allocates: the gradients of the step are still there."""
        _tuner(pl_module).update_and_allocate(trainer.global_step - 1)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Adds what the allocator remembers, for a run that resumes."""
        allocator, config = _tuner(pl_module).rankallocator, _tuner(pl_module).peft_config[_ADAPTER]
        tables = {name: getattr(allocator, name) for name in _ALLOCATOR_TABLES}
        checkpoint[_STATE_KEY] = {"tables": tables, "rank_pattern": config.rank_pattern}

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Puts it back."""
        kept = checkpoint[_STATE_KEY]
        for name, table in kept["tables"].items():
            setattr(_tuner(pl_module).rankallocator, name, table)
        _tuner(pl_module).peft_config[_ADAPTER].rank_pattern = kept["rank_pattern"]


def _tuner(pl_module: pl.LightningModule) -> Any:
    return cast("Any", cast("InspectionNetwork", pl_module.network).backbone).base_model


def fine_tuning_callbacks(section: FineTuningSection) -> Iterator[pl.Callback]:
    """Yields the callbacks that a method needs."""
    if section.method != "full":
        yield FrozenBackbone(section)
    if section.method == "adalora":
        yield RankAllocation()
