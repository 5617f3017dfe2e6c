"""What the steps of a build show at their end: a line a calibrator, and tables of costs and accuracies."""

from collections.abc import Iterable

from rich.console import Console
from rich.table import Table

from build_engines.calibrate import CalibratedEngine
from build_engines.cascade import SolvedCascade
from build_engines.cascade_metrics import CASCADE
from build_engines.cascade_solver import Basis
from build_engines.measure import HeadMetrics
from build_engines.plan import ReleasePlan
from build_engines.served_answers import VerifiedRelease


def show_calibrated(console: Console, tier: str, calibrated: CalibratedEngine) -> None:
    """Says how each head of a tier was calibrated."""
    for head, calibrator in calibrated.meaning.calibrators.items():
        console.print(f"Calibrated: {tier}, {head} by {calibrator.name} on {calibrator.item_count:,} photos.")


def show_solved(console: Console, solved: SolvedCascade) -> None:
    """Shows what each tier costs and answers, and what the cascade promises; nothing where there is no cascade."""
    promise = solved.promise
    if promise is None:
        return
    table = Table("tier", "ms an inspection", "answers", "thresholds", title="The cascade, on val_calib's test part")
    for tier, cost_ms in solved.costs.single_ms.items():
        thresholds = ", ".join(f"{head} {min(each, 1):.3f}" for head, each in solved.thresholds[tier].items())
        table.add_row(tier, f"{cost_ms:.1f}", f"{promise.exit_shares[tier]:.1%}", thresholds)
    console.print(table)
    found = "tested" if promise.basis is Basis.TESTED else "by sending everything to the strongest tier"
    console.print(f"{promise.wording[:-1]}: {found}; {promise.cost_ms:.1f} ms expected.")


def show_verified(console: Console, plan: ReleasePlan, verified: VerifiedRelease) -> None:
    """Shows what served answers are worth: of all, of those that each tier gave, and way by way."""
    console.print(_answers_table(verified.heads, title="All served answers, on val_test"))
    if verified.cascade is None:
        return
    for each in verified.exits:
        title = f"Answers of {each.tier}: {each.share.mean:.1%} of the photos"
        console.print(_answers_table(each.heads, title=title))
    heads = plan.task.decision_heads
    table = Table("way to answer", "ms", *heads, title="Accuracy on val_test, with 95 % intervals")
    costs = verified.solved.costs.single_ms | {CASCADE: verified.cascade.cost_ms.mean}
    for way, by_head in verified.cascade.accuracies.items():
        cells = (f"{by_head[head].mean:.2%} ({by_head[head].low:.2%} to {by_head[head].high:.2%})" for head in heads)
        table.add_row(way, f"{costs[way]:.1f}", *cells)
    console.print(table)


def _answers_table(heads: Iterable[HeadMetrics], *, title: str) -> Table:
    table = Table("question", "accuracy", "ECE15", "chance", "gap", "its interval", title=title)
    for head in heads:
        for question in (head.whole, *head.attributes.values()):
            gap = question.gap
            table.add_row(
                question.question,
                f"{question.accuracy:.2%}",
                f"{question.calibration_error:.2%}",
                f"{question.noise_floor:.2%}",
                f"{gap.estimate:+.2%}",
                f"{gap.low:+.2%} to {gap.high:+.2%}",
            )
    return table
