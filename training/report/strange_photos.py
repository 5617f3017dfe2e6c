"""Photos that no task has, made here; and photos made worse by a known strength.

Noise, textures, negatives and blur are made from a seed or from the task's own photos, so that a page has its figures
where nobody has a folder of strange photos.
"""

from collections.abc import Callable, Mapping

import numpy as np
from PIL import Image, ImageFilter

from training.photo_cache import Pixels

HEAVY_BLUR_SHARE = 0.08
BLUR_SHARES = (0.0, 0.0025, 0.005, 0.01, 0.02, 0.04)
"""Standard deviations of a Gaussian blur, as shares of the photo's side."""
NOISE_SHARES = (0.0, 0.02, 0.05, 0.1, 0.2, 0.4)
"""Standard deviations of Gaussian noise on every value, as shares of the whole range."""

CHANGES: Mapping[str, tuple[float, ...]] = {"blur": BLUR_SHARES, "noise": NOISE_SHARES}
"""By name, the strengths of each change, rising from none."""


def made_strange(photos: Pixels, *, seed: int = 0) -> dict[str, Pixels]:
    """Returns strange photos by what they are, as many of each kind as there are photos.

    Args:
        photos: [photo_count, size, size, 3] uint8. Of the task.
        seed: Makes them repeatable.
    """
    count, size = photos.shape[:2]
    generator = np.random.default_rng(seed)
    return {
        "noise": generator.integers(0, 256, size=photos.shape, dtype=np.uint8),
        "other textures": np.stack([_texture(size, generator) for _ in range(count)]),
        "heavy blur": blurred(photos, HEAVY_BLUR_SHARE),
        "negative": np.invert(photos),
    }


def changed(photos: Pixels, change: str, strength: float) -> Pixels:
    """Returns photos made worse.

    Args:
        photos: [photo_count, size, size, 3] uint8.
        change: A key of `CHANGES`.
        strength: A share, as there.
    """
    changes: dict[str, Callable[[Pixels, float], Pixels]] = {"blur": blurred, "noise": noisy}
    return photos if strength == 0 else changes[change](photos, strength)


def blurred(photos: Pixels, share: float) -> Pixels:
    """Returns photos under a Gaussian blur whose standard deviation is this share of their side."""
    # Pillow's blur costs the same at every width; a convolution at these would take minutes.
    soft = ImageFilter.GaussianBlur(share * photos.shape[1])
    return np.stack([np.asarray(Image.fromarray(each).filter(soft)) for each in photos])


def noisy(photos: Pixels, share: float) -> Pixels:
    """Returns photos under Gaussian noise, always the same, whose standard deviation is this share of the range."""
    noise = np.random.default_rng(0).normal(0, 255 * share, size=photos.shape)
    pixels: Pixels = np.clip(photos + noise, 0, 255).astype(np.uint8)
    return pixels


def _texture(size: int, generator: np.random.Generator) -> Pixels:
    """Returns [size, size, 3] uint8: stripes, checks, rings or dots of two random colours, turned at random."""
    rows, columns = np.mgrid[:size, :size] / size - 0.5
    angle, waves = generator.uniform(0, np.pi), generator.uniform(3, 16)
    along = rows * np.cos(angle) + columns * np.sin(angle)
    across = columns * np.cos(angle) - rows * np.sin(angle)
    turn = 2 * np.pi * waves
    waves_by_kind = (
        np.sin(turn * along),
        np.sign(np.sin(turn * along) * np.sin(turn * across)),
        np.sin(turn * np.hypot(rows, columns)),
        np.cos(turn * along) + np.cos(turn * across) - 1,
    )
    mixed = np.clip(waves_by_kind[generator.integers(len(waves_by_kind))] / 2 + 0.5, 0, 1)[..., None]
    first, second = generator.integers(0, 256, size=(2, 3))
    pixels: Pixels = np.clip(first * mixed + second * (1 - mixed), 0, 255).astype(np.uint8)
    return pixels
