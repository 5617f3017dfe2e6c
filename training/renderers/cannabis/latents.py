"""Specimens: latents, the label posteriors that follow from them, and labels drawn from the posteriors.

No pixels here; and whatever draws pixels takes the latents alone.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from training.renderers.cannabis.parameters import CannabisParameters
from training.renderers.streams import latent_stream, logistic

PRODUCT_TYPES = ("plant", "dry_flower", "trim", "hash", "extract")
GRADES = ("A+", "A", "B", "C", "F")
LOOK_ALIKES = {
    "plant": ("dry_flower",),
    "dry_flower": ("plant", "trim"),
    "trim": ("dry_flower",),
    "hash": ("extract",),
    "extract": ("hash",),
}


@dataclass(frozen=True, slots=True)
class Latents:
    """What a specimen is. The renderer draws this and nothing else."""

    home_type: str
    away_type: str
    morph: float
    """Way from the home type (0) to its look-alike (1)."""
    quality: float
    """0 (worst) to 1 (best)."""
    strengths: tuple[float, ...]
    """One for each attribute, in the order of the parameters, 0 to 1."""

    def weight(self, product_type: str) -> float:
        """Returns the share of a product type in the build, 0 to 1; the shares of all types sum to 1."""
        return {self.home_type: 1.0 - self.morph, self.away_type: self.morph}.get(product_type, 0.0)


@dataclass(frozen=True, slots=True)
class Specimen:
    """Latents with the posteriors that follow from them and the labels drawn from the posteriors."""

    index: int
    photo_count: int
    latents: Latents
    product_posterior: tuple[float, ...]
    grade_posterior: tuple[float, ...]
    attribute_posterior: tuple[float, ...]
    product_type: str
    quality_grade: str
    attributes: tuple[str, ...]

    @property
    def name(self) -> str:
        """The specimen's id, as it stands in file names and splits."""
        return f"s{self.index:06d}"


def product_posterior(latents: Latents, *, parameters: CannabisParameters) -> tuple[float, ...]:
    """Returns the chance of each product type given the latents, in the order of PRODUCT_TYPES."""
    away = logistic(parameters.morph.steepness * (latents.morph - 0.5))
    chances = {latents.home_type: 1.0 - away, latents.away_type: away}
    return tuple(chances.get(name, 0.0) for name in PRODUCT_TYPES)


def grade_posterior(latents: Latents, *, parameters: CannabisParameters) -> tuple[float, ...]:
    """Returns the chance of each grade given the latents, in the order of GRADES (best first)."""
    quality = parameters.quality
    above = [1.0, *(logistic(quality.steepness * (latents.quality - cut)) for cut in quality.cuts), 0.0]
    return tuple(low - high for low, high in pairwise(above))[::-1]


def attribute_posterior(latents: Latents, *, parameters: CannabisParameters) -> tuple[float, ...]:
    """Returns the chance that each attribute is present given the latents."""
    return tuple(logistic(parameters.strength.steepness * (strength - 0.5)) for strength in latents.strengths)


def draw_latents(parameters: CannabisParameters, *, rng: np.random.Generator) -> Latents:
    """Draws the latents of one specimen."""
    home = PRODUCT_TYPES[int(rng.integers(len(PRODUCT_TYPES)))]
    partners = LOOK_ALIKES[home]
    away = partners[int(rng.integers(len(partners)))]
    morph = parameters.morph.reach * float(rng.beta(*parameters.morph.beta))
    centre = float(rng.choice(parameters.quality.centres, p=parameters.quality.weights))
    quality = float(np.clip(rng.normal(centre, parameters.quality.spread), 0.0, 1.0))
    concentrate = home in {"hash", "extract"}
    strengths = []
    for attribute in parameters.attributes:
        prevalence = attribute.prevalence_worst + quality * (attribute.prevalence_best - attribute.prevalence_worst)
        strong = rng.random() < prevalence * (attribute.concentrate_factor if concentrate else 1.0)
        mean = parameters.strength.strong_mean if strong else parameters.strength.weak_mean
        strengths.append(float(np.clip(rng.normal(mean, parameters.strength.spread), 0.0, 1.0)))
    return Latents(home_type=home, away_type=away, morph=morph, quality=quality, strengths=tuple(strengths))


def draw_specimen(parameters: CannabisParameters, index: int) -> Specimen:
    """Draws one specimen: latents first, then its labels from the posteriors that the latents imply."""
    rng = latent_stream(parameters.seed, specimen=index)
    photo_count = 1 + int(rng.choice(len(parameters.photos_per_specimen), p=parameters.photos_per_specimen))
    latents = draw_latents(parameters, rng=rng)
    products = product_posterior(latents, parameters=parameters)
    grades = grade_posterior(latents, parameters=parameters)
    chances = attribute_posterior(latents, parameters=parameters)
    present = rng.random(len(chances))
    return Specimen(
        index=index,
        photo_count=photo_count,
        latents=latents,
        product_posterior=products,
        grade_posterior=grades,
        attribute_posterior=chances,
        product_type=PRODUCT_TYPES[int(rng.choice(len(PRODUCT_TYPES), p=products))],
        quality_grade=GRADES[int(rng.choice(len(GRADES), p=grades))],
        attributes=tuple(
            a.name for a, chance, u in zip(parameters.attributes, chances, present, strict=True) if u < chance
        ),
    )
