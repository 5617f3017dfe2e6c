"""A calibrator: one head's map, bound to the engine that it was fitted on."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from server.domain.calibration.binary_maps import BinaryMap
from server.domain.calibration.category_maps import Identity, SmoothedTemperature, StructuredMatrix, StructuredVector
from server.domain.calibration.probability import DoubleArray, LogitArray
from server.domain.calibration.top_label import TopLabel
from server.domain.task import Head, HeadKind

CategoryMap = Identity | SmoothedTemperature | StructuredVector | StructuredMatrix | TopLabel


@dataclass(frozen=True, slots=True)
class AttributeMaps:
    """One binary map an attribute, in the head's order."""

    kind: ClassVar[str] = "attributes"

    maps: tuple[BinaryMap, ...]

    def __post_init__(self) -> None:
        """Raises ValueError for a head without attributes."""
        if not self.maps:
            raise ValueError("an attributes head needs one map an attribute, at least one")

    def calibrate(self, logits: LogitArray) -> DoubleArray:
        """Returns calibrated probabilities.

        Args:
            logits: [..., attribute_count] of any float type, finite. Raw engine outputs.

        Returns:
            [..., attribute_count] float64 in (0, 1).
        """
        scores = np.asarray(logits, dtype=np.float64)
        return np.stack([each.calibrate(scores[..., place]) for place, each in enumerate(self.maps)], axis=-1)

    def calibrate_item(self, logits: Sequence[float]) -> list[float]:
        """Returns what `calibrate` does for one item, in plain floats."""
        return [each.calibrate_item(logit) for each, logit in zip(self.maps, logits, strict=True)]


HeadMap = CategoryMap | AttributeMaps


@dataclass(frozen=True, slots=True)
class Calibrator:
    """A head's map, and what it belongs to.

    Attributes:
        engine_sha256: The engine whose outputs it was fitted on.
        map: What it does.
        item_count: The labelled items that it was fitted on, at least 1.
    """

    engine_sha256: str
    map: HeadMap
    item_count: int

    def __post_init__(self) -> None:
        """Raises ValueError for a count below 1."""
        if self.item_count < 1:
            raise ValueError(f"item count {self.item_count} is out of range")

    @property
    def name(self) -> str:
        """What people read: the kinds of the maps that take part, each once."""
        if isinstance(self.map, AttributeMaps):
            return ", ".join(dict.fromkeys(each.kind for each in self.map.maps))
        if isinstance(self.map, TopLabel):
            return f"{self.map.base.kind} + {self.map.confidence.kind}"
        return self.map.kind

    def calibrate(self, logits: LogitArray) -> DoubleArray:
        """Returns calibrated probabilities.

        Args:
            logits: [..., label_count] of any float type. Raw engine outputs.

        Returns:
            [..., label_count] float64 in (0, 1); for a category, summing to 1 along the last axis.

        Raises:
            ValueError: A logit is not finite.
        """
        if not np.isfinite(logits).all():
            raise ValueError("a logit that is not finite has no probability")
        return self.map.calibrate(logits)

    def calibrate_item(self, logits: Sequence[float]) -> list[float]:
        """Returns what `calibrate` does for one item, in plain floats; for the path of requests.

        Raises:
            ValueError: A logit is not finite.
        """
        if not math.isfinite(sum(logits)):
            raise ValueError("a logit that is not finite has no probability")
        return self.map.calibrate_item(logits)

    def findings_for(self, head: Head) -> list[str]:
        """Returns what keeps this calibrator from serving the head; empty if nothing."""
        serves = HeadKind.ATTRIBUTES if isinstance(self.map, AttributeMaps) else HeadKind.CATEGORY
        if head.kind is not serves:
            return [f"a {self.name} map of {serves.value} cannot serve head {head.id}"]
        count = len(self.map.maps) if isinstance(self.map, AttributeMaps) else self.map.label_count
        if count not in (None, len(head.labels)):
            return [f"the calibrator of head {head.id} maps {count} of {len(head.labels)} labels"]
        return []
