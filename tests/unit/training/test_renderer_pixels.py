"""The renderer's photos: deterministic, tagged like a phone's, and blind to labels."""

import hashlib
import inspect
import io

import numpy as np
import pytest
from PIL import ExifTags, Image

from server.imaging import prepare
from training.renderers.cannabis.cannabis_renderer import CannabisRenderer
from training.renderers.cannabis.latents import Latents
from training.renderers.cannabis.plant_matter import lay_out
from training.task_file import load_task_file

BLOCK_MEANS = {
    (0, 0): (145.1, 141.1, 137.2),
    (1, 0): (113.4, 92.9, 66.1),
    (2, 0): (73.0, 58.5, 44.4),
}
"""Mean red, green and blue of the prepared photo, for renderer version 1."""


@pytest.fixture(scope="module")
def renderer() -> CannabisRenderer:
    """One renderer: its banks cost seconds."""
    return CannabisRenderer(load_task_file("cannabis").rendering.parameters)


def test_one_photo_is_the_same_bytes_from_two_renderers(renderer: CannabisRenderer) -> None:
    """Banks and photo depend on the seed and the indices alone."""
    again = CannabisRenderer(renderer.parameters)
    assert again.render(17, 0).content == renderer.render(17, 0).content


def test_order_of_rendering_changes_nothing(renderer: CannabisRenderer) -> None:
    """Rendering keeps no state between photos."""
    first = hashlib.sha256(renderer.render(5, 0).content).digest()
    renderer.render(6, 0)
    assert hashlib.sha256(renderer.render(5, 0).content).digest() == first


def test_photos_of_one_specimen_differ(renderer: CannabisRenderer) -> None:
    """Another photo of a specimen is another view, not a copy."""
    one, other = (prepare(renderer.render(3, photo).content, size_px=64).astype(int) for photo in (0, 1))
    assert np.abs(one - other).mean() > 5


def test_pixels_belong_to_the_renderer_version(renderer: CannabisRenderer) -> None:
    """Whoever changes what is drawn must raise the renderer's version, and with it the digest in the task file."""
    for (specimen, photo), means in BLOCK_MEANS.items():
        colour = prepare(renderer.render(specimen, photo).content, size_px=64).reshape(-1, 3).mean(axis=0)
        np.testing.assert_allclose(colour, means, atol=0.3)


def test_photos_carry_the_tags_of_a_phone(renderer: CannabisRenderer) -> None:
    """Make, model, orientation, time and place are there, and portraits are stored lying down."""
    orientations = set()
    for index in range(24):
        rendered = renderer.render(index, 0)
        image = Image.open(io.BytesIO(rendered.content))
        tags = image.getexif()
        details, place = tags.get_ifd(ExifTags.IFD.Exif), tags.get_ifd(ExifTags.IFD.GPSInfo)
        assert rendered.device == f"{tags[ExifTags.Base.Make]} {tags[ExifTags.Base.Model]}"
        assert rendered.orientation == tags[ExifTags.Base.Orientation]
        assert details[ExifTags.Base.DateTimeOriginal].startswith("202")
        assert {ExifTags.GPS.GPSLatitude, ExifTags.GPS.GPSLongitude} <= set(place)
        assert image.size in renderer.parameters.output.sizes_px
        orientations.add(rendered.orientation)
    assert {1, 6} <= orientations <= {1, 3, 6, 8}


def test_painting_takes_latents_and_no_label() -> None:
    """What is drawn depends on the latents only: labels are not within reach of the painter."""
    assert set(Latents.__dataclass_fields__) == {"home_type", "away_type", "morph", "quality", "strengths"}
    assert inspect.get_annotations(lay_out)["latents"] is Latents


def test_look_alikes_meet_half_way() -> None:
    """Half way between flower and trim, a build has both husks and shreds, whichever is called home."""
    flower = Latents(home_type="dry_flower", away_type="trim", morph=0.5, quality=0.5, strengths=())
    trim = Latents(home_type="trim", away_type="dry_flower", morph=0.5, quality=0.5, strengths=())
    assert lay_out(flower, rng=np.random.default_rng(0)) == lay_out(trim, rng=np.random.default_rng(0))
    assert {"calyx", "shred"} <= {piece.kind for piece in lay_out(flower, rng=np.random.default_rng(0))}
