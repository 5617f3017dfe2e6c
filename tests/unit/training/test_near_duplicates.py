"""The perceptual hash finds what shows the same thing, and groups are closed under it."""

from io import BytesIO
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from server.domain.framing import Framing
from training.near_duplicates import GiantGroupError, NearDuplicateSection, join_groups, near_pairs, refuse_giants
from training.photo_facts import look_at, look_at_all

LIMIT = NearDuplicateSection().max_distance


def scene(seed: int, *, exposure: float = 1.0, size_px: int = 96, quality: int = 90) -> bytes:
    """Returns a JPEG of a blotchy scene that the seed decides, at any exposure and size."""
    coarse = np.random.default_rng(seed).uniform(40, 190, (12, 12)).astype(np.uint8)
    image = Image.fromarray(coarse).resize((size_px, size_px), Image.Resampling.BICUBIC)
    pixels = np.clip(np.asarray(image, dtype=np.float64) * exposure, 0, 255).astype(np.uint8)
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def hashes(contents: list[bytes]) -> npt.NDArray[np.bool_]:
    """Returns the hash of each photo."""
    return np.stack([look_at(each, Framing.CENTRE).hash_bits for each in contents])


def test_another_exposure_size_and_quality_is_the_same_thing() -> None:
    """What a phone or a mail program does to a photo leaves it a near-duplicate."""
    bits = hashes([scene(1), scene(1, exposure=0.7), scene(1, size_px=200), scene(1, quality=40), scene(2)])
    assert near_pairs(bits, max_distance=LIMIT).tolist() == [[a, b] for a in range(4) for b in range(a + 1, 4)]


@given(
    bits=st.lists(st.lists(st.booleans(), min_size=16, max_size=16), min_size=1, max_size=12),
    limit=st.integers(0, 7),
)
@settings(max_examples=60)
def test_pairs_are_those_of_the_definition(bits: list[list[bool]], limit: int) -> None:
    """The products of signs find exactly the pairs that differ in at most so many bits."""
    table = np.array(bits)
    expected = {
        (a, b) for a in range(len(bits)) for b in range(a + 1, len(bits)) if np.sum(table[a] != table[b]) <= limit
    }
    assert {(a, b) for a, b in near_pairs(table, max_distance=limit).tolist()} == expected


def test_groups_are_closed() -> None:
    """Near-duplicates, equal bytes and a shared name chain into one group, named by its first name."""
    names, digests = ["d", "c", "b", "a", "e", "e"], ["1", "2", "2", "3", "4", "5"]
    assert join_groups(names, digests, np.array([[0, 1]])) == ["b", "b", "b", "a", "e", "e"]


def test_a_giant_group_is_a_mistake() -> None:
    """A threshold that takes most photos for one thing is an error and no split."""
    with pytest.raises(GiantGroupError, match="80 of 100"):
        refuse_giants(["same"] * 80 + [str(each) for each in range(20)], NearDuplicateSection())
    refuse_giants(["same"] * 8 + ["a", "b"], NearDuplicateSection())


def test_damaged_and_missing_photos_have_a_code(tmp_path: Path) -> None:
    """A photo that cannot be read stops nothing; its code stands in its place."""
    whole = scene(3)
    facts = look_at_all(
        [lambda: whole[: len(whole) // 2], lambda: b"GIF89a", (tmp_path / "none.jpg").read_bytes],
        framing=Framing.CENTRE,
    )
    assert facts == ["UNDECODABLE", "UNKNOWN_FORMAT", "MISSING"]


def test_facts_tell_size_and_brightness() -> None:
    """A brighter photo of the same scene is brighter, and the size is the stored one."""
    dark, bright = look_at(scene(1, exposure=0.5), Framing.CENTRE), look_at(scene(1, size_px=120), Framing.CENTRE)
    assert (bright.width_px, bright.height_px) == (120, 120)
    assert bright.brightness > dark.brightness + 30
    assert bright.contrast > dark.contrast


def test_long_photos_are_compared_as_they_are_seen(tmp_path: Path) -> None:
    """Photos with the same middle are one thing to who sees the middle, and two to who sees the ends."""
    middle = Image.open(BytesIO(scene(1)))
    for place, end in enumerate((scene(2), scene(3))):
        long = Image.new("RGB", (288, 96))
        for column, part in enumerate((Image.open(BytesIO(end)), middle, Image.open(BytesIO(end)))):
            long.paste(part, (96 * column, 0))
        buffer = BytesIO()
        long.save(buffer, "PNG")
        (tmp_path / f"{place}.png").write_bytes(buffer.getvalue())
    reads = [(tmp_path / f"{place}.png").read_bytes for place in range(2)]
    for framing, is_alike in ((Framing.CENTRE, True), (Framing.WHOLE, False)):
        facts = [each for each in look_at_all(reads, framing=framing) if not isinstance(each, str)]
        assert bool((facts[0].hash_bits != facts[1].hash_bits).sum() <= LIMIT) is is_alike


def test_borders_say_nothing() -> None:
    """Long photos of unrelated scenes are unlike, though the grey around them is the same; none of it is measured."""
    scenes = [Image.open(BytesIO(scene(seed))).resize((300, 60)) for seed in range(12)]
    contents = []
    for each in scenes:
        buffer = BytesIO()
        each.save(buffer, "PNG")
        contents.append(buffer.getvalue())
    facts = [look_at(each, Framing.WHOLE) for each in contents]
    assert not len(near_pairs(np.stack([each.hash_bits for each in facts]), max_distance=LIMIT))
    luma = [float(np.asarray(each.convert("L"), dtype=np.float64).mean()) for each in scenes]
    assert [each.brightness for each in facts] == pytest.approx(luma, abs=3)
