"""The comparison with known answers: what it lets pass and what it must catch."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from builders import KNOWN_ANSWER, TASK
from hypothesis import given
from hypothesis import strategies as st
from toy_engine import SIZE_PX, toy_photo, write_toy_engine

from server.imaging import prepare
from server.triton.known_answer import BLOCKS, block_findings, block_means, output_findings, pattern_of
from server.triton.models.engine import open_session


@given(st.integers(BLOCKS, 70), st.integers(0, 2**32 - 1))
def test_block_means_are_means_of_blocks(size_px: int, seed: int) -> None:
    """Any size at least as large as the grid is cut into blocks that cover it."""
    image = np.random.default_rng(seed).integers(0, 256, (size_px, size_px, 3), dtype=np.uint8)
    edges = np.linspace(0, size_px, BLOCKS + 1).astype(int)
    means = block_means(image)
    for row in (0, 3, BLOCKS - 1):
        for column in (0, 5, BLOCKS - 1):
            block = image[edges[row] : edges[row + 1], edges[column] : edges[column + 1]]
            np.testing.assert_allclose(means[row, column], block.reshape(-1, 3).mean(axis=0))


def test_the_pattern_never_changes() -> None:
    """Releases hold answers to this very pattern."""
    assert pattern_of(64).sum() == 1_659_370
    assert pattern_of(64).shape == (64, 64, 3)


def test_another_crop_is_found() -> None:
    """A photo shifted by a few pixels, as another decoder or orientation might, is off."""
    image = prepare(toy_photo(), size_px=SIZE_PX)
    known = replace(KNOWN_ANSWER, block_means=tuple(block_means(image).ravel().tolist()))
    assert block_findings("toy", image, known) == []
    assert block_findings("toy", np.roll(image, 4, axis=1), known) != []
    assert block_findings("toy", image[:, ::-1], known) != []


def test_misread_tensors_are_found(tmp_path: Path) -> None:
    """Under numpy 2 the stub reads [1, 2, 3] as [1, 1, 1] and says nothing; the pattern tells."""
    session = open_session(str(write_toy_engine(tmp_path / "toy.onnx", TASK)))
    names = [each.name for each in session.get_outputs()]
    pattern = pattern_of(SIZE_PX)[np.newaxis]
    misread = np.full_like(pattern, pattern.ravel()[0])
    right = dict(zip(names, session.run(names, {"image": pattern}), strict=True))
    wrong = dict(zip(names, session.run(names, {"image": misread}), strict=True))
    expected = {name: tuple(values.ravel().tolist()) for name, values in right.items()}
    assert output_findings("toy", right, expected, 0.02) == []
    assert len(output_findings("toy", wrong, expected, 0.02)) == len(names)


@pytest.mark.parametrize(
    ("outputs", "is_right"),
    [
        ({"kind": np.float32([[1.0, -100.0]])}, True),
        ({"kind": np.float32([[1.03, -101.9]])}, True),
        ({"kind": np.float32([[1.06, -100.0]])}, False),
        ({"kind": np.float32([[1.0, np.nan]])}, False),
        ({"kind": np.float32([[1.0]])}, False),
        ({"grade": np.float32([[1.0, -100.0]])}, False),
    ],
)
def test_outputs_may_differ_within_the_tolerance(outputs: dict[str, np.ndarray], is_right: bool) -> None:  # noqa: FBT001
    """The tolerance is absolute plus relative; another name, another count and not-a-number never pass."""
    assert (output_findings("toy", outputs, {"kind": (1.0, -100.0)}, 0.02) == []) is is_right
