"""What an engine must answer on known inputs before it may serve, and how far off it may be."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class KnownAnswer:
    """The answers that a tier gave when it was built, at each step of its ensemble.

    A server whose numbers drift from these (another decoder, a numpy that its stub cannot
    read, a damaged engine) must not become ready.

    Attributes:
        photo_path: The photo, relative to the model repository's root.
        photo_sha256: Of that photo, 64 hexadecimal digits.
        block_means: 8 x 8 x 3 means of the preprocessed photo, row by row, in [0, 255].
        pattern_outputs: By output name, the engine's outputs on the deterministic pattern, flattened.
        photo_outputs: By output name, the ensemble's outputs on the photo, flattened.
        block_tolerance: The largest absolute difference allowed in `block_means`.
        output_tolerance: The largest difference allowed in outputs, absolute plus relative to the expected value.
    """

    photo_path: str
    photo_sha256: str
    block_means: tuple[float, ...]
    pattern_outputs: Mapping[str, tuple[float, ...]]
    photo_outputs: Mapping[str, tuple[float, ...]]
    block_tolerance: float = 1.0
    output_tolerance: float = 0.02
