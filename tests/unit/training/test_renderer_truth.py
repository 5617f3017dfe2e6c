"""The renderer's truth: labels are drawn from the posteriors that it states."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.renderers.cannabis.latents import (
    GRADES,
    PRODUCT_TYPES,
    Latents,
    Specimen,
    attribute_posterior,
    draw_specimen,
    grade_posterior,
    product_posterior,
)
from training.task_file import load_task_file

PARAMETERS = load_task_file("cannabis").rendering.parameters
SPECIMEN_COUNT = 6_000
TOLERANCE_SIGMA = 4.5
"""Frequencies may differ from the sum of posteriors by so many standard errors: 1 run in 1,000 over all labels."""

units = st.floats(0, 1)


@pytest.fixture(scope="module")
def specimens() -> list[Specimen]:
    """A sample of specimens, as the dataset has them."""
    return [draw_specimen(PARAMETERS, index) for index in range(SPECIMEN_COUNT)]


def _frequencies_match(chances: np.ndarray, hits: np.ndarray) -> bool:
    error = math.sqrt(float((chances * (1 - chances)).sum())) + 1e-9
    return abs(float(hits.sum() - chances.sum())) <= TOLERANCE_SIGMA * error


@given(morph=units, quality=units, strength=units)
@settings(max_examples=200, deadline=None)
def test_posteriors_are_distributions(morph: float, quality: float, strength: float) -> None:
    """Chances lie in [0, 1], and those of a category sum to 1."""
    latents = Latents("hash", "extract", morph, quality, (strength,) * len(PARAMETERS.attributes))
    for chances in (product_posterior(latents, parameters=PARAMETERS), grade_posterior(latents, parameters=PARAMETERS)):
        assert math.isclose(sum(chances), 1, abs_tol=1e-9)
        assert min(chances) >= -1e-12
    assert all(0 <= chance <= 1 for chance in attribute_posterior(latents, parameters=PARAMETERS))


@given(low=units, high=units)
@settings(max_examples=100, deadline=None)
def test_better_quality_never_makes_a_good_grade_less_likely(low: float, high: float) -> None:
    """The grades are ordered in quality."""
    low, high = min(low, high), max(low, high)
    worse, better = (
        np.cumsum(grade_posterior(Latents("plant", "dry_flower", 0, quality, ()), parameters=PARAMETERS))
        for quality in (low, high)
    )
    assert np.all(better >= worse - 1e-9)


def test_product_types_are_drawn_from_their_posterior(specimens: list[Specimen]) -> None:
    """In ten bins of the stated chance, each type is as frequent as stated."""
    for column, name in enumerate(PRODUCT_TYPES):
        chances = np.array([specimen.product_posterior[column] for specimen in specimens])
        hits = np.array([specimen.product_type == name for specimen in specimens])
        for edge in np.linspace(0, 0.9, 10):
            chosen = (chances >= edge) & (chances <= edge + 0.1)
            assert _frequencies_match(chances[chosen], hits[chosen])


def test_grades_are_drawn_from_their_posterior(specimens: list[Specimen]) -> None:
    """In ten bins of the stated chance, each grade is as frequent as stated."""
    for column, name in enumerate(GRADES):
        chances = np.array([specimen.grade_posterior[column] for specimen in specimens])
        hits = np.array([specimen.quality_grade == name for specimen in specimens])
        for edge in np.linspace(0, 0.9, 10):
            chosen = (chances >= edge) & (chances <= edge + 0.1)
            assert _frequencies_match(chances[chosen], hits[chosen])


def test_attributes_are_drawn_from_their_posterior(specimens: list[Specimen]) -> None:
    """Each attribute is as frequent as stated, and neither rare nor everywhere."""
    for column, attribute in enumerate(PARAMETERS.attributes):
        chances = np.array([specimen.attribute_posterior[column] for specimen in specimens])
        hits = np.array([attribute.name in specimen.attributes for specimen in specimens])
        assert _frequencies_match(chances, hits)
        assert 0.10 <= hits.mean() <= 0.60


def test_best_possible_accuracy_is_the_mean_of_the_greatest_posterior(specimens: list[Specimen]) -> None:
    """An observer of the latents is right as often as the greatest posterior says, within the stated tolerance."""
    best = np.array([max(specimen.product_posterior) for specimen in specimens])
    right = np.array(
        [PRODUCT_TYPES[int(np.argmax(specimen.product_posterior))] == specimen.product_type for specimen in specimens]
    )
    assert _frequencies_match(best, right)
    assert 0.97 <= best.mean() <= 0.99


def test_better_specimens_have_fewer_faults(specimens: list[Specimen]) -> None:
    """Attributes go with quality as in the trade: faults with low, frost with high."""
    quality = np.array([specimen.latents.quality for specimen in specimens])

    def gap(name: str) -> float:
        hits = np.array([name in specimen.attributes for specimen in specimens])
        return float(quality[hits].mean() - quality[~hits].mean())

    assert all(gap(name) > 0.05 for name in ("dense_trichomes", "crystal_coverage"))
    assert all(gap(name) < -0.05 for name in ("mold_suspected", "browning", "visible_seeds", "foreign_fibre"))
