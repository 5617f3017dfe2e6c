"""The renderer of surfaces: labels drawn from known chances, photos blind to them, flaws that can be seen."""

import hashlib
import inspect
import io
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from server.imaging import prepare
from training.errors import RendererParametersChangedError
from training.renderers.surface_defect.flaws import FLAW_PAINTERS
from training.renderers.surface_defect.latents import (
    CONDITIONS,
    FLAWS,
    MATERIALS,
    Latents,
    Part,
    condition_posterior,
    draw_part,
)
from training.renderers.surface_defect.materials import MATERIAL_PAINTERS
from training.renderers.surface_defect.surface_defect_renderer import SurfaceDefectRenderer
from training.task_file import TASKS_FOLDER, load_task_file

PARAMETERS = load_task_file("surface_defect").rendering.parameters
PART_COUNT = 6_000
TOLERANCE_SIGMA = 4.5
"""Frequencies may differ from the sum of posteriors by so many standard errors: 1 run in 1,000 over all bins."""
DEMO_PX = 128
"""The smallest input of a demo variant."""
BLOCK_MEANS = {0: (164.7, 163.8, 161.3), 4: (159.9, 80.9, 75.3), 22: (165.7, 156.3, 139.0)}
"""Mean red, green and blue of the prepared photo, for renderer version 1."""

units = st.floats(0, 1)


@pytest.fixture(scope="module")
def renderer() -> SurfaceDefectRenderer:
    """One renderer: its banks cost seconds."""
    return SurfaceDefectRenderer(PARAMETERS)


@pytest.fixture(scope="module")
def parts() -> list[Part]:
    """A sample of parts, as the dataset has them."""
    return [draw_part(PARAMETERS, index) for index in range(PART_COUNT)]


def with_flaw(latents: Latents, strength: float) -> Latents:
    """The same part with another strength of its flaw."""
    return Latents(material=latents.material, flaw=latents.flaw, strength=strength, light=latents.light)


@given(low=units, high=units)
def test_a_stronger_flaw_is_never_less_likely_a_defect(low: float, high: float) -> None:
    """Chances are a distribution, and rise with the strength."""
    low, high = min(low, high), max(low, high)
    base = draw_part(PARAMETERS, 0).latents
    weak, strong = (condition_posterior(with_flaw(base, each), parameters=PARAMETERS) for each in (low, high))
    assert math.isclose(sum(weak), 1)
    assert weak[1] <= strong[1]


def test_conditions_are_drawn_from_their_posterior(parts: list[Part]) -> None:
    """In ten bins of the stated chance, defects are as frequent as stated."""
    chances = np.array([part.posterior[1] for part in parts])
    hits = np.array([part.condition == "defect" for part in parts])
    for edge in np.linspace(0, 0.9, 10):
        chosen = (chances >= edge) & (chances <= edge + 0.1)
        error = math.sqrt(float((chances[chosen] * (1 - chances[chosen])).sum())) + 1e-9
        assert abs(float(hits[chosen].sum() - chances[chosen].sum())) <= TOLERANCE_SIGMA * error


def test_best_possible_accuracy_lies_within_its_limits(parts: list[Part]) -> None:
    """An observer of the strength is right 97 to 99 times of 100, and both conditions are common."""
    assert 0.97 <= np.mean([max(part.posterior) for part in parts]) <= 0.99
    assert 0.4 <= np.mean([part.condition == "defect" for part in parts]) <= 0.6


def test_material_and_flaw_say_nothing_about_the_condition(parts: list[Part]) -> None:
    """Every material and every kind of flaw is defective about as often as any other, under every light."""
    for group in (lambda part: part.latents.material, lambda part: part.latents.flaw, lambda part: part.latents.light):
        shares = [
            np.mean([part.condition == "defect" for part in parts if group(part) == each])
            for each in {group(part) for part in parts}
        ]
        assert max(shares) - min(shares) < 0.1


