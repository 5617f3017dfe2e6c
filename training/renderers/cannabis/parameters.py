"""Every number that decides how hard the rendered cannabis task is."""

from typing import ClassVar

from pydantic import Field

from training.renderers.parameters import FrozenParameters, OutputParameters, RendererParameters, ViewParameters


class MorphParameters(FrozenParameters):
    """Where specimens lie between two look-alike product types, and how sharply the type is decided there."""

    steepness: float = Field(
        gt=0, description="Slope of the logistic in the morph position; the position runs from 0 to 1."
    )
    reach: float = Field(
        gt=0, le=1, description="Greatest distance from the home type, as a share of the way to its look-alike."
    )
    beta: tuple[float, float] = Field(
        description="Shape of the Beta distribution of the distance, before it is scaled by reach."
    )


class QualityParameters(FrozenParameters):
    """The latent quality, 0 (worst) to 1 (best), and the ordered logistic from which a grade is drawn."""

    centres: tuple[float, float, float, float, float] = Field(
        description="Centres of the quality mixture, worst first."
    )
    weights: tuple[float, float, float, float, float] = Field(
        description="Weights of the quality mixture, worst first; sum 1."
    )
    spread: float = Field(gt=0, description="Standard deviation about each centre.")
    cuts: tuple[float, float, float, float] = Field(description="Boundaries between neighbouring grades, worst first.")
    steepness: float = Field(gt=0, description="Slope of the ordered logistic in quality.")


class AttributeParameters(FrozenParameters):
    """One attribute: how often its strength is high, by quality and by kind of material."""

    name: str
    prevalence_worst: float = Field(ge=0, le=1, description="Share of strong specimens at quality 0.")
    prevalence_best: float = Field(ge=0, le=1, description="Share of strong specimens at quality 1.")
    concentrate_factor: float = Field(ge=0, description="Multiplies the prevalence for hash and extract.")


class StrengthParameters(FrozenParameters):
    """The latent strength of an attribute, 0 to 1, and the logistic about .5 from which its label is drawn."""

    weak_mean: float
    strong_mean: float
    spread: float = Field(gt=0)
    steepness: float = Field(gt=0)


class CannabisParameters(RendererParameters):
    """All parameters of the cannabis renderer."""

    version: ClassVar[int] = 1

    morph: MorphParameters
    quality: QualityParameters
    strength: StrengthParameters
    attributes: tuple[AttributeParameters, ...]
    view: ViewParameters
    output: OutputParameters
