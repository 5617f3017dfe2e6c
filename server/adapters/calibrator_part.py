"""Calibrators on disk: one shape a kind of map, told apart by `kind`; ranges are checked by the maps themselves."""

from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag

from server.adapters.part import Digest, Part
from server.domain.calibration.binary_maps import Beta, BinaryIdentity, BinaryMap, CentredIsotonic, Platt
from server.domain.calibration.calibrator import AttributeMaps, Calibrator, HeadMap
from server.domain.calibration.category_maps import Identity, SmoothedTemperature, StructuredMatrix, StructuredVector
from server.domain.calibration.top_label import BaseMap, TopLabel


class BinaryIdentityPart(Part):
    """The engine's own probability."""

    kind: Literal["identity"]

    def to_domain(self) -> BinaryMap:
        """Returns the domain's map."""
        return BinaryIdentity()


class PlattPart(Part):
    """A logistic map."""

    kind: Literal["platt"]
    slope: float
    intercept: float
    margin: float

    def to_domain(self) -> BinaryMap:
        """Returns the domain's map."""
        return Platt(self.slope, self.intercept, self.margin)


class BetaPart(Part):
    """A logistic map of two logarithms."""

    kind: Literal["beta"]
    rise: float
    fall: float
    intercept: float
    margin: float

    def to_domain(self) -> BinaryMap:
        """Returns the domain's map."""
        return Beta(self.rise, self.fall, self.intercept, self.margin)


class CentredIsotonicPart(Part):
    """A line through points."""

    kind: Literal["isotonic"]
    centres: tuple[float, ...]
    probabilities: tuple[float, ...]

    def to_domain(self) -> BinaryMap:
        """Returns the domain's map."""
        return CentredIsotonic(self.centres, self.probabilities)


BinaryMapPart = Annotated[BinaryIdentityPart | PlattPart | BetaPart | CentredIsotonicPart, Field(discriminator="kind")]


class IdentityPart(Part):
    """The engine's own probabilities."""

    kind: Literal["identity"]

    def to_domain(self) -> Identity:
        """Returns the domain's map."""
        return Identity()


class SmoothedTemperaturePart(Part):
    """One temperature."""

    kind: Literal["smoothed_temperature"]
    temperature: float
    smoothing: float

    def to_domain(self) -> SmoothedTemperature:
        """Returns the domain's map."""
        return SmoothedTemperature(self.temperature, self.smoothing)


class StructuredVectorPart(Part):
    """A scale and a shift a label."""

    kind: Literal["structured_vector"]
    temperature: SmoothedTemperaturePart
    scales: tuple[float, ...]
    shifts: tuple[float, ...]

    def to_domain(self) -> StructuredVector:
        """Returns the domain's map."""
        return StructuredVector(self.temperature.to_domain(), self.scales, self.shifts)


class StructuredMatrixPart(Part):
    """A matrix."""

    kind: Literal["structured_matrix"]
    temperature: SmoothedTemperaturePart
    weights: tuple[tuple[float, ...], ...]
    shifts: tuple[float, ...]

    def to_domain(self) -> StructuredMatrix:
        """Returns the domain's map."""
        return StructuredMatrix(self.temperature.to_domain(), self.weights, self.shifts)


BaseMapPart = Annotated[
    IdentityPart | SmoothedTemperaturePart | StructuredVectorPart | StructuredMatrixPart, Field(discriminator="kind")
]


class TopLabelPart(Part):
    """The winner's confidence, after another map."""

    kind: Literal["top_label"]
    base: BaseMapPart
    confidence: BinaryMapPart

    def to_domain(self) -> TopLabel:
        """Returns the domain's map."""
        base: BaseMap = self.base.to_domain()
        return TopLabel(base, self.confidence.to_domain())


class AttributeMapsPart(Part):
    """One map an attribute."""

    kind: Literal["attributes"]
    maps: tuple[BinaryMapPart, ...]

    def to_domain(self) -> AttributeMaps:
        """Returns the domain's maps."""
        return AttributeMaps(tuple(each.to_domain() for each in self.maps))


class CalibratorPart(Part):
    """A head's map, bound to its engine."""

    engine_sha256: Digest
    item_count: int
    map: Annotated[
        IdentityPart
        | SmoothedTemperaturePart
        | StructuredVectorPart
        | StructuredMatrixPart
        | TopLabelPart
        | AttributeMapsPart,
        Field(discriminator="kind"),
    ]

    def to_domain(self) -> Calibrator:
        """Returns the domain's calibrator.

        Raises:
            ValueError: A parameter is out of range.
        """
        head_map: HeadMap = self.map.to_domain()
        return Calibrator(self.engine_sha256, head_map, self.item_count)


class EarlierTemperaturePart(Part):
    """A category's calibrator as releases had it before there was a choice of maps; read, never written."""

    kind: Literal["smoothed_temperature"]
    engine_sha256: Digest
    temperature: float
    item_count: int = Field(ge=1)

    def to_domain(self) -> Calibrator:
        """Returns the domain's calibrator."""
        smoothed = SmoothedTemperature(self.temperature, 1.0 / (self.item_count + 1))
        return Calibrator(self.engine_sha256, smoothed, self.item_count)


class EarlierPlattPart(Part):
    """An attributes head's calibrator as releases had it before there was a choice of maps; read, never written."""

    kind: Literal["platt"]
    engine_sha256: Digest
    slopes: tuple[float, ...]
    intercepts: tuple[float, ...]
    item_count: int = Field(ge=1)

    def to_domain(self) -> Calibrator:
        """Returns the domain's calibrator.

        Raises:
            ValueError: Slopes and intercepts are not as many, or out of range.
        """
        margin = 1.0 / (self.item_count + 2)
        maps = tuple(Platt(*each, margin) for each in zip(self.slopes, self.intercepts, strict=True))
        return Calibrator(self.engine_sha256, AttributeMaps(maps), self.item_count)


def _shape_of(value: object) -> str:
    """Returns which shape a value has; only what releases had earlier says its kind on the outside."""
    return str(value.get("kind", "current")) if isinstance(value, dict) else "current"


AnyCalibratorPart = Annotated[
    Annotated[CalibratorPart, Tag("current")]
    | Annotated[EarlierTemperaturePart, Tag("smoothed_temperature")]
    | Annotated[EarlierPlattPart, Tag("platt")],
    Discriminator(_shape_of),
]
