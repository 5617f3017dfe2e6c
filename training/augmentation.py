"""Random changes to training photos: what another hand, phone or lamp would have changed, and no label depends on."""

import math
from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor, nn
from torchvision.transforms import InterpolationMode, v2

from server.domain.task import HeadKind
from training.recipe import AugmentationSection
from training.symmetry import FLIPS, MIRROR, NONE, SQUARE, turned

_GREY = 128
_MOST_BLUR_SHARE = 0.06
"""Standard deviation, of the side: further than the evaluation page goes, for the end of a range is learnt least."""
_MOST_NOISE_SHARE = 0.4
"""Standard deviation, of the range: as far as the page goes, for noise is learnt soon."""
_LIGHT = AugmentationSection()
_HEAVY = AugmentationSection(rotation_degrees=25, shift_share=0.12, scale_share=0.3, colour_share=0.3)


class Augmentation(nn.Module):
    """Flips for each photo, then what the recipe's preset asks for."""

    def __init__(self, section: AugmentationSection) -> None:
        super().__init__()
        self.photos_a_draw = section.photos_a_draw
        self.symmetries = {"square": SQUARE, "flips": FLIPS, "mirror": MIRROR, "none": NONE}[section.symmetries]
        changes = _changes(section)
        self.changes = v2.Compose(changes) if changes else None
        self.bad_photo_share = section.bad_photo_share

    def forward(self, images: Tensor) -> Tensor:
        """Returns changed photos.

        Args:
            images: [batch, size, size, 3] uint8. RGB.

        Returns:
            [batch, size, size, 3] uint8.
        """
        planes = turn_and_flip(images.permute(0, 3, 1, 2), self.symmetries)
        if self.changes is not None:
            planes = torch.cat([self.changes(few) for few in torch.split(planes, self.photos_a_draw)])
        if self.bad_photo_share:
            planes = with_bad_photos(planes, self.bad_photo_share)
        return planes.permute(0, 2, 3, 1).contiguous()


class PhotoMixing(nn.Module):
    """Mixes the photos of a batch with one another, by CutMix or MixUp, and every head's labels likewise.

    CutMix: Yun et al., 2019. MixUp: Zhang et al., "mixup: beyond empirical risk minimization", 2018. torchvision mixes
    one table of labels; it is given the photos' own numbers, so that what comes back says how much of each photo is in
    each, whatever its heads are.
    """

    def __init__(
        self, section: AugmentationSection, kinds: Mapping[str, HeadKind], label_counts: Mapping[str, int]
    ) -> None:
        """Keeps what to mix.

        Args:
            section: Mixes in the preset `modern` only.
            kinds: By head id.
            label_counts: By head id.
        """
        super().__init__()
        self.share = section.mixed_share if section.preset == "modern" else 0.0
        self.kinds = dict(kinds)
        self.label_counts = dict(label_counts)
        self.ways = v2.RandomChoice([v2.CutMix(alpha=1.0), v2.MixUp(alpha=0.4)])

    def forward(
        self, images: Tensor, labels: Mapping[str, Tensor], taught: Mapping[str, Tensor]
    ) -> tuple[Tensor, dict[str, Tensor], dict[str, Tensor]]:
        """Returns mixed photos with labels and a teacher's answers, or all as they were.

        A label that one of two mixed photos lacks is missing from their mixture.

        Args:
            images: [batch, size, size, 3] uint8.
            labels: By head id, as the loss takes them.
            taught: By head id, [batch, label_count] float32; NaN where the teacher was not asked.

        Returns:
            The same shapes, but category labels become [batch, label_count] float32 shares.
        """
        if len(images) < 2 or not self.share or torch.rand(()) >= self.share:  # noqa: PLR2004 -- a pair
            return images, dict(labels), dict(taught)
        own = torch.eye(len(images), device=images.device)
        planes, parts = self.ways(images.permute(0, 3, 1, 2).float(), own)
        mixed = {head: self._mixed_labels(head, parts, each) for head, each in labels.items()}
        # A photo has no part in others: its unknown answers must not reach them as 0 times NaN.
        said = {head: _mixed(parts, each.nan_to_num(), ~each.isfinite(), torch.nan) for head, each in taught.items()}
        return planes.round().to(torch.uint8).permute(0, 2, 3, 1).contiguous(), mixed, said

    def _mixed_labels(self, head: str, parts: Tensor, labels: Tensor) -> Tensor:
        targets, is_missing = labels, labels < 0
        if self.kinds[head] is HeadKind.CATEGORY:
            targets = nn.functional.one_hot(labels.clamp_min(0), self.label_counts[head])
            is_missing = is_missing.unsqueeze(1).expand_as(targets)
        return _mixed(parts, targets.float().clamp_min(0), is_missing, -1.0)


