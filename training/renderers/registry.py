"""The renderers there are, by the name that a task file gives in `data.rendering.renderer`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from training.renderers.cannabis.cannabis_renderer import CannabisRenderer
from training.renderers.cannabis.parameters import CannabisParameters
from training.renderers.crop_health.crop_health_renderer import CropHealthRenderer
from training.renderers.crop_health.parameters import CropHealthParameters
from training.renderers.parameters import RendererParameters
from training.renderers.renderer import Renderer
from training.renderers.roadwork.parameters import RoadworkParameters
from training.renderers.roadwork.roadwork_renderer import RoadworkRenderer
from training.renderers.surface_defect.parameters import SurfaceDefectParameters
from training.renderers.surface_defect.surface_defect_renderer import SurfaceDefectRenderer

P = TypeVar("P", bound=RendererParameters)


@dataclass(frozen=True, slots=True)
class RendererKind(Generic[P]):
    """A renderer, and what it wants to be told."""

    parameters: type[P]
    build: Callable[[P], Renderer]
    """Makes the renderer; may cost seconds."""


RENDERERS: Mapping[str, RendererKind[Any]] = {
    "cannabis": RendererKind(CannabisParameters, CannabisRenderer),
    "crop_health": RendererKind(CropHealthParameters, CropHealthRenderer),
    "roadwork": RendererKind(RoadworkParameters, RoadworkRenderer),
    "surface_defect": RendererKind(SurfaceDefectParameters, SurfaceDefectRenderer),
}


def build_renderer(name: str, parameters: RendererParameters) -> Renderer:
    """Returns the renderer of this name, made with its own kind of parameters; KeyError if there is none."""
    return RENDERERS[name].build(parameters)
