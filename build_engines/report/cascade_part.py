"""What the page says of the cascade: its promise, its tiers against it, and other ways to answer."""

from build_engines.cascade_metrics import CASCADE, CascadeMetrics
from build_engines.cascade_solver import Basis, PromiseKind
from build_engines.costs import TierCosts
from build_engines.fusing import Fusions
from build_engines.markdown import percent, signed, table
from build_engines.plan import ReleasePlan
from build_engines.promise_facts import PromiseFacts
from build_engines.served_answers import VerifiedRelease


def cascade_parts(plan: ReleasePlan, verified: VerifiedRelease, cascade: CascadeMetrics) -> list[str]:
    """Returns the paragraphs about the cascade."""
    heads = plan.task.decision_heads
    exits = {each.tier: each.share for each in verified.exits}
    rows = [
        (
            tier,
            f"{verified.solved.costs.single_ms[tier]:.1f}",
            percent(exits[tier]) if tier in exits else "0.0 %",
            *(
                f"{min(verified.solved.thresholds[tier][head], 1):.3f}" if place < len(plan.tier_ids) - 1 else ""
                for head in heads
            ),
            *(percent(cascade.accuracies[tier][head]) for head in heads),
        )
        for place, tier in enumerate(plan.tier_ids)
    ]
    strongest = verified.solved.costs.single_ms[plan.tier_ids[-1]]
    cost = cascade.cost_ms
    share = f"{cost.mean:.1f} ({cost.low:.1f} to {cost.high:.1f}), {cost.mean / strongest:.1%} of the strongest tier"
    rows.append(
        (
            "**cascade**",
            share,
            "100 %",
            *("" for _ in heads),
            *(percent(cascade.accuracies[CASCADE][each]) for each in heads),
        )
    )
    columns = (
        "tier",
        "ms an inspection",
        "answers",
        *(f"{head}: threshold" for head in heads),
        *(f"{head}: accuracy" for head in heads),
    )
    steps = [
        (what, *(signed(by_head[head]) for head in heads))
        for what, by_head in {**cascade.steps, "strongest tier - cascade": cascade.gaps}.items()
    ]
    others = [
        (name, f"{each.cost_ms:.1f}", *(f"{each.accuracies[head]:.2%}" for head in heads))
        for name, each in (
            *((each.name, each) for each in cascade.comparators if not each.name.endswith(" alone")),
            (f"{cascade.fixed_on_raw.name}, on raw confidences", cascade.fixed_on_raw),
        )
    ]
    return [
        "## The cascade",
        _promised(verified.solved.promise),
        *_kept(verified.solved.promise, cascade, heads),
        *_fusion(verified.solved.fusions, heads),
        table(columns, rows),
        *_shared(verified.solved.costs),
        "What a stronger tier adds, and what the cascade leaves behind, in points, with 95 % intervals:",
        table(("difference", *heads), steps),
        "Other ways to answer, on the same photos:",
        table(("way", "ms an inspection", *heads), others),
        *(f"![Cost against accuracy of {head}](cost_{head}.svg)" for head in heads),
    ]


def _promised(promise: PromiseFacts | None) -> str:
    if promise is None:
        return ""
    if promise.basis is not Basis.TESTED:
        return (
            f"**{promise.wording}** No thresholds passed their test, so every photo goes straight to the strongest "
            "tier, which keeps the promise by its wording. "
            f"Tested on {promise.test_specimens:,} specimens of val_calib."
        )
    needs = "; ".join(
        f"{each.epsilon:.2%} would take about {each.labels:,} labels"
        if each.labels is not None
        else f"{each.epsilon:.2%} is within reach of none of the policies that were looked at"
        for each in promise.needs
    )
    p_values = ", ".join(f"{head} {value:.3f}" for head, value in promise.p_values.items())
    return (
        f"**{promise.wording}** Learn-then-Test, fixed sequence, {promise.method} p-values ({p_values}), on "
        f"{promise.test_specimens:,} specimens of val_calib that neither the maps nor the candidates saw; "
        f"{promise.labels_used:,} labels in all, {promise.tried} policies tried. Expected cost "
        f"{promise.cost_ms:.1f} ms. A tighter promise: {needs}."
    )


def _kept(promise: PromiseFacts | None, cascade: CascadeMetrics, heads: tuple[str, ...]) -> list[str]:
    """Says how another promise than that of the gap was kept; the gap has a line of its own."""
    if promise is None or promise.kind is PromiseKind.GAP:
        return []
    seen = ", ".join(f"{head} {percent(cascade.losses[head])}" for head in heads)
    return [f"On val_test it covers {percent(cascade.covered)} of the photos, and counts against it: {seen}."]


def _shared(costs: TierCosts) -> list[str]:
    """Says what a tier costs behind another, where that is less."""
    if not costs.entry_ms:
        return []
    _, *later = costs.next_ms.items()
    behind = ", ".join(f"`{tier}` {cost_ms:.1f} ms" for tier, cost_ms in later)
    return [f"Behind another tier a photo is decoded already, which saves {costs.entry_ms:.1f} ms: {behind}."]


def _fusion(fusions: Fusions, heads: tuple[str, ...]) -> list[str]:
    """Says how much each tier counts where they answer together."""
    if not fusions:
        return []
    tiers = list(fusions)
    rows = [
        (
            tier,
            *(
                ", ".join(f"{name} {weight:.2f}" for name, weight in zip(tiers, by_head[head], strict=False))
                for head in heads
            ),
        )
        for tier, by_head in fusions.items()
    ]
    told = (
        "On the release's own path a tier answers together with those before it: by the product of their calibrated "
        "probabilities, each raised to its weight. The accuracies below are of each tier alone and of the cascade."
    )
    return [told, table(("at tier", *heads), rows)]
