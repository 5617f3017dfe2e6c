"""The pictures of a report."""

from dataclasses import replace
from pathlib import Path

import pytest

from build_engines.assure import AssuranceMetrics, QuarterMetrics
from build_engines.diagrams import draw_assurances

HELD = QuarterMetrics(count=100, hit_low=0.70, hit_high=0.80, band_low=0.72, band_high=0.78)
BROKEN = replace(HELD, hit_low=0.40, hit_high=0.50)
SETS = AssuranceMetrics(
    "kind",
    0.06,
    (HELD,) * 4,
    set_target=0.9,
    set_coverage=0.91,
    set_low=0.88,
    set_high=0.93,
    set_least=0.87,
    set_size=1.4,
)
ATTRIBUTE = AssuranceMetrics("marks.spot", 0.06, (HELD,) * 4)


@pytest.mark.parametrize(
    ("measured", "is_warned"),
    [
        ((SETS, ATTRIBUTE), False),
        ((SETS, replace(ATTRIBUTE, quarters=(HELD, HELD, HELD, BROKEN))), True),
        ((replace(SETS, set_coverage=0.8, set_low=0.77, set_high=0.83, set_least=0.87), ATTRIBUTE), True),
    ],
)
def test_what_is_not_held_stands_out(
    measured: tuple[AssuranceMetrics, ...],
    is_warned: bool,  # noqa: FBT001 -- a parameter of the test
    tmp_path: Path,
) -> None:
    """A quarter outside its band, or sets that hold too little, are drawn in a colour of their own."""
    path = tmp_path / "bands_and_sets.svg"
    draw_assurances([("answers of fast", measured), ("answers of full", (SETS, ATTRIBUTE))], path)
    drawn = path.read_text("utf-8")
    assert ("#c05a2b" in drawn) is is_warned
    assert "answers of full" in drawn
