"""The pictures beside the page."""

from pathlib import Path

from build_engines.cascade_metrics import CASCADE
from build_engines.cascade_solver import Estimate
from build_engines.diagrams import WayToAnswer, draw_assurances, draw_costs, draw_reliability
from build_engines.plan import ReleasePlan
from build_engines.served_answers import VerifiedRelease

ASSURANCES_NAME = "bands_and_sets.svg"


def draw_all_reliability(plan: ReleasePlan, verified: VerifiedRelease) -> list[Path]:
    """Draws a reliability diagram a head, of what is served and of what the engines say by themselves."""
    drawn = []
    for head, raw in zip(verified.heads, verified.raw_heads, strict=True):
        path = plan.work_folder / f"reliability_{head.head}.svg"
        pooled = " (pooled)" if head.attributes else ""
        draw_reliability(head.whole, path, title=f"{plan.task.head(head.head).title}{pooled}", raw=raw.whole)
        drawn.append(path)
    return drawn


def draw_all_assurances(plan: ReleasePlan, verified: VerifiedRelease) -> Path:
    """Draws what bands and sets say of each exit, and what was seen."""
    path = plan.work_folder / ASSURANCES_NAME
    draw_assurances([(f"answers of {each.tier}", each.assurances) for each in verified.exits], path)
    return path


def draw_all_costs(plan: ReleasePlan, verified: VerifiedRelease) -> list[Path]:
    """Draws cost against accuracy, a picture a decision head; none for a release of one tier."""
    cascade = verified.cascade
    if cascade is None:
        return []
    drawn = []
    for head in plan.task.decision_heads:
        path = plan.work_folder / f"cost_{head}.svg"
        own = cascade.accuracies[CASCADE][head]
        alone = {f"{tier} alone": cascade.accuracies[tier][head] for tier in plan.tier_ids}
        ways = [
            WayToAnswer(
                each.name,
                each.cost_ms,
                each.accuracies[head],
                _half_width(alone[each.name]) if each.name in alone else 0.0,
            )
            for each in (*cascade.comparators, cascade.fixed_on_raw)
        ]
        ours = WayToAnswer("this release", cascade.cost_ms.mean, own.mean, _half_width(own), is_ours=True)
        frontier = [(each.cost_ms, each.accuracies[head]) for each in verified.solved.candidates if each.accuracies]
        draw_costs([*ways, ours], frontier, path, title=plan.task.head(head).title)
        drawn.append(path)
    return drawn


def _half_width(share: Estimate) -> float:
    return (share.high - share.low) / 2
