"""The renderer of streets: labels drawn from known chances, photos blind to them, and regions that differ."""

import hashlib
import inspect
import io
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import ExifTags, Image

from server.imaging import prepare
from training.place_sampling import nearest_centres, place_weights
from training.renderers.graded import chance_of_presence
from training.renderers.renderer import RenderedSpecimen
from training.renderers.roadwork.latents import LABELS, LIGHTINGS, Latents, draw_latents, draw_specimen
from training.renderers.roadwork.regions import LOOKS
from training.renderers.roadwork.roadwork_renderer import RoadworkRenderer
from training.renderers.roadwork.street import lay_out
from training.renderers.roadwork.tags import tagged
from training.renderers.roadwork.things import build_thing_bank
from training.task_file import load_task_file

TASK = load_task_file("roadwork")
PARAMETERS = TASK.rendering.parameters
REGIONS = [region.name for region in PARAMETERS.regions]
TARGET = "kanto"
"""Where the model is to serve."""
SPECIMEN_COUNT = 6_000
TOLERANCE_SIGMA = 4.5
"""Frequencies may differ from the sum of posteriors by so many standard errors: 1 run in 1,000 over all bins."""
DEMO_PX = 160
"""The smallest input of a demo variant."""
BLOCK_MEANS: dict[int, tuple[float, float, float]] = {
    0: (112.0, 118.3, 132.3),
    1: (192.1, 176.5, 153.6),
    2: (138.2, 129.1, 118.4),
}
"""Mean red, green and blue of the prepared photo, for renderer version 1."""

units = st.floats(0, 1)


@pytest.fixture(scope="module")
def renderer() -> RoadworkRenderer:
    """One renderer: its banks cost seconds."""
    return RoadworkRenderer(PARAMETERS)


@pytest.fixture(scope="module")
def specimens() -> list[RenderedSpecimen]:
    """A sample of specimens, as the dataset has them."""
    return [draw_specimen(PARAMETERS, index) for index in range(SPECIMEN_COUNT)]


def street_of(region: str, strength: float, *, seed: int = 0) -> list[str]:
    """The kinds of things in a street of a region."""
    latents = Latents(region=region, strength=strength, lighting="sun", place=(0.0, 0.0), taken="2024-01-01T12:00:00")
    street = lay_out(latents, parameters=PARAMETERS, rng=np.random.default_rng(seed))
    return [thing.kind for thing in street.things]


@given(low=units, high=units)
def test_more_works_are_never_less_likely_present(low: float, high: float) -> None:
    """The chance of presence rises with the strength."""
    low, high = min(low, high), max(low, high)
    weak, strong = (chance_of_presence(each, parameters=PARAMETERS.strength) for each in (low, high))
    assert 0 <= weak <= strong <= 1


def test_labels_are_drawn_from_their_posterior(specimens: list[RenderedSpecimen]) -> None:
    """In ten bins of the stated chance, works are as frequent as stated."""
    chances = np.array([specimen.posteriors["roadwork"][1] for specimen in specimens])
    hits = np.array([specimen.labels["roadwork"] == "present" for specimen in specimens])
    for edge in np.linspace(0, 0.9, 10):
        chosen = (chances >= edge) & (chances <= edge + 0.1)
        error = math.sqrt(float((chances[chosen] * (1 - chances[chosen])).sum())) + 1e-9
        assert abs(float(hits[chosen].sum() - chances[chosen].sum())) <= TOLERANCE_SIGMA * error


def test_best_possible_accuracy_lies_within_its_limits(specimens: list[RenderedSpecimen]) -> None:
    """An observer of the strength is right 97 to 99 times of 100, and both labels are common."""
    assert 0.97 <= np.mean([max(specimen.posteriors["roadwork"]) for specimen in specimens]) <= 0.99
    assert 0.45 <= np.mean([specimen.labels["roadwork"] == "present" for specimen in specimens]) <= 0.55
    assert TASK.head("roadwork").labels == LABELS


def test_region_and_light_say_nothing_about_works(specimens: list[RenderedSpecimen]) -> None:
    """Works are about as frequent in every region and every light."""
    latents = [draw_latents(PARAMETERS, index=index) for index in range(SPECIMEN_COUNT)]
    present = np.array([specimen.labels["roadwork"] == "present" for specimen in specimens])
    for values, found in (
        (REGIONS, [each.region for each in latents]),
        (LIGHTINGS, [each.lighting for each in latents]),
    ):
        shares = [present[np.array(found) == value].mean() for value in values]
        assert max(shares) - min(shares) < 0.1


def test_places_lie_in_their_regions(specimens: list[RenderedSpecimen]) -> None:
    """Each place lies within 250 km of its region's centre, and all centres are more than 750 km apart."""
    centres = np.array([region.centre for region in PARAMETERS.regions])
    places = [specimen.place for specimen in specimens]
    nearest, distances_km = nearest_centres(places, centres)
    wanted = [REGIONS.index(draw_latents(PARAMETERS, index=index).region) for index in range(SPECIMEN_COUNT)]
    assert nearest.tolist() == wanted
    assert distances_km.max() < 250
    for number, centre in enumerate(centres):
        _, apart_km = nearest_centres([tuple(centre)], np.delete(centres, number, axis=0))
        assert apart_km[0] > 750


