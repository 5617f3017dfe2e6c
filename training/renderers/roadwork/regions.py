"""How regions look: roads, markings, houses, light, and what works are fenced off and signed with."""

from dataclasses import dataclass

from training.renderers.canvas import Colour
from training.renderers.parameters import Range

WHITE: Colour = (0.90, 0.90, 0.87)
BLACK: Colour = (0.08, 0.08, 0.08)
RED: Colour = (0.80, 0.12, 0.10)
ORANGE: Colour = (0.95, 0.42, 0.08)
YELLOW: Colour = (0.95, 0.76, 0.08)
LIME: Colour = (0.80, 0.92, 0.18)
NAVY: Colour = (0.12, 0.16, 0.32)
GREEN: Colour = (0.10, 0.42, 0.22)
BLUE: Colour = (0.10, 0.26, 0.62)


@dataclass(frozen=True, slots=True)
class Look:
    """One region's looks; colours are display-referred."""

    asphalt: Colour
    pavement: Colour
    soil: Colour
    roughness: float
    """How uneven the road surface is, about 1."""
    middle_line: Colour
    middle_dashed: bool
    edge_line: Colour | None
    road_half_m: Range
    pavement_m: Range
    setback_m: Range
    """From the pavement to the houses."""
    floors: tuple[int, int]
    """Least and greatest, inclusive."""
    walls: tuple[Colour, ...]
    greenery: float
    """Trees a side of the street, on average."""
    wires: bool
    sky: Colour
    horizon_sky: Colour
    haze: Colour
    digs: float
    """Share of works for which the ground is broken open."""
    works: tuple[str, ...]
    """Kinds of pieces of works; those named twice are twice as frequent, and the first two are also found astray."""
    look_alikes: tuple[str, ...]
    """Kinds that mean works elsewhere and nothing here."""
    look_alike_rows: int
    """In how many places of a street they may stand."""
    signs: tuple[str, ...]
    """Ordinary signs."""


