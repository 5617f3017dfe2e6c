"""The eight symmetries of a square: quarter turns, and each of them mirrored."""

from typing import Final

from torch import Tensor

_QUARTER_TURNS = 4
SYMMETRIES: Final = 2 * _QUARTER_TURNS

VIEWS: Final[dict[int, tuple[int, ...]]] = {1: (0,), 2: (0, 4), 4: (0, 1, 2, 3), 8: tuple(range(SYMMETRIES))}
"""By how many are averaged, the symmetries that are seen: as it is; mirrored; all turns; all."""


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
