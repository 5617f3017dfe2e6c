"""P-values: exact where they say so, and valid under the null."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from build_engines.cascade_solver import p_values

_DRAWS = 4000


def _rejection_share(p_value_of: Callable[[np.random.Generator], float], *, level: float, seed: int) -> float:
    random = np.random.default_rng(seed)
    return sum(p_value_of(random) <= level for _ in range(_DRAWS)) / _DRAWS


def _allowed(level: float) -> float:
    """The level, and three standard errors of the simulation."""
    return level + 3.0 * math.sqrt(level * (1.0 - level) / _DRAWS)


@given(count=st.integers(1, 3000), share=st.floats(0, 1), limit=st.floats(0.001, 0.999))
def test_binomial_is_scipys(count: int, share: float, limit: float) -> None:
    """The binomial p-value is that of scipy's exact test."""
    losses = round(share * count)
    expected = stats.binomtest(losses, count, limit, alternative="less").pvalue
    assert p_values.binomial(losses, count, limit=limit) == pytest.approx(expected, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("count", [1, 40, 400])
def test_paired_without_differences_is_the_binomial(count: int) -> None:
    """Where no pair differs, the p-value is (1 - limit)^count, and what is left to the bound on differing pairs."""
    assert p_values.paired(0, 0, count, limit=0.05) == pytest.approx(0.95**count + 1e-3, abs=1e-5)


@pytest.mark.parametrize(("worse", "better", "count"), [(3, 1, 200), (5, 5, 150), (6, 2, 250), (0, 4, 90)])
def test_paired_is_the_maximum_over_the_boundary_of_the_hypothesis(worse: int, better: int, count: int) -> None:
    """Adding up every outcome that the score orders no later, on a fine net of differing shares, agrees."""
    limit = 0.05
    betters, worses = np.meshgrid(np.arange(count + 1), np.arange(count + 1))
    possible = betters + worses <= count
    scores = p_values._score(worses.astype(float), betters.astype(float), count, limit)
    seen = scores[worse, better]
    inside = (scores <= seen + 1e-9) & possible
    bound = stats.beta.isf(1e-3, worse + better + 1, count - worse - better)
    highest = 0.0
    for share in np.linspace(limit, max(limit, bound), 150):
        chances = [(share + limit) / 2, (share - limit) / 2]
        outcomes = np.stack([worses[inside], betters[inside]], axis=1)
        cells = np.column_stack([outcomes, count - outcomes.sum(axis=1)])
        highest = max(highest, float(stats.multinomial.pmf(cells, count, [*chances, 1 - sum(chances)]).sum()))
    assert p_values.paired(worse, better, count, limit=limit) == pytest.approx(highest + 1e-3, abs=2e-5)


@pytest.mark.parametrize("differing_share", [0.02, 0.05, 0.15])
@pytest.mark.parametrize("count", [60, 200])
def test_paired_is_valid_on_the_boundary(differing_share: float, count: int) -> None:
    """If the difference is just the limit, a p-value of at most .1 comes in at most .1 of draws (and three errors)."""
    limit = 0.02
    better = (differing_share - limit) / 2
    known: dict[tuple[int, int], float] = {}

    def draw(random: np.random.Generator) -> float:
        outcome = random.multinomial(count, [better + limit, better, 1 - differing_share])
        pair = (int(outcome[0]), int(outcome[1]))
        if pair not in known:
            known[pair] = p_values.paired(*pair, count, limit=limit)
        return known[pair]

    assert _rejection_share(draw, level=0.1, seed=count) <= _allowed(0.1)


@given(worse=st.integers(0, 30), better=st.integers(0, 30), count=st.integers(60, 800))
def test_one_more_worse_item_never_speaks_for_the_promise(worse: int, better: int, count: int) -> None:
    """The paired p-value does not fall when an item gets worse, whether it was better or the same before."""
    before = p_values.paired(worse, better, count, limit=0.05)
    assert p_values.paired(worse + 1, better, count, limit=0.05) >= before - 2e-3
    if better:
        assert p_values.paired(worse, better - 1, count, limit=0.05) >= before - 2e-3


def test_paired_is_more_powerful_than_bounds_that_know_less() -> None:
    """On 1,000 pairs of which few differ, the exact p-value is below betting's, and that below the inequalities'."""
    random = np.random.default_rng(0)
    losses = random.permutation(np.repeat([1.0, -1.0, 0.0], [16, 8, 976]))
    exact = p_values.paired(16, 8, 1000, limit=0.02)
    betting = p_values.betting(losses, limit=0.02, delta=0.1, low=-1.0, high=1.0)
    inequality = p_values.hoeffding_bentkus((losses.mean() + 1) / 2, 1000, limit=0.51)
    assert exact < betting < inequality


@pytest.mark.parametrize("limit", [0.02, 0.3])
def test_hoeffding_bentkus_is_valid(limit: float) -> None:
    """If the mean of losses in [0, 1] is just the limit, small p-values are as rare as they claim."""

    def draw(random: np.random.Generator) -> float:
        losses = random.beta(0.5 * limit, 0.5 * (1 - limit), 200)
        return p_values.hoeffding_bentkus(float(losses.mean()), 200, limit=limit)

    assert _rejection_share(draw, level=0.1, seed=1) <= _allowed(0.1)


def test_hoeffding_bentkus_takes_the_smaller_bound() -> None:
    """With no loss at all, Hoeffding's bound (1 - limit)^n is below e times Bentkus's."""
    assert p_values.hoeffding_bentkus(0.0, 100, limit=0.05) == pytest.approx(0.95**100)


@pytest.mark.parametrize("limit", [-0.3, 0.02])
def test_betting_is_valid(limit: float) -> None:
    """If the mean of losses in [-1, 1] is just the limit, small p-values are as rare as they claim."""

    def draw(random: np.random.Generator) -> float:
        losses = random.choice([-1.0, 0.0, 1.0], 200, p=[0.1 - min(limit, 0), 0.8 - abs(limit), 0.1 + max(limit, 0)])
        return p_values.betting(losses, limit=limit, delta=0.1, low=-1.0, high=1.0)

    assert _rejection_share(draw, level=0.1, seed=2) <= _allowed(0.1)


def test_betting_on_no_loss_wins() -> None:
    """Four hundred items without a loss convince at every usual level."""
    assert p_values.betting(np.zeros(400), limit=0.05, delta=0.1) < 1e-3


def test_no_items_prove_nothing() -> None:
    """Without items every p-value is 1."""
    found = {
        p_values.binomial(0, 0, limit=0.1),
        p_values.paired(0, 0, 0, limit=0.1),
        p_values.hoeffding_bentkus(0.0, 0, limit=0.1),
        p_values.betting(np.zeros(0), limit=0.1, delta=0.1),
    }
    assert found == {1.0}


@pytest.mark.parametrize(
    "call",
    [
        lambda: p_values.binomial(5, 4, limit=0.1),
        lambda: p_values.binomial(1, 4, limit=0.0),
        lambda: p_values.paired(3, 2, 4, limit=0.1),
        lambda: p_values.paired(-1, 2, 4, limit=0.1),
        lambda: p_values.hoeffding_bentkus(1.5, 4, limit=0.1),
        lambda: p_values.hoeffding_bentkus(math.nan, 4, limit=0.1),
        lambda: p_values.betting(np.array([2.0]), limit=0.1, delta=0.1),
        lambda: p_values.betting(np.array([math.nan]), limit=0.1, delta=0.1),
    ],
)
def test_impossible_numbers_are_refused(call: Callable[[], float]) -> None:
    """A count, mean or loss that cannot be is an error, not a p-value."""
    with pytest.raises(ValueError, match=r"impossible|limit|outside"):
        call()