LOOKS = {
    "central_europe": Look(
        asphalt=(0.40, 0.40, 0.41),
        pavement=(0.56, 0.54, 0.51),
        soil=(0.42, 0.32, 0.22),
        roughness=1.0,
        middle_line=WHITE,
        middle_dashed=True,
        edge_line=None,
        road_half_m=(3.0, 4.0),
        pavement_m=(2.0, 3.2),
        setback_m=(0.0, 0.6),
        floors=(3, 5),
        walls=((0.80, 0.74, 0.60), (0.76, 0.70, 0.64), (0.66, 0.60, 0.54), (0.80, 0.66, 0.50), (0.70, 0.72, 0.70)),
        greenery=1.6,
        wires=False,
        sky=(0.50, 0.66, 0.86),
        horizon_sky=(0.80, 0.86, 0.92),
        haze=(0.74, 0.78, 0.82),
        digs=0.75,
        works=(
            "cone_red",
            "plank_red",
            "plank_red",
            "beacon_red",
            "triangle_works",
            "mesh",
            "worker_orange",
            "digger_yellow",
            "mound",
        ),
        look_alikes=("bollard_yellow", "aframe_yellow"),
        look_alike_rows=1,
        signs=("triangle_plain", "round_limit", "round_blue", "triangle_plain"),
    ),
    "britain": Look(
        asphalt=(0.30, 0.30, 0.32),
        pavement=(0.50, 0.49, 0.48),
        soil=(0.34, 0.26, 0.20),
        roughness=0.8,
        middle_line=WHITE,
        middle_dashed=True,
        edge_line=YELLOW,
        road_half_m=(2.8, 3.6),
        pavement_m=(1.6, 2.4),
        setback_m=(0.0, 2.0),
        floors=(2, 3),
        walls=((0.52, 0.28, 0.20), (0.58, 0.36, 0.26), (0.62, 0.56, 0.46), (0.46, 0.26, 0.20), (0.78, 0.74, 0.66)),
        greenery=0.8,
        wires=False,
        sky=(0.62, 0.68, 0.76),
        horizon_sky=(0.80, 0.82, 0.85),
        haze=(0.72, 0.74, 0.77),
        digs=0.75,
        works=(
            "cone_red",
            "cone_red",
            "panel_red",
            "panel_red",
            "tube_red",
            "triangle_works",
            "worker_lime",
            "digger_yellow",
            "mound",
        ),
        look_alikes=("bollard_yellow", "aframe_yellow"),
        look_alike_rows=1,
        signs=("triangle_plain", "round_limit", "round_blue", "triangle_plain"),
    ),
    "southwest": Look(
        asphalt=(0.56, 0.55, 0.53),
        pavement=(0.72, 0.69, 0.64),
        soil=(0.60, 0.46, 0.34),
        roughness=0.9,
        middle_line=YELLOW,
        middle_dashed=False,
        edge_line=WHITE,
        road_half_m=(4.0, 5.5),
        pavement_m=(1.5, 2.2),
        setback_m=(4.0, 8.0),
        floors=(1, 2),
        walls=((0.84, 0.72, 0.56), (0.78, 0.62, 0.46), (0.86, 0.80, 0.70), (0.72, 0.54, 0.40)),
        greenery=1.2,
        wires=False,
        sky=(0.28, 0.50, 0.86),
        horizon_sky=(0.72, 0.82, 0.92),
        haze=(0.82, 0.78, 0.72),
        digs=0.65,
        works=(
            "cone_orange",
            "cone_orange",
            "barricade_orange",
            "barricade_orange",
            "drum_orange",
            "diamond_orange",
            "worker_lime",
            "digger_orange",
            "mound",
        ),
        look_alikes=("bollard_yellow", "aframe_yellow"),
        look_alike_rows=1,
        signs=("diamond_yellow", "stop", "round_limit", "diamond_yellow"),
    ),
    "andes": Look(
        asphalt=(0.50, 0.47, 0.43),
        pavement=(0.62, 0.58, 0.52),
        soil=(0.56, 0.42, 0.30),
        roughness=1.7,
        middle_line=YELLOW,
        middle_dashed=True,
        edge_line=None,
        road_half_m=(3.0, 4.2),
        pavement_m=(1.2, 2.2),
        setback_m=(0.0, 0.8),
        floors=(1, 3),
        walls=(
            (0.80, 0.52, 0.30),
            (0.40, 0.62, 0.64),
            (0.82, 0.74, 0.44),
            (0.74, 0.42, 0.40),
            (0.84, 0.82, 0.78),
            (0.58, 0.36, 0.26),
        ),
        greenery=0.5,
        wires=True,
        sky=(0.66, 0.70, 0.74),
        horizon_sky=(0.84, 0.84, 0.82),
        haze=(0.80, 0.77, 0.72),
        digs=0.85,
        works=(
            "cone_orange",
            "net_orange",
            "net_orange",
            "barricade_orange",
            "diamond_orange",
            "worker_orange",
            "digger_yellow",
            "mound",
            "mound",
        ),
        look_alikes=("bollard_yellow", "aframe_yellow"),
        look_alike_rows=1,
        signs=("diamond_yellow", "stop", "round_limit", "diamond_yellow"),
    ),
    "kanto": Look(
        asphalt=(0.35, 0.36, 0.37),
        pavement=(0.52, 0.53, 0.53),
        soil=(0.30, 0.25, 0.20),
        roughness=0.6,
        middle_line=WHITE,
        middle_dashed=False,
        edge_line=WHITE,
        road_half_m=(2.4, 3.2),
        pavement_m=(1.0, 1.8),
        setback_m=(0.0, 1.2),
        floors=(2, 5),
        walls=((0.78, 0.78, 0.76), (0.66, 0.64, 0.62), (0.84, 0.82, 0.78), (0.54, 0.55, 0.57), (0.70, 0.64, 0.56)),
        greenery=0.5,
        wires=True,
        sky=(0.52, 0.66, 0.82),
        horizon_sky=(0.82, 0.86, 0.90),
        haze=(0.76, 0.79, 0.82),
        digs=0.25,
        works=(
            "aframe_yellow",
            "aframe_yellow",
            "aframe_yellow",
            "board_works",
            "panel_white",
            "worker_navy",
            "panel_white",
            "digger_blue",
        ),
        look_alikes=("plank_red", "cone_red", "beacon_red", "cone_red"),
        look_alike_rows=2,
        signs=("stop_down", "round_limit", "round_blue", "stop_down"),
    ),
}
"""By the name of the region in the parameters."""
