"""Specimens: what troubles a leaf and how much, the chances that follow, and the labels drawn from them.

No pixels here; and whatever draws pixels takes the latents alone.
"""

from dataclasses import dataclass

import numpy as np

from training.renderers.crop_health.parameters import CropHealthParameters, TroubleParameters
from training.renderers.graded import chance_of_presence, draw_strength
from training.renderers.parameters import Range
from training.renderers.renderer import RenderedSpecimen
from training.renderers.streams import latent_stream, logistic

NONE = "none"
PESTS = ("aphid", "caterpillar", "mite", "whitefly")
DISEASES = ("rust", "powdery_mildew", "leaf_spot", "blight")
PEST_LABELS = (NONE, *PESTS)
DISEASE_LABELS = (NONE, *DISEASES)


@dataclass(frozen=True, slots=True)
class Trouble:
    """One kind of pest or disease, with some of a second kind."""

    kind: str
    second_kind: str
    second_share: float
    """Of all there is, 0 to 1."""
    strength: float
    """How much there is of both, 0 to 1."""

    def amounts(self, span: Range) -> dict[str, float]:
        """Returns how much is drawn of each kind, 0 to 1; `span` is the strengths of nothing and of all."""
        low, high = span
        amount = float(np.clip((self.strength - low) / (high - low), 0.0, 1.0))
        return {self.kind: amount * (1.0 - self.second_share), self.second_kind: amount * self.second_share}


@dataclass(frozen=True, slots=True)
class Latents:
    """What ails a leaf. The renderer draws this and nothing else."""

    pest: Trouble
    disease: Trouble


def trouble_posterior(trouble: Trouble, labels: tuple[str, ...], *, parameters: TroubleParameters) -> tuple[float, ...]:
    """Returns the chance of each label given the latents: `none`, or the kind of which there is more."""
    present = chance_of_presence(trouble.strength, parameters=parameters.strength)
    second = logistic(parameters.mixture.steepness * (trouble.second_share - 0.5))
    chances = {NONE: 1.0 - present, trouble.kind: present * (1.0 - second), trouble.second_kind: present * second}
    return tuple(chances.get(label, 0.0) for label in labels)


def draw_latents(parameters: CropHealthParameters, *, index: int) -> Latents:
    """Draws the latents of one specimen: the same as `draw_specimen` labels."""
    return _draw_latents(parameters, rng=latent_stream(parameters.seed, specimen=index))


def draw_specimen(parameters: CropHealthParameters, index: int) -> RenderedSpecimen:
    """Draws one specimen: latents first, then its labels from the posteriors that the latents imply."""
    rng = latent_stream(parameters.seed, specimen=index)
    latents = _draw_latents(parameters, rng=rng)
    posteriors = {
        "pest": trouble_posterior(latents.pest, PEST_LABELS, parameters=parameters.pest),
        "disease": trouble_posterior(latents.disease, DISEASE_LABELS, parameters=parameters.disease),
    }
    return RenderedSpecimen(
        name=f"s{index:06d}",
        photo_count=1 + int(rng.choice(len(parameters.photos_per_specimen), p=parameters.photos_per_specimen)),
        labels={
            "pest": PEST_LABELS[int(rng.choice(len(PEST_LABELS), p=posteriors["pest"]))],
            "disease": DISEASE_LABELS[int(rng.choice(len(DISEASE_LABELS), p=posteriors["disease"]))],
        },
        posteriors=posteriors,
    )


def _draw_latents(parameters: CropHealthParameters, *, rng: np.random.Generator) -> Latents:
    return Latents(
        pest=_draw_trouble(PESTS, parameters=parameters.pest, rng=rng),
        disease=_draw_trouble(DISEASES, parameters=parameters.disease, rng=rng),
    )


def _draw_trouble(kinds: tuple[str, ...], *, parameters: TroubleParameters, rng: np.random.Generator) -> Trouble:
    first, second = (kinds[int(each)] for each in rng.choice(len(kinds), size=2, replace=False))
    share = parameters.mixture.reach * float(rng.beta(*parameters.mixture.beta))
    strength = draw_strength(parameters.strength, rng=rng)
    return Trouble(kind=first, second_kind=second, second_share=share, strength=strength)
