"""What vouches for a head's confidences: bands around them, and for a category sets that hold the true label.

Fitted on labelled items that the calibrator was not fitted on; see `bands` and `conformal`.
"""

from dataclasses import dataclass

from server.domain.bands import ConfidenceBand
from server.domain.conformal import PredictionSets
from server.domain.task import Head, HeadKind


@dataclass(frozen=True, slots=True)
class CategoryAssurance:
    """What vouches for a category.

    Attributes:
        band: Around the confidence of the answer.
        sets: The labels that may be true.
    """

    band: ConfidenceBand
    sets: PredictionSets

    def findings_for(self, head: Head) -> list[str]:
        """Returns what keeps it from vouching for the head; empty if nothing."""
        if head.kind is not HeadKind.CATEGORY or len(self.sets.thresholds) != len(head.labels):
            return [f"the prediction sets of head {head.id} are for {len(self.sets.thresholds)} labels"]
        return []


@dataclass(frozen=True, slots=True)
class AttributesAssurance:
    """What vouches for attributes: one band each, around the probability that it is present."""

    bands: tuple[ConfidenceBand, ...]

    def findings_for(self, head: Head) -> list[str]:
        """Returns what keeps it from vouching for the head; empty if nothing."""
        if head.kind is not HeadKind.ATTRIBUTES or len(self.bands) != len(head.labels):
            return [f"head {head.id} has {len(self.bands)} bands"]
        return []


Assurance = CategoryAssurance | AttributesAssurance
