"""How many labels a promise needs, from the losses seen so far."""

import math
from dataclasses import dataclass

from scipy import special

from build_engines.cascade_solver.solution import CascadeSolution, MeasuredPolicy


@dataclass(frozen=True, slots=True)
class LabelNeed:
    """What a number of labels would buy.

    Attributes:
        labels: In all parts together, at the present shares.
        cost_ms: The mean cost of an item under a policy that would then pass.
    """

    labels: int
    cost_ms: float


def labels_needed(solution: CascadeSolution, limit: float, *, power: float = 0.8) -> tuple[LabelNeed, ...]:
    """Returns how many labels (items, for a promise without labels) which cost would take at another limit.

    Method: every policy on the frontier has a mean loss m and a variance v, as *test* saw them. The test compares m
    with the limit in units of the spread under the hypothesis, at least that of a loss of 0 or 1 at the limit, v0 =
    max(v, limit (1 - limit)); so n items let it pass with probability `power` once n = ((z(1 - delta) sqrt(v0) +
    z(power) sqrt(v)) / (limit - m))^2, and never with fewer than log(delta) / log(1 - limit). The head that needs most
    decides. An estimate, no promise: m and v are themselves uncertain, the more so the closer m is to the limit.

    Args:
        solution: What is known now.
        limit: The new epsilon, or the new error rate of a selective promise; in (0, 1).
        power: The wanted chance to pass, in (0, 1).

    Returns:
        Rising in labels and falling in cost; empty if no policy on the frontier comes within the limit.

    Raises:
        ValueError: A number is out of range.
    """
    if not (0.0 < limit < 1.0 and 0.0 < power < 1.0):
        raise ValueError(f"limit {limit} or power {power} is not between 0 and 1")
    if solution.test_items == 0:
        return ()
    scale = (solution.frontier_items + solution.test_items) / solution.test_items
    needs = []
    for policy in solution.frontier:
        items = _items_needed(policy, limit, delta=solution.promise.delta, power=power)
        if items is not None:
            needs.append(LabelNeed(math.ceil(scale * items / policy.coverage), policy.cost_ms))
    chosen: list[LabelNeed] = []
    for need in sorted(needs, key=lambda each: (each.labels, each.cost_ms)):
        if not chosen or need.cost_ms < chosen[-1].cost_ms:
            chosen.append(need)
    return tuple(chosen)


def _items_needed(policy: MeasuredPolicy, limit: float, *, delta: float, power: float) -> float | None:
    """Returns how many test items a policy needs, or None if it breaks the limit or its losses are unknown."""
    if not policy.mean_losses or max(policy.mean_losses.values()) >= limit:
        return None
    level, reach = float(special.ndtri(1.0 - delta)), float(special.ndtri(power))
    least = math.log(delta) / math.log1p(-limit)
    needs = [least]
    for head, mean in policy.mean_losses.items():
        variance = policy.loss_variances[head]
        spread = level * math.sqrt(max(variance, limit * (1.0 - limit))) + reach * math.sqrt(variance)
        needs.append((max(spread, 0.0) / (limit - mean)) ** 2)
    return max(needs)
