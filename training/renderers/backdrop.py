"""What the specimen lies on: a table, paper, glass, a hand or cloth, drawn independently of the specimen."""

import numpy as np

from training.renderers.palette import hsv
from training.renderers.textures import Field, TextureBank

BACKDROPS = ("table", "paper", "glass", "hand", "cloth")


def draw_backdrop(textures: TextureBank, *, shape: tuple[int, int], rng: np.random.Generator) -> list[Field]:
    """Returns red, green and blue of a random backdrop, each [height, width] float32, display-referred."""
    kind = BACKDROPS[int(rng.integers(len(BACKDROPS)))]

    def field(name: str) -> Field:
        return textures.window(name, shape=shape, rng=rng)

    if kind == "table":
        colour = hsv(float(rng.uniform(18, 40)), float(rng.uniform(0.25, 0.60)), value=float(rng.uniform(0.25, 0.75)))
        relief = 0.10 * field("wood") + 0.03 * field("fine")
    elif kind == "paper":
        colour = hsv(float(rng.uniform(0, 360)), float(rng.uniform(0.0, 0.12)), value=float(rng.uniform(0.70, 0.96)))
        relief = 0.012 * field("grain") + 0.02 * field("broad")
    elif kind == "glass":
        colour = hsv(float(rng.uniform(160, 260)), float(rng.uniform(0.05, 0.35)), value=float(rng.uniform(0.12, 0.60)))
        relief = 0.14 * field("broad") + 0.35 * np.clip(field("broad") - np.float32(1.2), 0, 1)
    elif kind == "hand":
        colour = hsv(float(rng.uniform(12, 28)), float(rng.uniform(0.28, 0.55)), value=float(rng.uniform(0.30, 0.88)))
        folds = np.clip(np.float32(0.25) - np.abs(field("broad")), 0, 1)
        relief = 0.06 * field("mottle") + 0.03 * field("grain") - 0.6 * folds
    else:
        colour = hsv(float(rng.uniform(0, 360)), float(rng.uniform(0.05, 0.55)), value=float(rng.uniform(0.12, 0.70)))
        relief = _weave(shape, rng=rng) + 0.05 * field("mottle") + 0.03 * field("fine")
    gain = np.clip(np.float32(1) + relief, 0.1, 1.8).astype(np.float32)
    return [np.float32(value) * gain for value in colour]


def _weave(shape: tuple[int, int], *, rng: np.random.Generator) -> Field:
    period = float(rng.uniform(5, 9))
    ys = np.sin(np.arange(shape[0], dtype=np.float32) * np.float32(2 * np.pi / period))
    xs = np.sin(np.arange(shape[1], dtype=np.float32) * np.float32(2 * np.pi / period))
    weave: Field = np.float32(0.09) * ys[:, None] * xs[None, :]
    return weave
