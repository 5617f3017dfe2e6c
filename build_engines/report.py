"""Step `report`: says in tables and pictures what was verified, where it came from, and how to do it again."""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from build_engines.assure import AssuranceMetrics
from build_engines.cascade import PromiseFacts
from build_engines.cascade_solver import Basis, Estimate, PromiseKind
from build_engines.compile import WORTH
from build_engines.diagrams import WayToAnswer, draw_assurances, draw_costs, draw_reliability
from build_engines.gates import LARGEST_GAP, LEAST_ITEMS
from build_engines.markdown import table
from build_engines.measure import NOISE_FLOOR_DRAWS, HeadMetrics, QuestionMetrics
from build_engines.plan import ReleasePlan, TierPlan
from build_engines.served_answers import (
    CASCADE,
    CascadeMetrics,
    VerifiedRelease,
    read_verified_release,
)
from build_engines.step_record import StepRecord
from build_engines.verify import VerifiedEngine

STEP = "report"
REPORT_NAME = "report.md"
ASSURANCES_NAME = "bands_and_sets.svg"
_TIER_STEPS = ("export", "compile", "calibrate", "verify")


@dataclass(frozen=True, slots=True)
class Report:
    """What people read.

    Attributes:
        path: The page, in Markdown.
        diagrams: SVGs beside it.
    """

    path: Path
    diagrams: tuple[Path, ...]


def report(plan: ReleasePlan) -> Report:
    """Writes the report of a verified release.

    Raises:
        StepMissingError: Nothing was verified for these engines.
        GatesFailedError: A gate failed.
    """
    started = time.monotonic()
    verified = read_verified_release(plan)
    diagrams = (*_draw_reliability(plan, verified), _draw_assurances(plan, verified), *_draw_costs(plan, verified))
    path = plan.work_folder / REPORT_NAME
    path.write_text(_page(plan, verified), encoding="utf-8")
    record = StepRecord.make(
        STEP,
        inputs=_engines(plan, verified),
        outputs=(path, *diagrams),
        facts={},
        command=plan.command(STEP),
        duration_s=time.monotonic() - started,
    )
    record.write(plan.work_folder)
    return Report(path, diagrams)


def read_report(plan: ReleasePlan) -> Report:
    """Reads what `report` left for these engines.

    Raises:
        StepMissingError: It left nothing, or something else.
    """
    record = StepRecord.read(plan.work_folder, STEP, command=plan.command(STEP))
    for tier, sha256 in _engines(plan, read_verified_release(plan)).items():
        record.require_input(tier, sha256, command=plan.command(STEP))
    diagrams = tuple(plan.work_folder / name for name in record.outputs if name != REPORT_NAME)
    return Report(plan.work_folder / REPORT_NAME, diagrams)


def _engines(plan: ReleasePlan, verified: VerifiedRelease) -> dict[str, str]:
    return {tier: each.calibrated.engine.sha256 for tier, each in zip(plan.tier_ids, verified.tiers, strict=True)}


def _draw_reliability(plan: ReleasePlan, verified: VerifiedRelease) -> list[Path]:
    drawn = []
    for head, raw in zip(verified.heads, verified.raw_heads, strict=True):
        path = plan.work_folder / f"reliability_{head.head}.svg"
        pooled = " (pooled)" if head.attributes else ""
        draw_reliability(head.whole, path, title=f"{plan.task.head(head.head).title}{pooled}", raw=raw.whole)
        drawn.append(path)
    return drawn


def _draw_assurances(plan: ReleasePlan, verified: VerifiedRelease) -> Path:
    path = plan.work_folder / ASSURANCES_NAME
    draw_assurances([(f"answers of {each.tier}", each.assurances) for each in verified.exits], path)
    return path


def _draw_costs(plan: ReleasePlan, verified: VerifiedRelease) -> list[Path]:
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


