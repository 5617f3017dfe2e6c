"""The layout of a street: how wide it is, what houses stand along it, what stands in it and lies on it."""

from dataclasses import dataclass

import numpy as np

from training.renderers.canvas import Colour
from training.renderers.palette import hsv, vary
from training.renderers.roadwork.latents import Latents
from training.renderers.roadwork.market import CENTREPIECES
from training.renderers.roadwork.ordinary import FURNITURE
from training.renderers.roadwork.parameters import OrdinaryParameters, RoadworkParameters
from training.renderers.roadwork.regions import LOOKS, RED, WHITE, Look
from training.renderers.roadwork.things import Thing

FAR_M = 70.0
_NEAREST_M = 5.0
_STRAY = 2
"""So many pieces of works are found where nobody works."""

_STREWN_M = (-2.6, 3.4)
"""Works extend so far before and behind their middle."""


@dataclass(frozen=True, slots=True)
class House:
    """A house along the street, from `near` to `far` metres ahead."""

    side: int
    """-1 left, 1 right."""
    near: float
    far: float
    floors: int
    wall: Colour
    shop: Colour | None
    """The colour of its shop's sign, if it has a shop."""
    awning: tuple[Colour, Colour] | None


@dataclass(frozen=True, slots=True)
class Patch:
    """Something flat on the ground: middle and half extent, metres."""

    kind: str
    """`dug`, `mended`, `puddle` or `leaves`."""
    x: float
    z: float
    half_x: float
    half_z: float


@dataclass(frozen=True, slots=True)
class Street:
    """All that a specimen's photos have in common."""

    look: Look
    road_half: float
    pavement: float
    setback: float
    houses: tuple[House, ...]
    things: tuple[Thing, ...]
    patches: tuple[Patch, ...]
    stand_m: float
    """Where the photographer stands, from the middle of the road."""
    aim_px: float
    """How far right of the middle the vanishing point lies, at a focal length of 1,000 pixels."""
    dash_phase: float
    sun: tuple[float, float]
    """Direction of shadows on the ground, (right, ahead), times their length over height."""
    clouds: float


def lay_out(latents: Latents, *, parameters: RoadworkParameters, rng: np.random.Generator) -> Street:
    """Draws the street of a specimen."""
    look = LOOKS[latents.region]
    road_half, pavement, setback = (
        float(rng.uniform(*span)) for span in (look.road_half_m, look.pavement_m, look.setback_m)
    )
    stand = float(rng.uniform(-0.6, 0.6)) * road_half
    middle_z = float(rng.uniform(*parameters.zone_depth_m))
    edge = road_half + pavement - 0.4
    middle_x = float(np.clip(stand + float(rng.uniform(-0.31, 0.31)) * middle_z, -edge, edge))
    sites = [
        *_centrepieces(latents, parameters, zone=(middle_x, middle_z), rng=rng),
        *_works(latents, look, parameters=parameters, middle=(middle_x, middle_z), rng=rng),
        *_look_alikes(look, most=parameters.ordinary.look_alikes, road_half=road_half, pavement=pavement, rng=rng),
        *_ordinary(
            look, parameters.ordinary, road_half=road_half, pavement=pavement, zone=(middle_x, middle_z), rng=rng
        ),
    ]
    reach = float(rng.uniform(0.5, 1.8)) * (-1 if rng.random() < 0.5 else 1)  # noqa: PLR2004 -- from either side
    return Street(
        look=look,
        road_half=road_half,
        pavement=pavement,
        setback=setback,
        houses=tuple(_houses(look, rng=rng)),
        things=tuple(sites),
        patches=tuple(_patches(latents, parameters, road_half=road_half, zone=(middle_x, middle_z), rng=rng)),
        stand_m=stand,
        aim_px=float(rng.normal(0, 60)),
        dash_phase=float(rng.uniform(0, 6)),
        sun=(reach, float(rng.uniform(-0.3, 0.8))),
        clouds=float(rng.uniform(0.0, 1.0)),
    )


def _works(
    latents: Latents,
    look: Look,
    *,
    parameters: RoadworkParameters,
    middle: tuple[float, float],
    rng: np.random.Generator,
) -> list[Thing]:
    """The pieces of works, about their middle: first one or two that may have been left behind, then ever more."""
    least, most = parameters.pieces
    whole = int(rng.integers(least, most + 1))
    pieces: list[Thing] = []
    for number in range(round(whole * latents.amount(parameters.amount) ** 2)):
        choice = look.works[:_STRAY] if number < _STRAY else look.works
        kind = choice[int(rng.integers(len(choice)))]
        if kind in {piece.kind for piece in pieces} and kind.startswith("digger"):
            kind = look.works[1]
        x = middle[0] + float(rng.normal(0, 1.0))
        z = max(_NEAREST_M, middle[1] + float(rng.uniform(*_STREWN_M)))
        pieces.append(Thing(kind, x, z + 3.0 * kind.startswith("digger"), int(rng.integers(64))))
    return pieces


def _look_alikes(look: Look, *, most: int, road_half: float, pavement: float, rng: np.random.Generator) -> list[Thing]:
    """What means works elsewhere: a few of one kind, in a row along the kerb or the pavement."""
    things = []
    for _ in range(look.look_alike_rows):
        count = int(rng.integers(most + 1))
        kind = look.look_alikes[int(rng.integers(len(look.look_alikes)))]
        side = -1 if rng.random() < 0.5 else 1  # noqa: PLR2004 -- either side
        x = side * (road_half + float(rng.uniform(-0.8, pavement - 0.3)))
        z = float(rng.uniform(6.5, 12.0))
        for _ in range(count):
            things.append(Thing(kind, x + float(rng.normal(0, 0.2)), z, int(rng.integers(64))))
            z += float(rng.uniform(0.8, 2.0))
    return things


