"""What an engine says about a photo, and what Loupe makes of it: raw in, calibrated out."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Pixels:
    """A photo as an engine took it: decoded, upright and square.

    Attributes:
        size_px: Its side.
        content: `size_px * size_px * 3` bytes, row by row, RGB.
    """

    size_px: int
    content: memoryview

    def __len__(self) -> int:
        """The number of bytes."""
        return len(self.content)


Photo = bytes | Pixels
"""What an engine may be asked about: the encoded bytes as the caller sent them, or what another engine made of them."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is wanted of an engine.

    Attributes:
        heads: The heads whose logits are wanted.
        attention: Whether the attention map is.
        pixels: Whether the photo as the engine took it is, so that the next one need not decode it again.
    """

    heads: tuple[str, ...]
    attention: bool = False
    pixels: bool = False


@dataclass(frozen=True, slots=True)
class RawPrediction:
    """The outputs of one engine for one photo, before calibration.

    Attributes:
        logits: By head id, `[label_count]` float32. Raw engine outputs.
        feature_distance: The log of the squared Mahalanobis distance to the nearest class, unbounded.
        logit_variance: The mean predicted variance of the logits, at least 0.
        attention: `[rows, columns]` float32 weights in [0, 1], or None if not asked for.
        pixels: The photo as the engine took it, or None if not asked for.
    """

    logits: Mapping[str, FloatArray]
    feature_distance: float
    logit_variance: float
    attention: FloatArray | None = None
    pixels: Pixels | None = None


@dataclass(frozen=True, slots=True)
class LabelConfidence:
    """A label and its calibrated probability, in [0, 1]."""

    label: str
    confidence: float


@dataclass(frozen=True, slots=True)
class ConfidenceInterval:
    """Where the true probability lies: `lower` and `upper` in [0, 1], with probability `coverage` in (0, 1)."""

    lower: float
    upper: float
    coverage: float


@dataclass(frozen=True, slots=True)
class LabelSet:
    """Labels that hold the true one with probability `coverage` in (0, 1); the first is the answer. Never empty."""

    labels: tuple[str, ...]
    coverage: float


@dataclass(frozen=True, slots=True)
class CategoryAnswer:
    """The answer of a head whose labels exclude each other.

    Attributes:
        head: The head's id.
        label: The most probable label.
        confidence: The calibrated probability of `label`, in [0, 1].
        raw_confidence: The engine's own probability of `label`, before calibration, in [0, 1].
        ranking: All labels by falling confidence; the first is `label`.
        interval: Around `confidence`; None if the release vouches for none.
        label_set: The labels that may be true; None if the release vouches for none.
    """

    head: str
    label: str
    confidence: float
    raw_confidence: float
    ranking: tuple[LabelConfidence, ...]
    interval: ConfidenceInterval | None = None
    label_set: LabelSet | None = None


@dataclass(frozen=True, slots=True)
class AttributeAnswer:
    """Whether one attribute is present.

    Attributes:
        attribute: The attribute.
        present: Whether it is more likely present than not.
        probability: The calibrated probability that it is present, in [0, 1].
        interval: Around `probability`; None if the release vouches for none.
    """

    attribute: str
    present: bool
    probability: float
    interval: ConfidenceInterval | None = None


@dataclass(frozen=True, slots=True)
class AttributesAnswer:
    """The answer of a head whose labels are independent: one entry an attribute, in the task's order."""

    head: str
    attributes: tuple[AttributeAnswer, ...]


HeadAnswer = CategoryAnswer | AttributesAnswer


@dataclass(frozen=True, slots=True)
class Uncertainty:
    """What the model does not know about a photo.

    Attributes:
        epistemic: The share of photos like the training data that lie nearer to it, in [0, 1].
        aleatoric: The share of such photos that the model finds less noisy, in [0, 1].
        out_of_distribution: Whether the photo lies outside of what the model was trained for.
    """

    epistemic: float
    aleatoric: float
    out_of_distribution: bool


class Recommendation(enum.Enum):
    """What to do with an answer."""

    ACCEPT = "accept"
    LIKELY = "likely"
    RETAKE_SUGGESTED = "retake_suggested"
    RETAKE_REQUIRED = "retake_required"