def _page(plan: ReleasePlan, verified: VerifiedRelease) -> str:
    gates = ((gate.name, gate.finding, "yes" if gate.passed else "NO") for gate in verified.gates)
    cascade = verified.cascade
    parts = [
        f"# {plan.task.title}, release {plan.number}",
        _introduction(plan),
        "## Answers",
        _answers_table(head.whole for head in verified.heads),
        *(_attributes_part(head) for head in verified.heads if head.attributes),
        *([] if cascade is None else _cascade_parts(plan, verified, cascade)),
        "## Honesty of confidences",
        _promise(),
        *(f"![Reliability of {head.head}](reliability_{head.head}.svg)" for head in verified.heads),
        *([] if cascade is None else ["### Tier by tier, on the photos that stop there", _exits_table(verified)]),
        "## Bands and sets",
        f"![What bands and sets say, and what was seen]({ASSURANCES_NAME})",
        _assurances([(each.tier, each.assurances) for each in verified.exits]),
        "## Gates",
        table(("gate", "found", "passed"), gates),
        "## Uncertainty",
        _uncertainty(verified),
        *([] if cascade is None else ["## Each tier alone", _alone(plan, verified)]),
        "## Engines",
        _engines_table(plan, verified.tiers),
        "## Where it comes from",
        _provenance(plan),
    ]
    return "\n\n".join(parts) + "\n"


def _introduction(plan: ReleasePlan) -> str:
    networks = [
        f"`{tier.tier}` ({tier.checkpoint.file.network.backbone} at {tier.checkpoint.file.network.input_size_px} px)"
        for tier in plan.tiers
    ]
    tiers = f"One tier, {networks[0]}." if len(networks) == 1 else f"{len(networks)} tiers: {', '.join(networks)}."
    return (
        f"{tiers} {plan.tiers[0].checkpoint.file.variant.capitalize()} variant. The thresholds of the last tier lie "
        "above 1: no confidence is asked for there, and its answers say that they came from the last tier. All figures "
        "are of val_test, photos of specimens that neither training nor calibration saw, through the Triton ensembles "
        "that serve."
    )


