"""Backbones: timm's networks, as the task file names them."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, cast

import timm
from torch import Tensor, nn

from training.errors import TrainingError
from training.recipe import NetworkSection

_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_STD = (0.229, 0.224, 0.225)
_HIDDEN_FACTOR = 100
_MAPS = (-4, -2, -1)
"""Of those that a network can return. Most halve a photo five times: they are 1/4, 1/16 and 1/32 of its side."""
# What timm raises depends on the network, and on which of its ways to maps was taken.
_TIMMS_REFUSALS = (AssertionError, IndexError, TypeError, RuntimeError)


class UnknownBackboneError(TrainingError):
    """timm has no network of this name."""

    def __init__(self, backbone: str) -> None:
        """Names it, and a few that are near."""
        alike = timm.list_models(f"*{backbone.partition('_')[0]}*")[:5]
        hint = f" Perhaps: {', '.join(alike)}." if alike else ""
        super().__init__(
            f"timm has no network {backbone!r}.", cure=f"Name one that timm.list_models() lists as backbone.{hint}"
        )
        self.backbone = backbone


class UnsuitableBackboneError(TrainingError):
    """timm cannot make this network as Loupe asks for it."""

    def __init__(self, backbone: str, *, reason: str) -> None:
        """Keeps its name, and what timm says."""
        super().__init__(
            f"timm cannot make {backbone} so that it gives an early feature map and its last two: {reason}.",
            cure="Name another backbone: most convolutional ones, Swin and plain ViTs have at least four such maps.",
        )
        self.backbone = backbone


def create_backbone(section: NetworkSection) -> nn.Module:
    """Returns timm's network, which answers with an early feature map and its last two.

    A transformer is built for one size of photos; it is told the served one, and that training may also show others.

    Raises:
        UnknownBackboneError: timm has no such network.
        UnsuitableBackboneError: It has too few feature maps, or none.
    """
    if not timm.is_model(section.backbone):
        raise UnknownBackboneError(section.backbone)
    options: dict[str, Any] = {"pretrained": section.pretrained, "features_only": True, "out_indices": _MAPS}
    told = timm.get_pretrained_cfg(section.backbone)
    if told is not None and told.fixed_input_size:
        # timm would leave some of these with their channels last.
        options |= {"img_size": section.seen_size_px, "dynamic_img_size": True, "feature_cls": "getter"}
    try:
        backbone: nn.Module = timm.create_model(section.backbone, **options)
    except _TIMMS_REFUSALS as error:
        raise UnsuitableBackboneError(section.backbone, reason=str(error).rstrip(".")) from error
    _hide_wholly(backbone)
    return backbone


def normalisation_of(section: NetworkSection, backbone: nn.Module) -> tuple[Sequence[float], Sequence[float]]:
    """Returns mean and standard deviation of red, green and blue, in [0, 1], that pixels are brought to 0 and 1 by."""
    if section.normalisation == "imagenet":
        return _IMAGENET_MEAN, _IMAGENET_STD
    told = cast("Any", backbone).pretrained_cfg
    return told["mean"], told["std"]


def _hide_wholly(backbone: nn.Module) -> None:
    """Lets no token of a shifted window (Swin) see those that only the shift made its neighbours.

    timm takes 100 from their logits, which leaves e^-100 of their weight: a denormal number, with which a processor
    multiplies many times more slowly. 10,000 leaves nothing.
    """
    for block in backbone.modules():
        told = getattr(block, "get_attn_mask", None)
        if told is not None:
            cast("Any", block).get_attn_mask = partial(_hiding_mask, told)


def _hiding_mask(told: Callable[..., Tensor | None], *args: object, **options: object) -> Tensor | None:
    mask = told(*args, **options)
    return None if mask is None else mask * _HIDDEN_FACTOR
