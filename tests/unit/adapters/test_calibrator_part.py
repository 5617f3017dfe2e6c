"""Calibrators on disk: every kind comes back as it went, what releases had earlier is read, nothing else is."""

import json

import pytest
from calibration_world import ATTRIBUTE_MAPS, CATEGORY_MAPS
from pydantic import TypeAdapter, ValidationError

from server.adapters.calibrator_part import AnyCalibratorPart, CalibratorPart
from server.domain.calibration.binary_maps import Platt
from server.domain.calibration.calibrator import AttributeMaps, Calibrator, HeadMap
from server.domain.calibration.category_maps import SmoothedTemperature

SHA = "d" * 64
ANY: TypeAdapter[AnyCalibratorPart] = TypeAdapter(AnyCalibratorPart)


@pytest.mark.parametrize("head_map", [*CATEGORY_MAPS, ATTRIBUTE_MAPS], ids=lambda each: type(each).__name__)
def test_every_map_survives_the_way_to_disk(head_map: HeadMap) -> None:
    """What is read equals what was written, to the last digit."""
    calibrator = Calibrator(SHA, head_map, 1234)
    text = CalibratorPart.model_validate(calibrator).model_dump_json()
    assert ANY.validate_json(text).to_domain() == calibrator


def test_a_temperature_of_an_earlier_release_is_read() -> None:
    """Its smoothing follows from its count of labels, as it did when it was written."""
    text = f'{{"kind": "smoothed_temperature", "engine_sha256": "{SHA}", "temperature": 1.3, "item_count": 1200}}'
    assert ANY.validate_json(text).to_domain() == Calibrator(SHA, SmoothedTemperature(1.3, 1 / 1201), 1200)


def test_platt_scaling_of_an_earlier_release_is_read() -> None:
    """Slopes and intercepts become one map an attribute, with the margin of their count of labels."""
    text = json.dumps(
        {"kind": "platt", "engine_sha256": SHA, "slopes": [1.1, 0.0], "intercepts": [0.2, -1.0], "item_count": 98}
    )
    maps = AttributeMaps((Platt(1.1, 0.2, 0.01), Platt(0.0, -1.0, 0.01)))
    assert ANY.validate_json(text).to_domain() == Calibrator(SHA, maps, 98)


@pytest.mark.parametrize(
    "content",
    [
        {"engine_sha256": "short", "item_count": 9, "map": {"kind": "identity"}},
        {"engine_sha256": SHA, "item_count": 9, "map": {"kind": "oracle"}},
        {"engine_sha256": SHA, "item_count": 9, "map": {"kind": "identity", "surprise": 1}},
        {"engine_sha256": SHA, "item_count": 9, "map": {"kind": "smoothed_temperature", "temperature": 1.0}},
        {"engine_sha256": SHA, "item_count": 0, "map": {"kind": "identity"}},
        {"engine_sha256": SHA, "item_count": 9, "map": {"kind": "attributes", "maps": []}},
        {
            "engine_sha256": SHA,
            "item_count": 9,
            "map": {"kind": "smoothed_temperature", "temperature": -1.0, "smoothing": 0.1},
        },
        {
            "engine_sha256": SHA,
            "item_count": 9,
            "map": {
                "kind": "attributes",
                "maps": [{"kind": "isotonic", "centres": [0, 0], "probabilities": [0.1, 0.2]}],
            },
        },
        {"kind": "platt", "engine_sha256": SHA, "slopes": [1.0], "intercepts": [], "item_count": 9},
        {"kind": "smoothed_temperature", "engine_sha256": SHA, "temperature": 1.0, "item_count": 0},
        {"kind": "oracle", "engine_sha256": SHA},
        "a string",
    ],
)
def test_what_breaks_schema_or_ranges_is_refused(content: object) -> None:
    """A wrong digest, an unknown kind, a stray field, a parameter out of range: nothing of it is served."""
    with pytest.raises((ValidationError, ValueError)):
        ANY.validate_json(json.dumps(content)).to_domain()


def test_numbers_keep_all_their_digits() -> None:
    """Probabilities after the way to disk are the same bits."""
    logits = [0.1, 0.2, 0.3]
    part = CalibratorPart.model_validate(Calibrator(SHA, SmoothedTemperature(1 / 3, 1 / 7), 6))
    assert ANY.validate_json(part.model_dump_json()).to_domain().calibrate_item(logits) == SmoothedTemperature(
        1 / 3, 1 / 7
    ).calibrate_item(logits)