def _mixed(parts: Tensor, values: Tensor, is_missing: Tensor, missing: float) -> Tensor:
    """Returns values mixed as photos are; where a part lacks one, `missing`."""
    lacks = (parts > 0).float() @ is_missing.float() > 0
    return (parts @ values).masked_fill(lacks, missing)


def turn_and_flip(planes: Tensor, symmetries: tuple[int, ...] = SQUARE) -> Tensor:
    """Gives each photo a symmetry of the square, drawn at random: [batch, channels, size, size] in and out."""
    drawn = torch.randint(len(symmetries), (len(planes),), device=planes.device)
    changed = torch.empty_like(planes)
    for place, symmetry in enumerate(symmetries):
        chosen = drawn == place
        changed[chosen] = turned(planes[chosen], symmetry, dims=(2, 3))
    return changed


def with_bad_photos(planes: Tensor, share: float) -> Tensor:
    """Blurs some photos and adds noise to others, each by a strength of its own; weak ones are the more frequent.

    Args:
        planes: [batch, channels, size, size] uint8.
        share: The chance of each photo, in [0, 1].

    Returns:
        [batch, channels, size, size] uint8. The standard deviation of a blur is up to 6 % of the side, that of a noise
        up to 40 % of the range.
    """
    worse = planes.clone()
    drawn = torch.rand(len(planes), 3, device=planes.device)
    for place, (chance, strength, kind) in enumerate(drawn.tolist()):
        if chance >= share:
            continue
        if kind < 0.5:  # noqa: PLR2004 -- half of each
            worse[place] = _blurred(planes[place], max(0.1, _MOST_BLUR_SHARE * strength**2 * planes.shape[-1]))
        else:
            noise = torch.randn(planes.shape[1:], device=planes.device) * (255 * _MOST_NOISE_SHARE * strength**2)
            worse[place] = (planes[place] + noise).round().clamp(0, 255).to(torch.uint8)
    return worse


def _blurred(planes: Tensor, spread: float) -> Tensor:
    """Returns [channels, size, size] uint8 under a Gaussian blur of this standard deviation in pixels.

    It is cut off at three: at two, it would be weaker than it says. Rows and columns are blurred one after the other,
    which costs less where it is wide.
    """
    width, soft = 2 * math.ceil(3 * spread) + 1, planes.float()
    for shape in ([width, 1], [1, width]):
        soft = v2.functional.gaussian_blur(soft, shape, [spread])
    return soft.round().clamp(0, 255).to(torch.uint8)


def resized(images: Tensor, size_px: int) -> Tensor:
    """Returns photos of this size: [batch, side, side, 3] uint8 in, [batch, size_px, size_px, 3] uint8 out."""
    if images.shape[1] == size_px:
        return images
    planes: Tensor = v2.functional.resize(images.permute(0, 3, 1, 2), [size_px, size_px], antialias=True)
    return planes.permute(0, 2, 3, 1)


def _changes(section: AugmentationSection) -> list[nn.Module]:
    """Returns the changes that the recipe asks for, in order.

    `modern` is Müller and Hutter, "TrivialAugment: tuning-free yet state-of-the-art data augmentation", 2021.
    """
    match section.preset:
        case "light":
            return _moves_and_colours(_LIGHT)
        case "heavy":
            return [
                *_moves_and_colours(_HEAVY),
                v2.RandomPerspective(distortion_scale=0.25, p=0.4, fill=_GREY),
                v2.RandomApply([v2.GaussianBlur(kernel_size=5, sigma=(0.3, 2.0))], p=0.3),
                *(v2.RandomErasing(p=0.3, scale=(0.01, 0.06), value=cast("float", _GREY)) for _ in range(3)),
            ]
        case "modern":
            return [v2.TrivialAugmentWide(fill=_GREY)]
        case "custom":
            return _moves_and_colours(section)


def _moves_and_colours(section: AugmentationSection) -> list[nn.Module]:
    """Returns changes by shares; one whose shares are all 0 costs no time."""
    changes: list[nn.Module] = []
    if section.rotation_degrees or section.shift_share or section.scale_share:
        changes.append(
            v2.RandomAffine(
                degrees=section.rotation_degrees,
                translate=(section.shift_share, section.shift_share),
                scale=(1 - section.scale_share, 1 + section.scale_share),
                interpolation=InterpolationMode.BILINEAR,
                fill=_GREY,
            )
        )
    if section.grey_share:
        changes.append(v2.RandomGrayscale(section.grey_share))
    brightness = section.brightness_factors or section.colour_share
    contrast = section.contrast_factors or section.colour_share
    if brightness or contrast or section.colour_share:
        changes.append(v2.ColorJitter(brightness, contrast, section.colour_share))
    return changes
