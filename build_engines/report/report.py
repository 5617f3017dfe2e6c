"""Step `report`: says in tables and pictures what was verified, where it came from, and how to do it again."""

import time
from dataclasses import dataclass
from pathlib import Path

from build_engines.cascade_solver import SelectivePromise
from build_engines.markdown import table
from build_engines.plan import ReleasePlan, TierPlan
from build_engines.report.answers_part import (
    answers_table,
    assurances_part,
    attributes_part,
    exits_table,
    honesty,
    tiers_alone,
    uncertainty_part,
)
from build_engines.report.cascade_part import cascade_parts
from build_engines.report.engines_part import engines_part, origin
from build_engines.report.pictures import (
    ASSURANCES_NAME,
    draw_all_assurances,
    draw_all_costs,
    draw_all_reliability,
)
from build_engines.served_answers import VerifiedRelease, read_verified_release, verified_path
from build_engines.step_record import StepRecord, file_sha256
from server.domain.framing import Framing

STEP = "report"
REPORT_NAME = "report.md"


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
    diagrams = (
        *draw_all_reliability(plan, verified),
        draw_all_assurances(plan, verified),
        *draw_all_costs(plan, verified),
    )
    path = plan.work_folder / REPORT_NAME
    path.write_text(_page(plan, verified), encoding="utf-8")
    record = StepRecord.make(
        STEP,
        inputs=_inputs(plan, verified),
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
    for name, sha256 in _inputs(plan, read_verified_release(plan)).items():
        record.require_input(name, sha256, command=plan.command(STEP))
    diagrams = tuple(plan.work_folder / name for name in record.outputs if name != REPORT_NAME)
    return Report(plan.work_folder / REPORT_NAME, diagrams)


def _inputs(plan: ReleasePlan, verified: VerifiedRelease) -> dict[str, str]:
    engines = {tier: each.calibrated.engine.sha256 for tier, each in zip(plan.tier_ids, verified.tiers, strict=True)}
    return {**engines, "verified": file_sha256(verified_path(plan))}


def _page(plan: ReleasePlan, verified: VerifiedRelease) -> str:
    gates = ((gate.name, gate.finding, "yes" if gate.passed else "NO") for gate in verified.gates)
    cascade = verified.cascade
    parts = [
        f"# {plan.task.title}, release {plan.number}",
        _introduction(plan),
        "## Answers",
        answers_table(head.whole for head in verified.heads),
        *(attributes_part(head) for head in verified.heads if head.attributes),
        *([] if cascade is None else cascade_parts(plan, verified, cascade)),
        "## Honesty of confidences",
        honesty(),
        *(f"![Reliability of {head.head}](reliability_{head.head}.svg)" for head in verified.heads),
        *([] if cascade is None else ["### Tier by tier, on the photos that stop there", exits_table(verified)]),
        "## Bands and sets",
        f"![What bands and sets say, and what was seen]({ASSURANCES_NAME})",
        assurances_part([(each.tier, each.assurances) for each in verified.exits]),
        "## Gates",
        table(("gate", "found", "passed"), gates),
        "## Uncertainty",
        uncertainty_part(verified),
        *([] if cascade is None else ["## Each tier alone", tiers_alone(plan, verified)]),
        "## Engines",
        engines_part(plan, verified.tiers),
        "## Where it comes from",
        origin(plan),
    ]
    return "\n\n".join(parts) + "\n"


def _introduction(plan: ReleasePlan) -> str:
    networks = [f"`{tier.tier}` ({_network(tier)})" for tier in plan.tiers]
    tiers = f"One tier, {networks[0]}." if len(networks) == 1 else f"{len(networks)} tiers: {', '.join(networks)}."
    last = (
        "The last tier has thresholds too: what misses them is for a person."
        if isinstance(plan.promise, SelectivePromise) and len(networks) > 1
        else "The thresholds of the last tier lie above 1: no confidence is asked for there, and its answers say that "
        "they came from the last tier."
    )
    return (
        f"{tiers} {plan.tiers[0].checkpoint.file.variant.capitalize()} variant. {last} All figures are of val_test, "
        "photos of specimens that neither training nor calibration saw, through the Triton ensembles that serve."
    )


def _network(tier: TierPlan) -> str:
    network = tier.checkpoint.file.network
    views = "" if network.views == 1 else f", in {network.views} views"
    whole = ", whole photos" if network.framing is Framing.WHOLE else ""
    return f"{network.backbone} at {network.seen_size_px} px{views}{whole}"
