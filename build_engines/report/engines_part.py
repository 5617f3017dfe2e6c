"""What the page says of engines: what ships and why, where it comes from, and how to do it again."""

from build_engines.compile import WORTH
from build_engines.markdown import table
from build_engines.plan import ReleasePlan, TierPlan
from build_engines.step_record import StepRecord
from build_engines.verify import VerifiedEngine

_TIER_STEPS = ("export", "compile", "calibrate", "verify")


def engines_part(plan: ReleasePlan, tiers: tuple[VerifiedEngine, ...]) -> str:
    """Returns the table of engines, and that of the precisions that were tried."""
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


def origin(plan: ReleasePlan) -> str:
    """Returns data, commit, versions, and the commands that repeat the release."""
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
