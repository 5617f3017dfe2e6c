"""Photos from near the target places are drawn more often."""

import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from training.place_sampling import (
    LowPlaceCoverageWarning,
    NoTargetPlacesError,
    SamplingSection,
    cluster_centres,
    nearest_centres,
    place_weights,
)

BERLIN, PARIS, SYDNEY = (52.52, 13.405), (48.8566, 2.3522), (-33.8688, 151.2093)
PLACES = st.tuples(st.floats(-90, 90), st.floats(-180, 180))


def test_distances_are_great_circles() -> None:
    """Berlin to Paris is 878 km, and across the date line it is not round the world."""
    _, kilometres = nearest_centres([BERLIN, (0.0, 179.9)], np.array([PARIS, (0.0, -179.9)]))
    assert kilometres == pytest.approx([878, 22.2], abs=1)


def test_a_cluster_across_the_date_line_has_its_centre_there() -> None:
    """Longitudes 179 and -179 meet at 180, not at 0."""
    (centre,) = cluster_centres([(10.0, 179.0), (10.0, -179.0)], cluster_count=1, seed=42)
    assert abs(centre[1]) == pytest.approx(180)


@given(places=st.lists(PLACES, min_size=1, max_size=12))
@settings(max_examples=25)
def test_centres_are_places(places: list[tuple[float, float]]) -> None:
    """There are at most five centres, each within the range of latitudes and longitudes."""
    centres = cluster_centres(places, cluster_count=5, seed=42)
    assert 1 <= len(centres) <= 5
    assert np.all(np.abs(centres) <= (90, 180))


def test_weights_fall_with_distance() -> None:
    """5.0 under 50 km, 2.5 under 200, 1.0 under 500, 0.3 beyond, 1.0 where nobody knows."""
    north = [(BERLIN[0] + km / 111.195, BERLIN[1]) for km in (0, 49, 51, 199, 201, 499, 501)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        weights = place_weights([*north, SYDNEY, None], SamplingSection(by_place=True, target_places=(BERLIN,)))
    assert weights.tolist() == [5.0, 5.0, 2.5, 2.5, 1.0, 1.0, 0.3, 0.3, 1.0]


def test_low_coverage_warns() -> None:
    """With a place on seven photos in ten, the weights come with a warning that counts them."""
    section = SamplingSection(by_place=True, target_places=(BERLIN,))
    with pytest.warns(LowPlaceCoverageWarning, match="7 of 10 photos"):
        place_weights([BERLIN] * 7 + [None] * 3, section)


def test_targets_come_from_the_task_file_and_a_table(tmp_path: Path) -> None:
    """Both are used."""
    table = tmp_path / "targets.csv"
    table.write_text("latitude,longitude\n48.8566,2.3522\n")
    section = SamplingSection.model_validate({"target_places": ["(52.52, 13.405)"], "target_places_csv": str(table)})
    assert section.all_target_places() == (BERLIN, PARIS)


def test_sampling_by_place_needs_targets() -> None:
    """No target is no silent uniform draw."""
    with pytest.raises(NoTargetPlacesError):
        place_weights([BERLIN], SamplingSection(by_place=True))


@pytest.mark.parametrize(
    "fields",
    [{"weights": [1, 2]}, {"steps_km": [200, 50, 500]}, {"target_places": ["Berlin"]}, {"weights": [5, 2, 1, 0]}],
)
def test_a_section_that_makes_no_sense_is_refused(fields: dict[str, object]) -> None:
    """Steps rise, weights are positive and match them, and places are places."""
    with pytest.raises(ValidationError):
        SamplingSection.model_validate(fields)