def _centrepieces(
    latents: Latents, parameters: RoadworkParameters, *, zone: tuple[float, float], rng: np.random.Generator
) -> list[Thing]:
    """What stands in the middle of the view on an ordinary day: the more is being worked, the less of it."""
    least, most = parameters.ordinary.centrepieces
    room = 1.0 - latents.amount(parameters.amount)
    pieces = []
    for _ in range(round(room * int(rng.integers(least, most + 1)))):
        kind = CENTREPIECES[int(rng.integers(len(CENTREPIECES)))]
        x, z = zone[0] + float(rng.normal(0, 1.6)), zone[1] + float(rng.uniform(*_STREWN_M))
        pieces.append(Thing(kind, x, max(_NEAREST_M, z), int(rng.integers(64))))
    return pieces


def _ordinary(
    look: Look,
    parameters: OrdinaryParameters,
    *,
    road_half: float,
    pavement: float,
    zone: tuple[float, float],
    rng: np.random.Generator,
) -> list[Thing]:
    """Parked vehicles, signs, furniture, people and trees."""

    def beside() -> float:
        side = -1 if rng.random() < 0.5 else 1  # noqa: PLR2004 -- either side
        return side * (road_half + float(rng.uniform(0.25, max(0.4, pavement - 0.3))))

    things = []
    for _ in range(int(rng.integers(parameters.vehicles + 1))):
        side = -1 if rng.random() < 0.5 else 1  # noqa: PLR2004 -- either side
        x, z = side * (road_half - 0.95), float(rng.uniform(8.0, 36.0))
        # Nothing parks in the works.
        z = max(z, zone[1] + 5.0) if abs(x - zone[0]) < 2.0 else z  # noqa: PLR2004 -- a vehicle's width
        things.append(Thing("van" if rng.random() < 0.35 else "car", x, z, int(rng.integers(64))))  # noqa: PLR2004
    for _ in range(int(rng.integers(parameters.signs + 1))):
        kind = look.signs[int(rng.integers(len(look.signs)))]
        things.append(Thing(kind, beside(), float(rng.uniform(6.0, 20.0)), int(rng.integers(64))))
    for _ in range(int(rng.integers(parameters.furniture + 1))):
        kind = FURNITURE[int(rng.integers(len(FURNITURE)))]
        things.append(Thing(kind, beside(), float(rng.uniform(5.5, 20.0)), int(rng.integers(64))))
    for _ in range(int(rng.integers(parameters.people + 1))):
        size = float(rng.uniform(0.92, 1.06))
        things.append(Thing("pedestrian", beside(), float(rng.uniform(6.5, 22.0)), int(rng.integers(64)), size))
    for side in (-1, 1):
        for _ in range(int(rng.poisson(look.greenery))):
            x = side * (road_half + pavement - float(rng.uniform(-0.6, 0.5)))
            things.append(
                Thing("tree", x, float(rng.uniform(10.0, 45.0)), int(rng.integers(64)), float(rng.uniform(0.8, 1.3)))
            )
    return things


def _houses(look: Look, *, rng: np.random.Generator) -> list[House]:
    """Rows of houses on both sides, with gaps where they stand back."""
    houses = []
    for side in (-1, 1):
        near = float(rng.uniform(4.0, 8.0))
        while near < FAR_M:
            far = near + float(rng.uniform(6.0, 14.0))
            sells = rng.random() < 0.4  # noqa: PLR2004 -- a share of shops
            bright = hsv(float(rng.uniform(0, 360)), float(rng.uniform(0.4, 0.9)), value=float(rng.uniform(0.4, 0.9)))
            orange = hsv(float(rng.uniform(8, 40)), 0.85, value=0.9)
            shaded = sells and rng.random() < 0.4  # noqa: PLR2004 -- of shops
            sign = orange if rng.random() < 0.35 else bright  # noqa: PLR2004 -- of shops
            cloth = ((RED, WHITE), (sign, WHITE), ((0.16, 0.36, 0.26), WHITE))[int(rng.integers(3))]
            houses.append(
                House(
                    side=side,
                    near=near,
                    far=far,
                    floors=int(rng.integers(look.floors[0], look.floors[1] + 1)),
                    wall=vary(look.walls[int(rng.integers(len(look.walls)))], rng, amount=0.08),
                    shop=sign if sells else None,
                    awning=cloth if shaded else None,
                )
            )
            near = far + (float(rng.uniform(1.0, 6.0)) if rng.random() < 0.3 else 0.0)  # noqa: PLR2004
    return houses


def _patches(
    latents: Latents,
    parameters: RoadworkParameters,
    *,
    road_half: float,
    zone: tuple[float, float],
    rng: np.random.Generator,
) -> list[Patch]:
    """What lies flat on the ground: mended asphalt, puddles, leaves; and the pit of works."""
    kinds = ("mended", "mended", "puddle", "leaves")
    patches = [
        Patch(
            kinds[int(rng.integers(len(kinds)))],
            float(rng.uniform(-road_half, road_half)),
            float(rng.uniform(4.5, 16.0)),
            float(rng.uniform(0.3, 1.2)),
            float(rng.uniform(0.4, 2.5)),
        )
        for _ in range(int(rng.integers(parameters.ordinary.patches + 1)))
    ]
    amount, digs = latents.amount(parameters.amount), rng.random() < LOOKS[latents.region].digs
    half_x, half_z = float(rng.uniform(0.5, 1.2)), float(rng.uniform(1.0, 2.4))
    if digs and amount > 0.5:  # noqa: PLR2004 -- fences come first
        patches.append(Patch("dug", zone[0], zone[1] + 0.4, amount * half_x, amount * half_z))
    return patches
