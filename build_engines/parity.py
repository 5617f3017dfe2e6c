"""Checks that a converted model still answers like the one it was made from, on real photos."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime

from build_engines.errors import ParityError
from server.domain.framing import Framing
from server.imaging import prepare

_BATCH = 16

Images = npt.NDArray[np.uint8]
"""[photo_count, size, size, 3] uint8. RGB."""

Outputs = Mapping[str, npt.NDArray[np.float32]]
Runner = Callable[[Images], Outputs]
"""Runs a model on photos; outputs by name, the batch first."""


def load_images(paths: Sequence[Path], *, size_px: int, framing: Framing) -> Images:
    """Returns [photo_count, size_px, size_px, 3] uint8, prepared as in serving."""
    return np.stack([prepare(path.read_bytes(), size_px=size_px, framing=framing) for path in paths])


def onnx_runner(path: Path) -> Runner:
    """Returns a function that runs an ONNX file on the CPU."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [each.name for each in session.get_outputs()]

    def run(images: Images) -> Outputs:
        return dict(zip(names, session.run(names, {"image": images}), strict=True))

    return run


def in_batches(run: Runner, images: Images) -> Outputs:
    """Runs a model on many photos, a few at a time: a whole split at once would not fit into memory.

    Args:
        run: The model.
        images: [photo_count, size, size, 3] uint8; at least one.
    """
    parts = [run(images[first : first + _BATCH]) for first in range(0, len(images), _BATCH)]
    return {name: np.concatenate([each[name] for each in parts]) for name in parts[0]}


def check_parity(
    step: str, *, reference: Runner, converted: Runner, images: Images, tolerance: float
) -> dict[str, float]:
    """Compares two models, photo by photo and in one batch: a batch size that was frozen in is found too.

    Args:
        step: The conversion, for the error.
        reference: The model that was converted.
        converted: What came out.
        images: [batch, size, size, 3] uint8; at least one.
        tolerance: The largest difference allowed, absolute plus relative to the reference.

    Returns:
        By output name, the largest absolute difference seen.

    Raises:
        ParityError: An output is missing, not finite, or too far off.
    """
    expected = reference(images)
    in_one = converted(images)
    one_by_one = [converted(images[place : place + 1]) for place in range(len(images))]
    differences = {}
    for name, want in expected.items():
        if name not in in_one:
            raise ParityError(step, output=name, difference=float("inf"), tolerance=tolerance)
        apart = np.concatenate([each[name] for each in one_by_one])
        worst = np.maximum(np.abs(in_one[name] - want), np.abs(apart - want))
        # Written so that a NaN fails.
        if not bool((worst <= tolerance * (1 + np.abs(want))).all()):
            raise ParityError(step, output=name, difference=float(worst.max()), tolerance=tolerance)
        differences[name] = float(worst.max())
    return differences
