"""Bands and sets on disk; ranges are checked by the domain's own objects."""

from server.adapters.part import Part
from server.domain.assurance import AttributesAssurance, CategoryAssurance
from server.domain.bands import BandScope, ConfidenceBand
from server.domain.conformal import PredictionSets


class BandPart(Part):
    """The band around a confidence."""

    scope: BandScope
    coverage: float
    item_count: int
    knots: tuple[float, ...]
    lows: tuple[float, ...]
    highs: tuple[float, ...]

    def to_domain(self) -> ConfidenceBand:
        """Returns the domain's band."""
        return ConfidenceBand(self.scope, self.coverage, self.item_count, self.knots, self.lows, self.highs)


class SetsPart(Part):
    """The sets of labels that may be true."""

    coverage: float
    class_conditional: bool
    thresholds: tuple[float, ...]
    item_counts: tuple[int, ...]

    def to_domain(self) -> PredictionSets:
        """Returns the domain's sets."""
        return PredictionSets(self.coverage, self.class_conditional, self.thresholds, self.item_counts)


class CategoryAssurancePart(Part):
    """What vouches for a category."""

    band: BandPart
    sets: SetsPart

    def to_domain(self) -> CategoryAssurance:
        """Returns the domain's assurance.

        Raises:
            ValueError: A number is out of range.
        """
        return CategoryAssurance(self.band.to_domain(), self.sets.to_domain())


class AttributesAssurancePart(Part):
    """What vouches for attributes."""

    bands: tuple[BandPart, ...]

    def to_domain(self) -> AttributesAssurance:
        """Returns the domain's assurance.

        Raises:
            ValueError: A number is out of range.
        """
        return AttributesAssurance(tuple(each.to_domain() for each in self.bands))


AnyAssurancePart = CategoryAssurancePart | AttributesAssurancePart