def test_specimens_pass_through_the_port(renderer: SurfaceDefectRenderer) -> None:
    """What the port says of a part is what was drawn, under the task's labels."""
    part, specimen = draw_part(PARAMETERS, 7), renderer.specimen(7)
    assert specimen.name == "s000007"
    assert specimen.labels == {"condition": part.condition}
    assert specimen.posteriors == {"condition": part.posterior}
    assert specimen.lighting == part.latents.light.name
    assert load_task_file("surface_defect").head("condition").labels == CONDITIONS


def test_painting_takes_latents_and_no_label() -> None:
    """What is drawn depends on the latents only: labels are not within reach of the painter."""
    assert set(Latents.__dataclass_fields__) == {"material", "flaw", "strength", "light"}
    assert inspect.get_annotations(SurfaceDefectRenderer.photograph)["latents"] is Latents
    assert set(MATERIAL_PAINTERS) == set(MATERIALS)
    assert set(FLAW_PAINTERS) == set(FLAWS)


def test_one_photo_is_the_same_bytes_from_two_renderers(renderer: SurfaceDefectRenderer) -> None:
    """Banks and photo depend on the seed and the indices alone, in whatever order they are asked for."""
    first = hashlib.sha256(renderer.render(17, 0).content).digest()
    again = SurfaceDefectRenderer(PARAMETERS)
    again.render(18, 0)
    assert hashlib.sha256(again.render(17, 0).content).digest() == first


def test_photos_of_one_part_differ(renderer: SurfaceDefectRenderer) -> None:
    """Another photo of a part is another view, not a copy."""
    one, other = (prepare(renderer.render(3, photo).content, size_px=64).astype(int) for photo in (0, 1))
    assert np.abs(one - other).mean() > 1


def test_pixels_belong_to_the_renderer_version(renderer: SurfaceDefectRenderer) -> None:
    """Whoever changes what is drawn must raise the renderer's version, and with it the digest in the task file."""
    for specimen, means in BLOCK_MEANS.items():
        colour = prepare(renderer.render(specimen, 0).content, size_px=64).reshape(-1, 3).mean(axis=0)
        np.testing.assert_allclose(colour, means, atol=0.3)


def test_photos_are_jpegs_of_the_stated_sizes(renderer: SurfaceDefectRenderer) -> None:
    """The stored size is one of those in the task file."""
    image = Image.open(io.BytesIO(renderer.render(2, 0).content))
    assert image.format == "JPEG"
    assert image.size in PARAMETERS.output.sizes_px


@pytest.mark.parametrize("flaw", FLAWS)
@pytest.mark.parametrize("material", MATERIALS)
def test_a_defect_can_be_seen_at_the_smallest_input(renderer: SurfaceDefectRenderer, material: str, flaw: str) -> None:
    """A strong flaw changes some pixels clearly, and few: the rest of the photo is as without it."""
    light = PARAMETERS.lights[0]
    sound, flawed = (
        prepare(
            renderer.photograph(Latents(material, flaw, strength, light), specimen_index=3, photo_index=0).content,
            size_px=DEMO_PX,
        ).astype(int)
        for strength in (0.0, 0.8)
    )
    apart = np.abs(flawed - sound).max(axis=2)
    assert (apart > 30).sum() >= 12
    assert (apart > 30).mean() < 0.2


def test_changed_parameters_are_refused(tmp_path: Path) -> None:
    """Nobody makes the task easier without saying so in the digest."""
    text = (TASKS_FOLDER / "surface_defect.toml").read_text(encoding="utf-8")
    changed = text.replace("seam_probability = 0.30", "seam_probability = 0.0")
    assert changed != text
    (tmp_path / "surface_defect.toml").write_text(changed, encoding="utf-8")
    with pytest.raises(RendererParametersChangedError, match="parameters_sha256"):
        load_task_file("surface_defect", folder=tmp_path)
