"""Step `report`: says in tables and pictures what was verified, where it came from, and how to do it again."""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from build_engines.diagrams import draw_reliability
from build_engines.gates import LARGEST_GAP, LEAST_ITEMS
from build_engines.measure import NOISE_FLOOR_DRAWS, HeadMetrics, QuestionMetrics
from build_engines.plan import BuildPlan
from build_engines.step_record import StepRecord
from build_engines.verify import VerifiedEngine, read_verified

STEP = "report"
REPORT_NAME = "report.md"
_RECORDED = ("export", "compile", "calibrate", "verify")


@dataclass(frozen=True, slots=True)
class Report:
    """What people read.

    Attributes:
        path: The page, in Markdown.
        diagrams: SVGs beside it.
    """

    path: Path
    diagrams: tuple[Path, ...]


def report(plan: BuildPlan) -> Report:
    """Writes the report of a verified engine.

    Raises:
        StepMissingError: Nothing was verified for this engine.
        GatesFailedError: A gate failed.
    """
    started = time.monotonic()
    verified = read_verified(plan)
    titles = {head.id: head.title for head in plan.checkpoint.task.heads}
    diagrams = tuple(_draw(head, plan.work_folder, title=titles[head.head]) for head in verified.heads)
    path = plan.work_folder / REPORT_NAME
    path.write_text(_page(plan, verified), encoding="utf-8")
    record = StepRecord.make(
        STEP,
        inputs={"engine": verified.calibrated.engine.sha256},
        outputs=(path, *diagrams),
        facts={},
        command=plan.command(STEP),
        duration_s=time.monotonic() - started,
    )
    record.write(plan.work_folder)
    return Report(path, diagrams)


def read_report(plan: BuildPlan) -> Report:
    """Reads what `report` left for this engine.

    Raises:
        StepMissingError: It left nothing, or something else.
    """
    record = StepRecord.read(plan.work_folder, STEP, command=plan.command(STEP))
    record.require_input("engine", read_verified(plan).calibrated.engine.sha256, command=plan.command(STEP))
    diagrams = tuple(plan.work_folder / name for name in record.outputs if name != REPORT_NAME)
    return Report(plan.work_folder / REPORT_NAME, diagrams)


def _draw(head: HeadMetrics, folder: Path, *, title: str) -> Path:
    path = folder / f"reliability_{head.head}.svg"
    pooled = " (pooled)" if head.attributes else ""
    draw_reliability(head.whole, path, title=f"{title}{pooled}")
    return path


def _page(plan: BuildPlan, verified: VerifiedEngine) -> str:
    gates = ((gate.name, gate.finding, "yes" if gate.passed else "NO") for gate in verified.gates)
    parts = [
        f"# {plan.checkpoint.task.title}, release {plan.number}",
        _introduction(plan),
        "## Answers",
        _answers_table(head.whole for head in verified.heads),
        *(_attributes_part(head) for head in verified.heads if head.attributes),
        "## Honesty of confidences",
        _promise(),
        *(f"![Reliability of {head.head}](reliability_{head.head}.svg)" for head in verified.heads),
        "## Bands and sets",
        _assurances(verified),
        "## Gates",
        _table(("gate", "found", "passed"), gates),
        "## Uncertainty",
        _uncertainty(verified),
        "## Engine",
        _engine_table(plan, verified),
        "## Where it comes from",
        _provenance(plan),
    ]
    return "\n\n".join(parts) + "\n"


def _introduction(plan: BuildPlan) -> str:
    file = plan.checkpoint.file
    return (
        f"One tier, `{plan.tier}`: {file.network.backbone} at {file.network.input_size_px} px, {file.variant} variant. "
        "It is the last tier, so its thresholds lie above 1: no confidence lets a photo stop earlier, and every answer "
        "says that it came from the last tier. All figures are of val_test, photos of specimens that neither training "
        "nor calibration saw, through the Triton ensemble that serves."
    )


def _assurances(verified: VerifiedEngine) -> str:
    rows = (
        (
            each.question,
            f"{each.band_width:.3f}",
            f"{sum(quarter.is_held for quarter in each.quarters)} of {len(each.quarters)}",
            "" if each.set_target is None else f"{each.set_target:.0%}",
            "" if each.set_target is None else f"{each.set_coverage:.2%} ({each.set_low:.2%} to {each.set_high:.2%})",
            "" if each.set_target is None else f"{each.set_size:.2f}",
        )
        for each in verified.assurances
    )
    columns = ("question", "band's mean width", "quarters held", "sets promise", "sets hold", "labels in a set")
    return (
        "A *band* says where the true probability lies behind a confidence, with 95 % for each answer; a *set* holds "
        "the true label with the chance that it promises. Both were fitted on calibration photos, each under maps that "
        "were fitted without it; the figures are of one photo a specimen. A quarter is held if the share borne "
        f"out in it can be what the band says.\n\n{_table(columns, rows)}"
    )


def _uncertainty(verified: VerifiedEngine) -> str:
    return (
        f"{verified.false_alarm_rate:.2%} of the test photos are called out of distribution "
        f"(set on calibration photos for {verified.calibrated.uncertainty.false_alarm_rate:.0%})."
    )


def _answers_table(questions: Iterable[QuestionMetrics]) -> str:
    columns = (
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
    return _table(columns, (_answers_row(each) for each in questions))


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


def _engine_table(plan: BuildPlan, verified: VerifiedEngine) -> str:
    engine, calibrated = verified.calibrated.engine, verified.calibrated
    maps = ", ".join(
        f"{head}: {each.name} on {each.item_count:,} photos" for head, each in calibrated.calibrators.items()
    )
    rows = (
        ("model", f"`{plan.model}`"),
        ("file", f"{engine.size_bytes / 1e6:.2f} MB, SHA-256 `{engine.sha256}`"),
        ("precision", f"{engine.precision}, compiled for {engine.target}"),
        ("largest difference from the exported model", f"{max(engine.differences.values()):.2g}"),
        ("calibrators", maps),
    )
    return _table(("", ""), rows)


def _provenance(plan: BuildPlan) -> str:
    file = plan.checkpoint.file
    records = [StepRecord.read(plan.work_folder, step, command=plan.command(step)) for step in _RECORDED]
    versions = file.versions | records[-1].versions
    counts = ", ".join(f"{split} {count:,}" for split, count in file.data.photo_counts.items())
    commands = [file.data.command, file.command, plan.command("release")]
    rows = (
        ("data", f"index SHA-256 `{file.data.index_sha256}`; photos: {counts}"),
        ("checkpoint", f"SHA-256 `{plan.checkpoint.sha256}`, trained in {file.duration_s / 60:.1f} minutes"),
        ("commit at training", f"`{file.git_commit}`"),
        ("commit at building", f"`{records[-1].git_commit}`"),
        ("versions", ", ".join(f"{name} {number}" for name, number in sorted(versions.items()))),
        *((f"step {each.step}", f"{each.duration_s:.0f} s") for each in records),
    )
    again = "\n".join(each for each in commands if each)
    return f"{_table(('', ''), rows)}\n\nTo repeat it:\n\n```\n{again}\n```"


def _table(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = list(columns)
    lines = [head, ["---"] * len(head), *([str(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
