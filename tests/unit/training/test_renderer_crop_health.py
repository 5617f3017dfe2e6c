"""The renderer of leaves: labels drawn from known chances, photos blind to them, troubles that can be seen."""

import hashlib
import inspect
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.imaging import prepare
from training.renderers.crop_health.crop_health_renderer import CropHealthRenderer
from training.renderers.crop_health.latents import (
    DISEASE_LABELS,
    DISEASES,
    PEST_LABELS,
    PESTS,
    Latents,
    Trouble,
    draw_latents,
    draw_specimen,
    trouble_posterior,
)
from training.renderers.crop_health.leaves import OUTLINES, draw_leaf
from training.renderers.renderer import RenderedSpecimen
from training.task_file import load_task_file

TASK = load_task_file("crop_health")
PARAMETERS = TASK.rendering.parameters
SPECIMEN_COUNT = 6_000
TOLERANCE_SIGMA = 4.5
"""Frequencies may differ from the sum of posteriors by so many standard errors: 1 run in 1,000 over all bins."""
DEMO_PX = 160
"""The smallest input of a demo variant."""
LABELS = {"pest": PEST_LABELS, "disease": DISEASE_LABELS}
NOTHING = Latents(Trouble("aphid", "mite", 0.0, 0.0), Trouble("rust", "blight", 0.0, 0.0))
BLOCK_MEANS: dict[int, tuple[float, float, float]] = {
    0: (67.6, 94.3, 59.0),
    1: (98.3, 114.3, 65.2),
    2: (107.5, 118.9, 61.1),
}
"""Mean red, green and blue of the prepared photo, for renderer version 1."""

units = st.floats(0, 1)


@pytest.fixture(scope="module")
def renderer() -> CropHealthRenderer:
    """One renderer: its banks cost seconds."""
    return CropHealthRenderer(PARAMETERS)


@pytest.fixture(scope="module")
def specimens() -> list[RenderedSpecimen]:
    """A sample of specimens, as the dataset has them."""
    return [draw_specimen(PARAMETERS, index) for index in range(SPECIMEN_COUNT)]


@given(strength=units, stronger=units, share=units)
@settings(max_examples=200, deadline=None)
def test_a_stronger_trouble_is_never_more_likely_none(strength: float, stronger: float, share: float) -> None:
    """Chances are a distribution, and that of `none` falls with the strength."""
    low, high = min(strength, stronger), max(strength, stronger)
    weak, strong = (
        trouble_posterior(Trouble("aphid", "mite", share, each), PEST_LABELS, parameters=PARAMETERS.pest)
        for each in (low, high)
    )
    assert math.isclose(sum(weak), 1)
    assert min(weak) >= 0
    assert strong[0] <= weak[0]


@given(share=units)
def test_the_kind_of_which_there_is_more_is_the_likelier(share: float) -> None:
    """Of two kinds the greater share decides."""
    chances = trouble_posterior(Trouble("rust", "blight", share, 0.9), DISEASE_LABELS, parameters=PARAMETERS.disease)
    by_label = dict(zip(DISEASE_LABELS, chances, strict=True))
    assert (by_label["rust"] >= by_label["blight"]) == (share <= 0.5)


@pytest.mark.parametrize("head", LABELS)
def test_labels_are_drawn_from_their_posterior(specimens: list[RenderedSpecimen], head: str) -> None:
    """In ten bins of the stated chance, each label is as frequent as stated."""
    for column, label in enumerate(LABELS[head]):
        chances = np.array([specimen.posteriors[head][column] for specimen in specimens])
        hits = np.array([specimen.labels[head] == label for specimen in specimens])
        for edge in np.linspace(0, 0.9, 10):
            chosen = (chances >= edge) & (chances <= edge + 0.1)
            error = math.sqrt(float((chances[chosen] * (1 - chances[chosen])).sum())) + 1e-9
            assert abs(float(hits[chosen].sum() - chances[chosen].sum())) <= TOLERANCE_SIGMA * error


@pytest.mark.parametrize("head", LABELS)
def test_best_possible_accuracy_lies_within_its_limits(specimens: list[RenderedSpecimen], head: str) -> None:
    """An observer of the latents is right 97 to 99 times of 100, and no label is rare or prevails."""
    assert 0.97 <= np.mean([max(specimen.posteriors[head]) for specimen in specimens]) <= 0.99
    for label in LABELS[head]:
        assert 0.12 <= np.mean([specimen.labels[head] == label for specimen in specimens]) <= 0.40


