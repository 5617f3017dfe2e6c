"""Which precision may serve, and which of those that may does."""

import numpy as np
import pytest
from small_build import outputs_without_triton

from build_engines.cascade_solver import Estimate
from build_engines.checkpoint import HeldOutPhotos, read_held_out
from build_engines.compile import COMPARED_PHOTOS, Candidate, CompiledEngine, choose, losses_of, some_photos
from build_engines.errors import PrecisionError
from build_engines.plan import TierPlan


def candidate(precision: str, *, size_bytes: int, photo_ms: float, refused: str = "") -> Candidate:
    """An engine of which only size, speed and verdict matter."""
    return Candidate(precision, size_bytes, photo_ms, {}, {}, {}, refused)


def test_the_fastest_that_may_serve_is_taken() -> None:
    """Speed decides, and a refused engine has none."""
    exact = candidate("fp32", size_bytes=10, photo_ms=8.0)
    eight = candidate("int8", size_bytes=3, photo_ms=4.0)
    assert choose([exact, eight]) is eight
    assert choose([exact, candidate("int8", size_bytes=3, photo_ms=4.0, refused="it loses")]) is exact


def test_a_smaller_engine_goes_before_one_that_is_hardly_faster() -> None:
    """Five percent of speed are not worth twice the size."""
    exact, halves = candidate("fp32", size_bytes=10, photo_ms=8.0), candidate("half", size_bytes=5, photo_ms=8.3)
    assert choose([exact, halves]) is halves


def test_nothing_that_may_serve_names_all_reasons() -> None:
    """The error carries why each was refused."""
    with pytest.raises(PrecisionError, match="it loses"):
        choose([candidate("int8", size_bytes=3, photo_ms=4.0, refused="it loses")])


def test_an_engine_loses_what_it_is_less_often_right(plan: TierPlan, engine: CompiledEngine) -> None:
    """No loss against itself; all that was right is lost if each label is answered with its neighbour."""
    photos = read_held_out(plan.checkpoint, "val_calib")
    own = outputs_without_triton(plan, engine, photos).logits
    assert all(each == Estimate(0.0, 0.0, 0.0) for each in losses_of(own, own, photos).values())
    head = next(head for head, labels in photos.labels.items() if labels.ndim == 1)
    perfect = np.eye(own[head].shape[1], dtype=np.float32)[photos.labels[head]]
    wrong = np.roll(perfect, 1, axis=1)
    lost = losses_of({**own, head: perfect}, {**own, head: wrong}, photos)[head]
    assert (lost.mean, lost.low, lost.high) == (1.0, 1.0, 1.0)


def test_photos_are_drawn_by_specimen() -> None:
    """About so many photos, no specimen in part, and the same ones each time."""
    groups = np.repeat(np.arange(2_000), 2)
    paths = tuple(map(str, range(len(groups))))
    photos = HeldOutPhotos("val_select", "", paths, groups, {"kind": groups % 3}, {})  # type: ignore[arg-type]
    drawn = some_photos(photos)
    assert COMPARED_PHOTOS <= len(drawn.paths) <= COMPARED_PHOTOS + 1
    assert set(np.unique(drawn.groups, return_counts=True)[1]) == {2}
    assert some_photos(photos).paths == drawn.paths
    few = photos.taken(groups < 10)
    assert len(some_photos(few).paths) == len(few.paths)
