"""A bank of tileable noise fields, made once per process from a fixed seed.

Photos cut windows out of it, so noise costs nothing per photo.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float32]
"""[height, width] float32."""

BANK_SIDE_PX = 1024
_BANK_SEED = 20_250_101
_BANDS_PX = {
    "fine": (2.2, 4.0),
    "grain": (5.0, 10.0),
    "lump": (16.0, 40.0),
    "mottle": (40.0, 90.0),
    "broad": (120.0, 300.0),
}


@dataclass(frozen=True, slots=True)
class TextureBank:
    """Named fields of zero mean and unit variance, each [BANK_SIDE_PX, BANK_SIDE_PX] float32."""

    fields: dict[str, Field]

    def window(self, name: str, *, shape: tuple[int, int], rng: np.random.Generator) -> Field:
        """Returns a read-only window of the field at a random place, flipped at random."""
        height, width = shape
        top = int(rng.integers(BANK_SIDE_PX - height + 1))
        left = int(rng.integers(BANK_SIDE_PX - width + 1))
        window = self.fields[name][top : top + height, left : left + width]
        flip = int(rng.integers(4))
        return window[:: -1 if flip & 1 else 1, :: -1 if flip & 2 else 1]


def build_texture_bank() -> TextureBank:
    """Makes the bank: band-limited noise at five scales, cracks, and wood grain."""
    rng = np.random.Generator(np.random.Philox(_BANK_SEED))
    fields = {name: band_noise(rng, wavelengths_px=band) for name, band in _BANDS_PX.items()}
    ridges = np.minimum(
        np.abs(band_noise(rng, wavelengths_px=(40.0, 90.0))) * 6.0,
        np.abs(band_noise(rng, wavelengths_px=(60.0, 140.0))) * 9.0,
    )
    fields["cracks"] = np.clip(1.0 - ridges + 0.25 * fields["grain"], 0.0, 1.0).astype(np.float32)
    fields["wood"] = band_noise(rng, wavelengths_px=(6.0, 60.0), stretch=14.0)
    return TextureBank(fields=fields)


def band_noise(rng: np.random.Generator, *, wavelengths_px: tuple[float, float], stretch: float = 1.0) -> Field:
    """Returns periodic Gaussian noise whose wavelengths lie in a band; `stretch` makes it longer along x."""
    frequency_y = np.fft.fftfreq(BANK_SIDE_PX)[:, None]
    frequency_x = np.fft.rfftfreq(BANK_SIDE_PX)[None, :] * stretch
    radius = np.hypot(frequency_y, frequency_x)
    shortest, longest = wavelengths_px
    spectrum = ((radius > 1.0 / longest) & (radius < 1.0 / shortest)) / np.maximum(radius, 1e-6)
    white = np.fft.rfft2(rng.standard_normal((BANK_SIDE_PX, BANK_SIDE_PX)))
    noise = np.fft.irfft2(white * spectrum, s=(BANK_SIDE_PX, BANK_SIDE_PX))
    field: Field = ((noise - noise.mean()) / noise.std()).astype(np.float32)
    return field
