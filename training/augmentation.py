"""Random changes to training photos: what another hand, phone or lamp would have changed, and no label depends on."""

import torch
from torch import Tensor, nn
from torchvision.transforms import InterpolationMode, v2

from training.recipe import AugmentationSection


class Augmentation(nn.Module):
    """Flips, small affine moves and mild colour changes, drawn anew for every few photos of a batch."""

    def __init__(self, section: AugmentationSection) -> None:
        super().__init__()
        self.photos_a_draw = section.photos_a_draw
        self.transform = v2.Compose(
            [
                v2.RandomHorizontalFlip(),
                v2.RandomVerticalFlip(),
                v2.RandomAffine(
                    degrees=section.rotation_degrees,
                    translate=(section.shift_share, section.shift_share),
                    scale=(1 - section.scale_share, 1 + section.scale_share),
                    interpolation=InterpolationMode.BILINEAR,
                    fill=128,
                ),
                v2.ColorJitter(section.colour_share, section.colour_share, section.colour_share),
            ]
        )

    def forward(self, images: Tensor) -> Tensor:
        """Returns changed photos.

        Args:
            images: [batch, size, size, 3] uint8. RGB.

        Returns:
            [batch, size, size, 3] uint8.
        """
        planes = images.permute(0, 3, 1, 2)
        changed = [self.transform(few) for few in torch.split(planes, self.photos_a_draw)]
        return torch.cat(changed).permute(0, 2, 3, 1).contiguous()
