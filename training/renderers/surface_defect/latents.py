"""Parts: latents, the chance of a defect that follows from them, and the label drawn from that chance.

No pixels here; and whatever draws pixels takes the latents alone.
"""

from dataclasses import dataclass

import numpy as np

from training.renderers.streams import latent_stream, logistic
from training.renderers.surface_defect.parameters import LightParameters, SurfaceDefectParameters

CONDITIONS = ("good", "defect")
MATERIALS = ("milled", "brushed", "cast", "painted", "woven")
FLAWS = ("scratch", "pit", "crack", "stain", "inclusion")


@dataclass(frozen=True, slots=True)
class Latents:
    """What a part is. The renderer draws this and nothing else."""

    material: str
    """One of MATERIALS."""
    flaw: str
    """One of FLAWS: what the strength is the strength of, on good parts as well."""
    strength: float
    """0 (nothing to be seen) to 1."""
    light: LightParameters

    @property
    def amount(self) -> float:
        """How much of the flaw is painted, 0 to 1: nothing up to strength .2, rising evenly."""
        return float(np.clip((self.strength - 0.2) / 0.65, 0.0, 1.0))


@dataclass(frozen=True, slots=True)
class Part:
    """Latents with the posterior that follows from them and the label drawn from it."""

    index: int
    photo_count: int
    latents: Latents
    posterior: tuple[float, ...]
    """The chance of each of CONDITIONS."""
    condition: str


def condition_posterior(latents: Latents, *, parameters: SurfaceDefectParameters) -> tuple[float, ...]:
    """Returns the chance of each condition given the latents, in the order of CONDITIONS."""
    chance = logistic(parameters.defect.steepness * (latents.strength - 0.5))
    return (1.0 - chance, chance)


def draw_latents(parameters: SurfaceDefectParameters, *, rng: np.random.Generator) -> Latents:
    """Draws the latents of one part."""
    defect = parameters.defect
    material = MATERIALS[int(rng.integers(len(MATERIALS)))]
    flaw = FLAWS[int(rng.integers(len(FLAWS)))]
    light = parameters.lights[int(rng.integers(len(parameters.lights)))]
    mean = defect.strong_mean if rng.random() < defect.strong_share else defect.weak_mean
    strength = float(np.clip(rng.normal(mean, defect.spread), 0.0, 1.0))
    return Latents(material=material, flaw=flaw, strength=strength, light=light)


def draw_part(parameters: SurfaceDefectParameters, index: int) -> Part:
    """Draws one part: latents first, then its label from the posterior that the latents imply."""
    rng = latent_stream(parameters.seed, specimen=index)
    photo_count = 1 + int(rng.choice(len(parameters.photos_per_specimen), p=parameters.photos_per_specimen))
    latents = draw_latents(parameters, rng=rng)
    posterior = condition_posterior(latents, parameters=parameters)
    return Part(
        index=index,
        photo_count=photo_count,
        latents=latents,
        posterior=posterior,
        condition=CONDITIONS[int(rng.random() < posterior[1])],
    )
