"""Exact binomial bounds against scipy, and at their ends."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from server.domain.binomial import beta_quantile, clopper_pearson_high, clopper_pearson_low, wilson_high


@settings(max_examples=150)
@given(st.integers(1, 20_000), st.floats(0, 1), st.floats(1e-5, 0.9))
def test_bounds_are_those_of_scipy(count: int, share: float, error: float) -> None:
    """Upper and lower bounds agree to 1e-9."""
    hits = round(share * count)
    expected = (
        stats.beta.ppf(error, hits, count - hits + 1) if hits else 0.0,
        stats.beta.ppf(1 - error, hits + 1, count - hits) if hits < count else 1.0,
    )
    bounds = (
        clopper_pearson_low(np.array([hits]), np.array([count]), error=error)[0],
        clopper_pearson_high(np.array([hits]), np.array([count]), error=error)[0],
    )
    assert bounds == pytest.approx(expected, abs=1e-9)


def test_many_bounds_at_once_are_those_of_scipy() -> None:
    """Very different bounds in one array do not disturb each other."""
    first = np.array([1.0, 1.0, 2.0, 900_000.0, 5.0, 300.0])
    second = np.array([1.0, 1_000_000.0, 3.0, 100_000.0, 20_000.0, 1.0])
    assert beta_quantile(first, second, 0.975) == pytest.approx(stats.beta.ppf(0.975, first, second), abs=1e-9)


def test_all_hits_bound_nothing_from_above() -> None:
    """Three of three may well be always."""
    assert clopper_pearson_high(np.array([3]), np.array([3]), error=0.05).tolist() == [1.0]
    assert clopper_pearson_low(np.array([0]), np.array([3]), error=0.05).tolist() == [0.0]


def test_wilson_is_near_the_exact_bound() -> None:
    """It only chooses windows, so a point or two suffice."""
    counts = np.array([30, 100, 1_000, 30, 100])
    hits = np.array([20, 95, 500, 0, 100])
    exact = clopper_pearson_high(hits, counts, error=0.025)
    assert wilson_high(hits / counts, counts, error=0.025) == pytest.approx(exact, abs=0.03)
