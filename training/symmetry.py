"""The eight symmetries of a square: quarter turns, and each of them mirrored."""

from typing import Final

from torch import Tensor

from training.recipe import FourViews

_QUARTER_TURNS = 4
SYMMETRIES: Final = 2 * _QUARTER_TURNS

SQUARE: Final = tuple(range(SYMMETRIES))
TURNS: Final = (0, 1, 2, 3)
FLIPS: Final = (0, 4, 6, 2)
"""As it is; left and right; up and down; both: what was long stays long."""
MIRROR: Final = (0, 4)
NONE: Final = (0,)


def symmetries_of(views: int, four_views: FourViews) -> tuple[int, ...]:
    """Returns the symmetries in which a photo is seen in so many views: 1, 2, 4 or 8."""
    return {1: NONE, 2: MIRROR, 4: FLIPS if four_views == "flips" else TURNS, 8: SQUARE}[views]


def turned(images: Tensor, symmetry: int, *, dims: tuple[int, int]) -> Tensor:
    """Returns images in one symmetry: 0 to 3 quarter turns, then a mirror image from 4 on.

    Args:
        images: Any shape; square in `dims`.
        symmetry: In [0, 8).
        dims: Rows and columns.
    """
    rotated = images.rot90(symmetry % _QUARTER_TURNS, dims=dims) if symmetry % _QUARTER_TURNS else images
    return rotated.flip(dims[1]) if symmetry >= _QUARTER_TURNS else rotated


def turned_back(images: Tensor, symmetry: int, *, dims: tuple[int, int]) -> Tensor:
    """Undoes `turned`."""
    plain = images.flip(dims[1]) if symmetry >= _QUARTER_TURNS else images
    return plain.rot90(-symmetry % _QUARTER_TURNS, dims=dims) if symmetry % _QUARTER_TURNS else plain
