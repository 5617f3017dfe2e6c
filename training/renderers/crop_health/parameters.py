"""Every number that decides how hard the crop health task is."""

from typing import ClassVar

from pydantic import Field

from training.renderers.graded import StrengthParameters
from training.renderers.parameters import FrozenParameters, OutputParameters, Range, RendererParameters, ViewParameters


class MixtureParameters(FrozenParameters):
    """How much of a trouble is of a second kind, and how sharply the greater share decides."""

    reach: float = Field(gt=0, le=1, description="Greatest share of the second kind.")
    beta: tuple[float, float] = Field(description="Shape of the share's Beta distribution, before it is scaled.")
    steepness: float = Field(gt=0, description="Slope of the logistic in the share, about .5.")


class TroubleParameters(FrozenParameters):
    """One of the two questions: pests, or diseases."""

    strength: StrengthParameters
    mixture: MixtureParameters


class HarmlessParameters(FrozenParameters):
    """Chances of what is to be seen on healthy and ailing leaves alike, and means nothing."""

    dew: float = Field(ge=0, le=1)
    holes: float = Field(ge=0, le=1, description="Torn by wind or hail.")
    soil: float = Field(ge=0, le=1, description="Splashed up by rain.")
    dust: float = Field(ge=0, le=1)
    age: float = Field(ge=0, le=1, description="Yellow from the edge, then brown at the tip.")
    petals: float = Field(ge=0, le=1)
    ladybird: float = Field(ge=0, le=1)
    leaf_shadow: float = Field(ge=0, le=1, description="The hard shadow of another leaf.")


class CropHealthParameters(RendererParameters):
    """All parameters of the crop health renderer, as they stand in the task file."""

    version: ClassVar[int] = 1

    pest: TroubleParameters
    disease: TroubleParameters
    harmless: HarmlessParameters
    amount: Range = Field(description="Strengths below which nothing is drawn, and above which all of it.")
    view: ViewParameters
    output: OutputParameters
