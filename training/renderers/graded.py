"""A latent strength from 0 to 1 that decides between absence and presence: shared by renderers of such questions."""

import numpy as np
from pydantic import Field

from training.renderers.parameters import FrozenParameters
from training.renderers.streams import logistic


class StrengthParameters(FrozenParameters):
    """How much there is of a thing, 0 to 1: little, much, or anything between."""

    much_share: float = Field(ge=0, le=1, description="Share of specimens that have much of it.")
    between_share: float = Field(ge=0, le=1, description="Share of specimens whose strength is drawn evenly.")
    little_mean: float
    much_mean: float
    spread: float = Field(gt=0, description="Standard deviation about either mean.")
    steepness: float = Field(gt=0, description="Slope of the logistic about .5 that decides on presence.")


def draw_strength(parameters: StrengthParameters, *, rng: np.random.Generator) -> float:
    """Draws a strength, 0 to 1."""
    between, much = rng.random() < parameters.between_share, rng.random() < parameters.much_share
    mean = parameters.much_mean if much else parameters.little_mean
    drawn = float(rng.random()) if between else float(rng.normal(mean, parameters.spread))
    return float(np.clip(drawn, 0.0, 1.0))


def chance_of_presence(strength: float, *, parameters: StrengthParameters) -> float:
    """Returns the chance that what is there counts as present."""
    return logistic(parameters.steepness * (strength - 0.5))
