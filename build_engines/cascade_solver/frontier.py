"""The frontier: of all policies on a grid of thresholds, those that no other beats in both cost and risk.

Only the *frontier* part of the evidence is looked at, so whatever is done here leaves *test* untouched.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from build_engines.cascade_solver.evidence import CascadeEvidence
from build_engines.cascade_solver.exit_policy import ALWAYS, NEVER, ExitPolicy
from build_engines.cascade_solver.promise import Promise, SelectivePromise

DoubleArray = npt.NDArray[np.float64]
FloatArray = npt.NDArray[np.float32]
IndexArray = npt.NDArray[np.int64]

_KEPT_PREFIXES = 400
_MOST_LEVELS = 200
"""Of one head's thresholds at one tier: finer ones would tell noise apart."""
_SLACK = 1e-9
"""Thresholds lie on this grid, between half and one and a half steps below a confidence that was seen."""


@dataclass(frozen=True, slots=True)
class FrontierPoint:
    """A policy that no other on the grid beats, as the *frontier* part sees it.

    Attributes:
        policy: The thresholds.
        cost_ms: The mean cost of an item.
        excess: By head, the mean loss above the limit of the promise (below 0: within it); an unanswered item counts 0.
        risk: The largest over the heads of `excess`, in its standard deviations for one item: the smaller, the surer
            the policy is to pass the test.
    """

    policy: ExitPolicy
    cost_ms: float
    excess: tuple[float, ...]
    risk: float


@dataclass(frozen=True, slots=True, eq=False)
class _Stage:
    """A tier, or the lack of an answer behind the last, on the items of *frontier*.

    Attributes:
        cost_ms: Of one item that gets here.
        candidates: [candidate][head]. Thresholds; the last candidate never stops.
        stops: [candidate_count, item_count] float32. 1 where an item that gets here stops.
        excess: [head_count, item_count] float32. Loss above the limit.
        square: [head_count, item_count] float32. The square of the excess.
    """

    cost_ms: float
    candidates: tuple[tuple[float, ...], ...]
    stops: FloatArray
    excess: FloatArray
    square: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class _Closed:
    """All pairs of a beginning (rows) and the next stage's candidates (columns), the rest going to the final stage.

    Attributes:
        cost_ms: [row_count, candidate_count] float64. Mean cost of an item.
        excess: [head_count, row_count, candidate_count] float64. Mean.
        risk: [row_count, candidate_count] float64. See `FrontierPoint`.
    """

    cost_ms: DoubleArray
    excess: DoubleArray
    risk: DoubleArray


@dataclass(frozen=True, slots=True, eq=False)
class _Beginnings:
    """Choices for the first stages.

    Attributes:
        choices: One a beginning: the index of the candidate at each stage so far.
        left: [beginning_count, item_count] float32. 1 where an item has not stopped yet.
        cost_ms: [beginning_count] float64. Mean cost so far.
        excess: [head_count, beginning_count] float64. Mean so far.
        square: [head_count, beginning_count] float64. Mean so far.
    """

    choices: tuple[tuple[int, ...], ...]
    left: FloatArray
    cost_ms: DoubleArray
    excess: DoubleArray
    square: DoubleArray


def find_frontier(
    evidence: CascadeEvidence, promise: Promise, *, policies_per_tier: int, may_skip: bool
) -> tuple[FrontierPoint, ...]:
    """Returns the policies on the grid that no other beats in both cost and risk, safest (most expensive) first.

    Risk is measured as the test will see it, in standard deviations (Laufer-Goldshtein et al., "Efficiently controlling
    multiple risks with Pareto testing", 2023, order candidates in the same spirit), for the head that has it worst.
    Stages are joined by matrix products; with more than two free stages only the best beginnings go on.

    Args:
        evidence: The *frontier* part; labelled if the promise needs labels. At least one item.
        promise: What the policies are for.
        policies_per_tier: The size of the grid of one tier, over all its heads; at least 4.
        may_skip: Whether a tier may be left out.
    """
    *free, final = _stages(evidence, promise, policies_per_tier=policies_per_tier)
    item_count, entry_ms = len(evidence.groups), evidence.entry_ms
    heads = len(evidence.heads)
    nothing = np.zeros((heads, 1))
    beginnings = _Beginnings(((),), np.ones((1, item_count), np.float32), np.full(1, entry_ms), nothing, nothing)
    closed = _Closed(
        np.array([[entry_ms + final.cost_ms]]), final.excess.mean(axis=1)[:, None, None], np.full((1, 1), -np.inf)
    )
    for number, stage in enumerate(free, start=1):
        closed = _close(beginnings, stage, final, may_skip=may_skip)
        if number < len(free):
            beginnings = _extend(beginnings, stage, closed, may_skip=may_skip)
    return _undominated(beginnings, free, closed, evidence, promise, may_skip=may_skip)


def _stages(evidence: CascadeEvidence, promise: Promise, *, policies_per_tier: int) -> list[_Stage]:
    excess = (promise.losses(evidence) - promise.limit).astype(np.float32)
    stages = []
    for index, cost_ms in enumerate(evidence.costs_ms):
        candidates = _candidates(evidence.confidences[index], policies_per_tier)
        sure = evidence.confidences[index][None, :, :] >= np.array(candidates)[:, :, None]
        stages.append(
            _Stage(cost_ms, candidates, sure.all(axis=1).astype(np.float32), excess[index], excess[index] ** 2)
        )
    if isinstance(promise, SelectivePromise):
        nothing = np.zeros_like(excess[0])
        stages.append(
            _Stage(promise.unanswered_cost_ms, (), np.zeros((0, nothing.shape[1]), np.float32), nothing, nothing)
        )
    return stages