def test_few_specimens_come_from_the_target_and_weights_favour_them(specimens: list[RenderedSpecimen]) -> None:
    """Under a tenth of all streets lie near the target; drawn by place, they make up about half."""
    near = np.array([draw_latents(PARAMETERS, index=index).region == TARGET for index in range(SPECIMEN_COUNT)])
    weights = place_weights([specimen.place for specimen in specimens], TASK.training.sampling)
    assert near.mean() < 0.1
    assert 0.4 < weights[near].sum() / weights.sum() < 0.7


def test_what_means_works_in_one_region_means_nothing_in_another() -> None:
    """The target's barriers stand idle elsewhere, and the others' in the target: looks must be read by region."""
    target = LOOKS[TARGET]
    for name, look in LOOKS.items():
        if name != TARGET:
            assert set(look.look_alikes) & set(target.works)
    everywhere = {kind for name, look in LOOKS.items() if name != TARGET for kind in look.works}
    assert set(target.look_alikes) <= everywhere
    assert not set(target.look_alikes) & set(target.works)


@pytest.mark.parametrize("region", REGIONS)
def test_no_works_stand_in_a_street_without_any(region: str) -> None:
    """At strength 0 only ordinary things and look-alikes are there; at .5 no more than a few pieces astray."""
    idle = set(LOOKS[region].works) - set(LOOKS[region].look_alikes)
    for seed in range(40):
        assert not idle & set(street_of(region, 0.0, seed=seed))
        assert sum(kind in idle for kind in street_of(region, 0.5, seed=seed)) <= 3
        assert sum(kind in idle for kind in street_of(region, 0.95, seed=seed)) >= 5


def test_everything_that_regions_name_can_be_drawn() -> None:
    """The bank has a drawing for every kind."""
    bank = build_thing_bank()
    for look in LOOKS.values():
        assert {*look.works, *look.look_alikes, *look.signs} <= set(bank.drawings)


def test_painting_takes_latents_and_no_label() -> None:
    """What is drawn depends on the latents only: labels are not within reach of the painter."""
    assert set(Latents.__dataclass_fields__) == {"region", "strength", "lighting", "place", "taken"}
    assert inspect.get_annotations(lay_out)["latents"] is Latents
    assert inspect.get_annotations(RoadworkRenderer.photograph)["latents"] is Latents


def test_one_photo_is_the_same_bytes_from_two_renderers(renderer: RoadworkRenderer) -> None:
    """Banks and photo depend on the seed and the indices alone, in whatever order they are asked for."""
    first = hashlib.sha256(renderer.render(17, 0).content).digest()
    again = RoadworkRenderer(PARAMETERS)
    again.render(18, 0)
    assert hashlib.sha256(again.render(17, 0).content).digest() == first


def test_photos_of_one_street_differ(renderer: RoadworkRenderer) -> None:
    """Another photo of a specimen is another view, not a copy."""
    one, other = (prepare(renderer.render(3, photo).content, size_px=64).astype(int) for photo in (0, 1))
    assert np.abs(one - other).mean() > 5


def test_pixels_belong_to_the_renderer_version(renderer: RoadworkRenderer) -> None:
    """Whoever changes what is drawn must raise the renderer's version, and with it the digest in the task file."""
    for specimen, means in BLOCK_MEANS.items():
        colour = prepare(renderer.render(specimen, 0).content, size_px=64).reshape(-1, 3).mean(axis=0)
        np.testing.assert_allclose(colour, means, atol=0.3)


@pytest.mark.parametrize("region", REGIONS)
def test_works_can_be_seen_at_the_smallest_input(renderer: RoadworkRenderer, region: str) -> None:
    """Works change a good part of the street clearly, in every region."""
    base = replace(draw_latents(PARAMETERS, index=5), region=region, lighting="overcast")
    quiet, busy = (
        prepare(
            renderer.photograph(replace(base, strength=strength), specimen_index=5, photo_index=0).content,
            size_px=DEMO_PX,
        ).astype(int)
        for strength in (0.0, 0.95)
    )
    assert (np.abs(busy - quiet).max(axis=2) > 30).sum() >= 300


def test_photos_carry_the_place_and_time_of_their_specimen(renderer: RoadworkRenderer) -> None:
    """The tags say what the records say, south and west of nought too."""
    for index in range(8):
        specimen = renderer.specimen(index)
        with Image.open(io.BytesIO(renderer.render(index, 0).content)) as image:
            tags = image.getexif()
        position = tags.get_ifd(ExifTags.IFD.GPSInfo)
        for angle, value, letter in (
            (specimen.place[0], ExifTags.GPS.GPSLatitude, position[ExifTags.GPS.GPSLatitudeRef]),
            (specimen.place[1], ExifTags.GPS.GPSLongitude, position[ExifTags.GPS.GPSLongitudeRef]),
        ):
            degrees, minutes, seconds = (float(each) for each in position[value])
            sign = -1 if letter in {"S", "W"} else 1
            assert sign * (degrees + minutes / 60 + seconds / 3600) == pytest.approx(angle, abs=1e-5)
        moment = tags.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal]
        assert moment == specimen.taken.replace("-", ":").replace("T", " ")


def test_new_tags_leave_the_pixels_as_they_are(renderer: RoadworkRenderer) -> None:
    """Tags are exchanged within the file; nothing is decoded or encoded again."""
    content = renderer.render(2, 0).content
    other = tagged(content, place=(-33.86, 151.21), taken="2025-06-30T12:00:00")
    assert other != content
    before, after = (np.asarray(Image.open(io.BytesIO(each))) for each in (content, other))
    assert np.array_equal(before, after)
