"""The random streams of a specimen: latents, layout and photos, independent of one another on any machine."""

import numpy as np

_LATENT_STREAM, _LAYOUT_STREAM, _FIRST_PHOTO_STREAM = 1, 2, 3


def random_stream(seed: int, *, specimen: int, stream: int) -> np.random.Generator:
    """Returns the generator of one stream of one specimen; streams are independent and reproducible on any machine."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, specimen, stream])))


def latent_stream(seed: int, *, specimen: int) -> np.random.Generator:
    """Returns the generator of a specimen's latents, and of the labels that are drawn from them."""
    return random_stream(seed, specimen=specimen, stream=_LATENT_STREAM)


def layout_stream(seed: int, *, specimen: int) -> np.random.Generator:
    """Returns the generator of a specimen's build: the same for all its photos."""
    return random_stream(seed, specimen=specimen, stream=_LAYOUT_STREAM)


def photo_stream(seed: int, *, specimen: int, photo: int) -> np.random.Generator:
    """Returns the generator of one photo's view, light and file."""
    return random_stream(seed, specimen=specimen, stream=_FIRST_PHOTO_STREAM + photo)


def logistic(score: float) -> float:
    """Returns the logistic function, stable at both ends."""
    return float(0.5 * (1.0 + np.tanh(0.5 * score)))