def _candidates(confidences: DoubleArray, count: int) -> tuple[tuple[float, ...], ...]:
    """Returns about `count` thresholds by head, at quantiles of [head_count, item_count] confidences; never last."""
    levels = min(max(2, round(count ** (1.0 / len(confidences))) - 1), _MOST_LEVELS)
    shares = np.linspace(0.0, 1.0, levels)
    per_head = [np.unique(_just_below(np.quantile(each, shares, method="higher"))) for each in confidences]
    grid = itertools.product(*(map(float, each) for each in per_head))
    return (*grid, (NEVER,) * len(confidences))


def _just_below(confidences: DoubleArray) -> DoubleArray:
    """Returns thresholds that these confidences reach with room to spare: a server may compute their last digits else.

    Args:
        confidences: [count] float64 in (0, 1].
    """
    below: DoubleArray = np.maximum(np.floor(confidences / _SLACK - 0.5) * _SLACK, 0.0)
    return below


def _stage_costs(beginnings: _Beginnings, stage: _Stage, *, may_skip: bool) -> DoubleArray:
    """Returns [beginning_count, candidate_count]: the mean cost of the stage itself; a skipped stage has none."""
    costs = np.repeat(stage.cost_ms * beginnings.left.mean(axis=1, dtype=np.float64)[:, None], len(stage.stops), axis=1)
    if may_skip:
        costs[:, -1] = 0.0
    return costs


def _close(beginnings: _Beginnings, stage: _Stage, final: _Stage, *, may_skip: bool) -> _Closed:
    count = beginnings.left.shape[1]
    stopping = np.asarray(beginnings.left @ stage.stops.T, dtype=np.float64) / count
    left = beginnings.left.mean(axis=1, dtype=np.float64)[:, None] - stopping
    cost_ms = beginnings.cost_ms[:, None] + _stage_costs(beginnings, stage, may_skip=may_skip) + final.cost_ms * left
    excess: list[DoubleArray] = []
    square: list[DoubleArray] = []
    for head in range(len(stage.excess)):
        for sums, so_far, here, last in (
            (excess, beginnings.excess[head], stage.excess[head], final.excess[head]),
            (square, beginnings.square[head], stage.square[head], final.square[head]),
        ):
            through = np.asarray(beginnings.left @ last, dtype=np.float64)[:, None]
            sums.append(so_far[:, None] + (beginnings.left @ (stage.stops * (here - last)).T + through) / count)
    means, squares = np.array(excess), np.array(square)
    # One item's worth of doubt: where no loss was seen, its spread is still not nil.
    deviations = np.sqrt(np.maximum(squares - means**2, 0.0) + 1.0 / count)
    return _Closed(cost_ms, means, (means / deviations).max(axis=0))


def _extend(beginnings: _Beginnings, stage: _Stage, closed: _Closed, *, may_skip: bool) -> _Beginnings:
    kept = np.arange(closed.cost_ms.size)
    if len(kept) > _KEPT_PREFIXES:
        kept = thin(pareto(closed.cost_ms.ravel(), closed.risk.ravel()), _KEPT_PREFIXES)
    rows, columns = np.unravel_index(kept, closed.cost_ms.shape)
    stopping = beginnings.left[rows] * stage.stops[columns]
    count = beginnings.left.shape[1]
    return _Beginnings(
        tuple((*beginnings.choices[row], int(column)) for row, column in zip(rows, columns, strict=True)),
        beginnings.left[rows] - stopping,
        beginnings.cost_ms[rows] + _stage_costs(beginnings, stage, may_skip=may_skip)[rows, columns],
        beginnings.excess[:, rows] + stage.excess.astype(np.float64) @ stopping.T / count,
        beginnings.square[:, rows] + stage.square.astype(np.float64) @ stopping.T / count,
    )


def _undominated(
    beginnings: _Beginnings,
    free: Sequence[_Stage],
    closed: _Closed,
    evidence: CascadeEvidence,
    promise: Promise,
    *,
    may_skip: bool,
) -> tuple[FrontierPoint, ...]:
    points = []
    for flat in pareto(closed.cost_ms.ravel(), closed.risk.ravel()):
        row, column = np.unravel_index(flat, closed.cost_ms.shape)
        choices = (*beginnings.choices[row], int(column)) if free else ()
        thresholds = [stage.candidates[choice] for stage, choice in zip(free, choices, strict=True)]
        if not isinstance(promise, SelectivePromise):
            thresholds.append((ALWAYS,) * len(evidence.heads))
        skipped = tuple(may_skip and each[0] >= NEVER for each in thresholds)
        points.append(
            FrontierPoint(
                ExitPolicy(tuple(thresholds), skipped),
                float(closed.cost_ms[row, column]),
                tuple(float(each) for each in closed.excess[:, row, column]),
                float(closed.risk[row, column]),
            )
        )
    return tuple(points)


def pareto(costs: DoubleArray, risks: DoubleArray) -> IndexArray:
    """Returns the indices of the points that no other beats in both, from the highest cost to the lowest.

    Args:
        costs: [point_count] float64.
        risks: [point_count] float64.
    """
    order = np.lexsort((risks, costs))
    # Before each point, in rising cost: the least risk that less money buys.
    least = np.minimum.accumulate(np.concatenate([[np.inf], risks[order][:-1]]))
    chosen: IndexArray = order[risks[order] < least][::-1]
    return chosen


def thin(points: IndexArray, count: int) -> IndexArray:
    """Returns at most `count` of the points, evenly spread over the sequence, both ends among them."""
    if len(points) <= count:
        return points
    return points[np.unique(np.linspace(0, len(points) - 1, count).round().astype(np.int64))]