def _cascade_parts(plan: ReleasePlan, verified: VerifiedRelease, cascade: CascadeMetrics) -> list[str]:
    heads = plan.task.decision_heads
    exits = {each.tier: each.share for each in verified.exits}
    rows = [
        (
            tier,
            f"{verified.solved.costs_ms[tier]:.1f}",
            _percent(exits[tier]) if tier in exits else "0.0 %",
            *(
                f"{min(verified.solved.thresholds[tier][head], 1):.3f}" if place < len(plan.tier_ids) - 1 else ""
                for head in heads
            ),
            *(_percent(cascade.accuracies[tier][head]) for head in heads),
        )
        for place, tier in enumerate(plan.tier_ids)
    ]
    strongest = verified.solved.costs_ms[plan.tier_ids[-1]]
    cost = cascade.cost_ms
    share = f"{cost.mean:.1f} ({cost.low:.1f} to {cost.high:.1f}), {cost.mean / strongest:.1%} of the strongest tier"
    rows.append(
        (
            "**cascade**",
            share,
            "100 %",
            *("" for _ in heads),
            *(_percent(cascade.accuracies[CASCADE][each]) for each in heads),
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
        (what, *(_signed(by_head[head]) for head in heads))
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
        _cascade_promise(verified.solved.promise),
        *_kept(verified.solved.promise, cascade, heads),
        table(columns, rows),
        "What a stronger tier adds, and what the cascade leaves behind, in points, with 95 % intervals:",
        table(("difference", *heads), steps),
        "Other ways to answer, on the same photos:",
        table(("way", "ms an inspection", *heads), others),
        *(f"![Cost against accuracy of {head}](cost_{head}.svg)" for head in heads),
    ]


def _kept(promise: PromiseFacts | None, cascade: CascadeMetrics, heads: tuple[str, ...]) -> list[str]:
    """Says how another promise than that of the gap was kept; the gap has a line of its own."""
    if promise is None or promise.kind is PromiseKind.GAP:
        return []
    seen = ", ".join(f"{head} {_percent(cascade.losses[head])}" for head in heads)
    return [f"On val_test it covers {_percent(cascade.covered)} of the photos, and counts against it: {seen}."]


def _cascade_promise(promise: PromiseFacts | None) -> str:
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


def _exits_table(verified: VerifiedRelease) -> str:
    rows = (
        (
            each.tier,
            question.question,
            f"{each.specimen_count:,}",
            f"{question.accuracy:.2%}",
            f"{question.calibration_error:.2%}",
            f"{question.noise_floor:.2%}",
            f"{question.gap.estimate:+.2%}",
            f"{question.gap.low:+.2%} to {question.gap.high:+.2%}",
            "" if each.specimen_count >= LEAST_ITEMS else "insufficient labels",
        )
        for each in verified.exits
        for question in (head.whole for head in each.heads)
    )
    columns = ("tier", "question", "specimens", "accuracy", "ECE15", "chance", "gap", "gap's interval", "promised")
    return table(columns, rows)


def _alone(plan: ReleasePlan, verified: VerifiedRelease) -> str:
    rows = (
        (tier, *_answers_row(head.whole)[:5], *_answers_row(head.whole)[6:])
        for tier, each in zip(plan.tier_ids, verified.tiers, strict=True)
        for head in each.heads
    )
    columns = ("tier", *_ANSWER_COLUMNS[:5], *_ANSWER_COLUMNS[6:])
    return (
        "An answer that left the release's own path (a limit on the tier, a confidence of the caller's own, a degraded "
        "answer) has the meaning that was fitted on all photos. On all of val_test, each tier by itself:\n\n"
        f"{table(columns, rows)}"
    )


def _assurances(tiers: Iterable[tuple[str, tuple[AssuranceMetrics, ...]]]) -> str:
    rows = (
        (
            tier,
            each.question,
            f"{each.band_width:.3f}",
            f"{sum(quarter.is_held for quarter in each.quarters)} of {len(each.quarters)}",
            "" if each.set_target is None else f"{each.set_target:.0%}",
            "" if each.set_target is None else f"{each.set_coverage:.2%} ({each.set_low:.2%} to {each.set_high:.2%})",
            "" if each.set_target is None else f"{each.set_size:.2f}",
        )
        for tier, assurances in tiers
        for each in assurances
    )
    columns = ("tier", "question", "band's mean width", "quarters held", "sets promise", "sets hold", "labels in a set")
    return (
        "A *band* says where the true probability lies behind a confidence, with 95 % for each answer; a *set* holds "
        "the true label with the chance that it promises. Both were fitted on calibration photos, each under maps that "
        "were fitted without it; the figures are of one photo a specimen. A quarter is held if the share borne "
        f"out in it can be what the band says.\n\n{table(columns, rows)}"
    )


def _uncertainty(verified: VerifiedRelease) -> str:
    alarms = verified.false_alarms
    return (
        f"{alarms.mean:.2%} of the test photos ({alarms.low:.2%} to {alarms.high:.2%}) are called out of distribution "
        f"(set on calibration photos for {verified.tiers[0].calibrated.meaning.uncertainty.false_alarm_rate:.1%})."
    )


def _answers_table(questions: Iterable[QuestionMetrics]) -> str:
    return table(_ANSWER_COLUMNS, (_answers_row(each) for each in questions))


_ANSWER_COLUMNS = (
    "question",
    "photos",
    "specimens",
    "accuracy",
    "best possible",
    "log-loss",
    "ECE15",
    "chance",
    "gap",
    "gap's interval",
)


def _answers_row(question: QuestionMetrics) -> tuple[str, ...]:
    gap = question.gap
    return (
        question.question,
        str(question.photo_count),
        str(question.specimen_count),
        f"{question.accuracy:.2%}",
        "" if question.best_accuracy is None else f"{question.best_accuracy:.2%}",
        f"{question.log_loss:.4f}",
        f"{question.calibration_error:.2%}",
        f"{question.noise_floor:.2%}",
        f"{gap.estimate:+.2%}",
        f"{gap.low:+.2%} to {gap.high:+.2%}",
    )


def _attributes_part(head: HeadMetrics) -> str:
    return f"### {head.head}, one by one\n\n{_answers_table(head.attributes.values())}"


def _promise() -> str:
    return (
        "ECE15 is the calibration error over 15 bins, on one photo a specimen, because photos of one specimen share "
        "their labels. *Chance* is what a perfectly calibrated model would stay below on the same items: the 95th "
        f"percentile of {NOISE_FLOOR_DRAWS:,} draws of the labels from the confidences; for single attributes, the "
        "percentile at which all of them together fail by chance as seldom as one head. The *gap* is mean confidence "
        "in the answer minus accuracy, over all photos; its 95 % interval treats the photos of one specimen as "
        f"dependent, and may reach {LARGEST_GAP:.0%} on either side. For attributes the gap is promised for all of "
        f"them pooled. With fewer than {LEAST_ITEMS:,} specimens nothing would be promised."
    )


def _engines_table(plan: ReleasePlan, tiers: tuple[VerifiedEngine, ...]) -> str:
    rows = (
        (
            f"`{tier.model}`",
            f"{each.calibrated.engine.size_bytes / 1e6:.2f} MB",
            each.calibrated.engine.precision,
            each.calibrated.engine.target,
            f"{max(each.calibrated.engine.differences.values()):.2g}",
            "; ".join(
                f"{head}: {calibrator.name} on {calibrator.item_count:,} photos"
                for head, calibrator in each.calibrated.meaning.calibrators.items()
            ),
            f"`{each.calibrated.engine.sha256}`",
        )
        for tier, each in zip(plan.tiers, tiers, strict=True)
    )
    columns = ("model", "size", "precision", "target", "off the exported model by", "calibrators", "SHA-256")
    return (
        f"{table(columns, rows)}\n\nPrecisions that were tried. The fastest that may serve ships, or a smaller one "
        f"that is at most {WORTH - 1:.0%} slower:\n\n{_precisions_table(plan, tiers)}"
    )


def _precisions_table(plan: ReleasePlan, tiers: tuple[VerifiedEngine, ...]) -> str:
    rows = []
    for tier, each in zip(plan.tiers, tiers, strict=True):
        engine = each.calibrated.engine
        for tried in engine.candidates:
            verdict = "**ships**" if tried.precision == engine.precision else "may serve"
            labels = ", ".join(f"{head} {share:.1%}" for head, share in tried.agreement.items())
            size, speed = f"{tried.size_bytes / 1e6:.2f} MB", f"{tried.photo_ms:.1f}"
            losses = ", ".join(
                f"{head} {loss.mean:+.2%} (at most {loss.high:+.2%})" for head, loss in tried.losses.items()
            )
            rows.append((tier.tier, tried.precision, size, speed, labels, losses, tried.refused or verdict))
    columns = ("tier", "precision", "size", "ms a photo, one thread", "labels as exported", "accuracy lost", "verdict")
    return table(columns, rows)


def _provenance(plan: ReleasePlan) -> str:
    data = plan.tiers[0].checkpoint.file.data
    counts = ", ".join(f"{split} {count:,}" for split, count in data.photo_counts.items())
    last = StepRecord.read(plan.work_folder, "verify", command=plan.command("verify"))
    versions = plan.tiers[0].checkpoint.file.versions | last.versions
    rows = [
        ("data", f"index SHA-256 `{data.index_sha256}`; photos: {counts}"),
        ("commit at building", f"`{last.git_commit}`"),
        ("versions", ", ".join(f"{name} {number}" for name, number in sorted(versions.items()))),
    ]
    for tier in plan.tiers:
        rows += _tier_provenance(tier)
    commands = [data.command, *(tier.checkpoint.file.command for tier in plan.tiers), plan.command("release")]
    again = "\n".join(each for each in commands if each)
    return f"{table(('', ''), rows)}\n\nTo repeat it:\n\n```\n{again}\n```"


def _tier_provenance(plan: TierPlan) -> list[tuple[str, str]]:
    file = plan.checkpoint.file
    records = [StepRecord.read(plan.work_folder, step, command=plan.command(step)) for step in _TIER_STEPS]
    steps = ", ".join(f"{each.step} {each.duration_s:.0f} s" for each in records)
    trained = (
        f"SHA-256 `{plan.checkpoint.sha256}`, trained in {file.duration_s / 60:.1f} minutes at `{file.git_commit}`"
    )
    return [(f"{plan.tier}: checkpoint", trained), (f"{plan.tier}: steps", steps)]


def _percent(share: Estimate) -> str:
    return f"{share.mean:.2%} ({share.low:.2%} to {share.high:.2%})"


def _signed(share: Estimate) -> str:
    return f"{share.mean:+.2%} ({share.low:+.2%} to {share.high:+.2%})"