def test_pests_say_nothing_about_diseases(specimens: list[RenderedSpecimen]) -> None:
    """Every disease is about as frequent beside any pest as beside any other."""
    for disease in DISEASE_LABELS:
        shares = [
            np.mean([s.labels["disease"] == disease for s in specimens if s.labels["pest"] == pest])
            for pest in PEST_LABELS
        ]
        assert max(shares) - min(shares) < 0.08


def test_the_task_has_the_renderers_labels() -> None:
    """The order of the posteriors is the order of the heads' labels."""
    assert {head.id: head.labels for head in TASK.heads} == LABELS


def test_painting_takes_latents_and_no_label() -> None:
    """What is drawn depends on the latents only: labels are not within reach of the painter."""
    assert set(Latents.__dataclass_fields__) == {"pest", "disease"}
    assert set(Trouble.__dataclass_fields__) == {"kind", "second_kind", "second_share", "strength"}
    assert inspect.get_annotations(CropHealthRenderer.photograph)["latents"] is Latents


def test_photos_show_the_latents_that_labels_were_drawn_from(renderer: CropHealthRenderer) -> None:
    """`render` photographs exactly those latents that `specimen` labels."""
    latents = draw_latents(PARAMETERS, index=11)
    assert renderer.render(11, 0) == renderer.photograph(latents, specimen_index=11, photo_index=0)
    for head, trouble in (("pest", latents.pest), ("disease", latents.disease)):
        chances = trouble_posterior(trouble, LABELS[head], parameters=getattr(PARAMETERS, head))
        assert renderer.specimen(11).posteriors[head] == chances


def test_one_photo_is_the_same_bytes_from_two_renderers(renderer: CropHealthRenderer) -> None:
    """Banks and photo depend on the seed and the indices alone, in whatever order they are asked for."""
    first = hashlib.sha256(renderer.render(17, 0).content).digest()
    again = CropHealthRenderer(PARAMETERS)
    again.render(18, 0)
    assert hashlib.sha256(again.render(17, 0).content).digest() == first


def test_photos_of_one_leaf_differ(renderer: CropHealthRenderer) -> None:
    """Another photo of a specimen is another view, not a copy."""
    one, other = (prepare(renderer.render(3, photo).content, size_px=64).astype(int) for photo in (0, 1))
    assert np.abs(one - other).mean() > 5


def test_pixels_belong_to_the_renderer_version(renderer: CropHealthRenderer) -> None:
    """Whoever changes what is drawn must raise the renderer's version, and with it the digest in the task file."""
    for specimen, means in BLOCK_MEANS.items():
        colour = prepare(renderer.render(specimen, 0).content, size_px=64).reshape(-1, 3).mean(axis=0)
        np.testing.assert_allclose(colour, means, atol=0.3)


@pytest.mark.parametrize("kind", [*PESTS, *DISEASES])
def test_a_trouble_can_be_seen_at_the_smallest_input(renderer: CropHealthRenderer, kind: str) -> None:
    """Much of a trouble changes a good part of the leaf clearly; little of it changes nothing."""
    other = next(each for each in (PESTS if kind in PESTS else DISEASES) if each != kind)
    shown = []
    for strength in (0.0, 0.2, 0.9):
        trouble = Trouble(kind, other, 0.0, strength)
        pest, disease = (trouble, NOTHING.disease) if kind in PESTS else (NOTHING.pest, trouble)
        content = renderer.photograph(Latents(pest, disease), specimen_index=4, photo_index=0).content
        shown.append(prepare(content, size_px=DEMO_PX).astype(int))
    none, little, much = shown
    assert np.array_equal(none, little)
    assert (np.abs(much - none).max(axis=2) > 25).sum() >= 150


@pytest.mark.parametrize("outline", OUTLINES)
def test_points_on_a_leaf_lie_within_its_rim(outline: str) -> None:
    """Whatever is put on a leaf is put onto it."""
    rng = np.random.default_rng(0)
    leaf = next(leaf for leaf in iter(lambda: draw_leaf(rng), None) if leaf.outline == outline)
    points = leaf.points(rng, count=50)
    assert len(points) == 50
    assert all(leaf.holds(point) for point in points)
