"""What is seen on healthy and ailing leaves alike: dew, tears, soil, dust, old age, petals, a ladybird, shadows."""

from dataclasses import dataclass, fields

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from training.renderers.crop_health.leaves import Leaf
from training.renderers.crop_health.parameters import HarmlessParameters
from training.renderers.crop_health.patch import patch_at
from training.renderers.crop_health.piece import Piece
from training.renderers.palette import hsv, vary
from training.renderers.surface import Surface
from training.renderers.textures import Field, TextureBank
from training.renderers.view import View

DROPS = 40
TEARS = 5
SPLASHES = 34
PETALS = 5


@dataclass(frozen=True, slots=True)
class Harmless:
    """How much there is of each, 0 to 1; the names are those of the parameters."""

    dew: float
    holes: float
    soil: float
    dust: float
    age: float
    petals: float
    ladybird: float
    leaf_shadow: float


def draw_harmless(parameters: HarmlessParameters, *, rng: np.random.Generator) -> Harmless:
    """Draws what else is on a leaf, blind to what ails it."""
    drawn = {}
    for field in fields(Harmless):
        there, amount = rng.random() < getattr(parameters, field.name), float(rng.uniform(0.25, 1.0))
        drawn[field.name] = amount if there else 0.0
    return Harmless(**drawn)


def strew(harmless: Harmless, leaf: Leaf, *, rng: np.random.Generator) -> list[Piece]:
    """Draws the pieces that lie on the leaf, in the manner of insects."""
    soil = hsv(float(rng.uniform(20, 38)), float(rng.uniform(0.3, 0.6)), value=float(rng.uniform(0.25, 0.5)))
    bloom = hsv(float(rng.uniform(0, 360)), float(rng.uniform(0.0, 0.35)), value=0.95)
    red, green, blue = leaf.living
    water = (0.92 * red + 0.08, 0.92 * green + 0.10, 0.92 * blue + 0.10)
    layers = (
        ("grit", round(SPLASHES * harmless.soil), (0.022, 0.066), soil),
        ("petal", round(PETALS * harmless.petals), (0.12, 0.20), bloom),
        ("ladybird", int(harmless.ladybird > 0), (0.19, 0.26), (0.78, 0.13, 0.06)),
        ("droplet", round(DROPS * harmless.dew), (0.03, 0.11), water),
    )
    pieces = []
    for kind, count, (low, high), colour in layers:
        for at in leaf.points(rng, count=count):
            length, angle = float(rng.uniform(low, high)), float(rng.uniform(0, 2 * np.pi))
            pieces.append(Piece(kind, at, length, angle, int(rng.integers(64)), vary(colour, rng, amount=0.06)))
    return pieces


def wear(
    surface: Surface,
    leaf: Leaf,
    *,
    rim: Field,
    harmless: Harmless,
    view: View,
    textures: TextureBank,
    rng: np.random.Generator,
) -> None:
    """Ages and tears a leaf; `rim: [height, width] float32`, the distance inside its outline."""
    shape = (view.height, view.width)
    edge, grain = textures.window("lump", shape=shape, rng=rng), textures.window("grain", shape=shape, rng=rng)
    broad = textures.window("broad", shape=shape, rng=rng)
    if harmless.age > 0:
        inwards = rim * np.float32(2.4) + np.float32(0.22) * broad
        surface.blend((0.80, 0.72, 0.22), np.clip(0.9 * (np.float32(1.1 * harmless.age) - inwards), 0, 0.85))
        surface.blend((0.55, 0.40, 0.22), np.clip(3.0 * (np.float32(0.32 * harmless.age) - inwards), 0, 0.85))
    for at in leaf.points(rng, count=round(TEARS * harmless.holes)):
        size, lean = float(rng.uniform(0.05, 0.13)), float(rng.uniform(0, 0.5))
        patch = patch_at(view, at, radius=size, edge=edge, grain=grain)
        away = patch.away + np.float32(0.25 * lean) * patch.edge
        patch.blend(surface, (0.62, 0.60, 0.36), weight=np.clip(9 * (1.06 - away), 0, 1))
        patch.cut(surface, weight=np.clip(12 * (1.0 - away), 0, 1))


def cover_with_dust(surface: Surface, *, amount: float, textures: TextureBank, rng: np.random.Generator) -> None:
    """Lays an even grey-brown film over everything, thicker here and there."""
    shape = (surface.shade.shape[0], surface.shade.shape[1])
    film = (
        0.30
        + 0.10 * textures.window("broad", shape=shape, rng=rng)
        + 0.12 * textures.window("fine", shape=shape, rng=rng)
    )
    if amount > 0:
        surface.blend((0.66, 0.60, 0.50), np.clip(np.float32(amount) * film, 0, 0.7))
        surface.gloss *= np.float32(1 - 0.8 * amount)


def shade_by_leaf(surface: Surface, *, amount: float, view: View, rng: np.random.Generator) -> None:
    """Lets another leaf's shadow fall on this one."""
    turn, width = float(rng.uniform(0, 2 * np.pi)), float(rng.uniform(0.18, 0.4))
    middle, depth = rng.normal(0, 0.4, 2), float(rng.uniform(0.35, 0.6))
    if amount <= 0:
        return
    along = np.linspace(-1, 1, 24)
    half = width * np.sqrt(np.clip(1 - along**2, 0, 1))
    outline = [*zip(1.2 * along, half, strict=True), *zip(1.2 * along[::-1], -half[::-1], strict=True)]
    cos, sin = float(np.cos(turn)), float(np.sin(turn))
    corners = [
        view.place(float(middle[0]) + x * cos - y * sin, float(middle[1]) + x * sin + y * cos) for x, y in outline
    ]
    small = Image.new("L", (view.width // 4, view.height // 4), 0)
    ImageDraw.Draw(small).polygon([(x / 4, y / 4) for x, y in corners], fill=255)
    soft = small.filter(ImageFilter.GaussianBlur(0.7)).resize((view.width, view.height), Image.Resampling.BILINEAR)
    surface.shade *= np.float32(1) - np.asarray(soft, np.float32) * np.float32(depth / 255)
