"""Random changes to training photos: what another hand, phone or lamp would have changed, and no label depends on."""

import torch
from torch import Tensor, nn
from torchvision.transforms import InterpolationMode, v2

from training.recipe import AugmentationSection
from training.symmetry import SYMMETRIES, turned


class Augmentation(nn.Module):
    """One of the eight symmetries of a square for each photo; then affine moves and colour changes, if asked for."""

    def __init__(self, section: AugmentationSection) -> None:
        super().__init__()
        self.photos_a_draw = section.photos_a_draw
        self.changes = v2.Compose(_changes(section)) if _changes(section) else None

    def forward(self, images: Tensor) -> Tensor:
        """Returns changed photos.

        Args:
            images: [batch, size, size, 3] uint8. RGB.

        Returns:
            [batch, size, size, 3] uint8.
        """
        planes = turn_and_flip(images.permute(0, 3, 1, 2))
        if self.changes is not None:
            planes = torch.cat([self.changes(few) for few in torch.split(planes, self.photos_a_draw)])
        return planes.permute(0, 2, 3, 1).contiguous()


def turn_and_flip(planes: Tensor) -> Tensor:
    """Gives each photo a symmetry of the square, drawn at random: [batch, channels, size, size] in and out."""
    drawn = torch.randint(SYMMETRIES, (len(planes),), device=planes.device)
    changed = torch.empty_like(planes)
    for symmetry in range(SYMMETRIES):
        chosen = drawn == symmetry
        changed[chosen] = turned(planes[chosen], symmetry, dims=(2, 3))
    return changed


def resized(images: Tensor, size_px: int) -> Tensor:
    """Returns photos of this size: [batch, side, side, 3] uint8 in, [batch, size_px, size_px, 3] uint8 out."""
    if images.shape[1] == size_px:
        return images
    planes: Tensor = v2.functional.resize(images.permute(0, 3, 1, 2), [size_px, size_px], antialias=True)
    return planes.permute(0, 2, 3, 1)


def _changes(section: AugmentationSection) -> list[nn.Module]:
    """Returns the changes that the recipe asks for; one whose shares are all 0 costs no time."""
    changes: list[nn.Module] = []
    if section.rotation_degrees or section.shift_share or section.scale_share:
        changes.append(
            v2.RandomAffine(
                degrees=section.rotation_degrees,
                translate=(section.shift_share, section.shift_share),
                scale=(1 - section.scale_share, 1 + section.scale_share),
                interpolation=InterpolationMode.BILINEAR,
                fill=128,
            )
        )
    if section.colour_share:
        changes.append(v2.ColorJitter(section.colour_share, section.colour_share, section.colour_share))
    return changes
