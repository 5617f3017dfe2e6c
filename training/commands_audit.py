"""The command `loupe-train audit`: it only reads arguments and shows results."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from training.audit.audit_dataset import audit_dataset
from training.audit.collection_plan import PLAN_NAME, combinations_of, plan_text
from training.audit.findings import AUDIT_NAME, DatasetAudit
from training.audit.gaps import Gap, find_gaps
from training.audit.pictures import DISTRIBUTIONS_NAME, SAMPLES_NAME, draw_distributions, draw_samples
from training.console import explained, progress_bar, tell_next
from training.near_duplicates import NearDuplicateSection
from training.place_sampling import warn_of_low_coverage
from training.task_file import SPLITS, load_task_file
from training.workers import PROCESSORS

app = typer.Typer(no_args_is_help=True, help="What a dataset holds, and what it lacks.")

_SHOWN_GAPS = 5


@app.command("audit")
def audit_command(
    task: Annotated[str, typer.Argument(help="The task, e.g. cannabis.")],
    *,
    data: Annotated[Path | None, typer.Option("--data", help="The dataset's folder; data/<task> if not given.")] = None,
    output: Annotated[
        Path | None, typer.Option("--output", help="Where the report goes; the dataset's folder.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Look at so many photos, drawn at random.")] = None,
    near_distance: Annotated[
        int, typer.Option(min=0, max=127, help="Bits of 256 in which photos of the same thing may differ.")
    ] = NearDuplicateSection().max_distance,
    workers: Annotated[int, typer.Option(min=1, help="Threads that decode.")] = PROCESSORS,
) -> None:
    """Finds what a dataset holds, what is wrong with it, and what to collect. Exit code 1 if its splits leak."""
    console = Console()
    with explained(console):
        task_file = load_task_file(task)
        folder = data or Path("data") / task
        domain_task = task_file.to_domain()
        with (
            progress_bar(console, "Looking at photos") as on_photo,
            progress_bar(console, "Comparing photos") as on_pair,
        ):
            audited = audit_dataset(
                task_file,
                folder,
                limit=limit,
                near=NearDuplicateSection(max_distance=near_distance),
                workers=workers,
                on_photo=on_photo,
                on_pair=on_pair,
            )
        findings = audited.findings
        gaps = find_gaps(findings, task_file, combinations=combinations_of(audited.records, domain_task))
        target = output or folder
        target.mkdir(parents=True, exist_ok=True)
        with console.status("Drawing"):
            (target / AUDIT_NAME).write_text(findings.model_dump_json(indent=2) + "\n", encoding="utf-8")
            (target / PLAN_NAME).write_text(plan_text(findings, gaps), encoding="utf-8")
            framing = task_file.framing
            draw_samples(audited, folder, task=domain_task, framing=framing, target=target / SAMPLES_NAME)
            draw_distributions(audited, task=domain_task, target=target / DISTRIBUTIONS_NAME)
        if findings.place_coverage > 0:
            warn_of_low_coverage(round(findings.place_coverage * findings.photo_count), findings.photo_count)
    console.print(_faults_table(findings))
    console.print(_splits_table(findings))
    if gaps:
        console.print(_gaps_table(gaps))
    console.print(f"Written to {target}: {AUDIT_NAME}, {PLAN_NAME}, {SAMPLES_NAME}, {DISTRIBUTIONS_NAME}.")
    if findings.leaks:
        console.print(f"[red]The splits leak:[/red] {findings.leaks[0]}. Import the photos again before you train.")
        raise typer.Exit(1)
    tell_next(console, "loupe-train", "train", task, "--tier", task_file.first_tier, data=data)


def _faults_table(audit: DatasetAudit) -> Table:
    looked = f"{audit.decoded_count:,} of {audit.photo_count:,} photos looked at"
    table = Table("what", "found", title=f"{audit.task}: {looked}")
    counts = {
        "corrupt photos": len(audit.corrupt),
        "sets of equal bytes": len(audit.copies),
        "near-duplicates across specimens": len(audit.near_duplicates),
        "label conflicts": len(audit.conflicts),
        "leaks between splits": len(audit.leaks),
    }
    for what, count in counts.items():
        table.add_row(what, f"{count:,}", style="red" if count else "")
    return table


def _splits_table(audit: DatasetAudit) -> Table:
    table = Table("split", "photos", "specimens", "share", "allowed", title=f"{audit.specimen_count:,} specimens")
    for split in SPLITS:
        size = audit.splits[split]
        low, high = size.allowed_specimens
        table.add_row(
            split,
            f"{size.photos:,}",
            f"{size.specimens:,}",
            f"{size.specimen_share:.1%}",
            f"{low:,} to {high:,}",
            style="" if low <= size.specimens <= high else "yellow",
        )
    return table


def _gaps_table(gaps: tuple[Gap, ...]) -> Table:
    table = Table("collect", "specimens", "there are", title=f"The most worthwhile of {len(gaps)} gaps")
    for gap in gaps[:_SHOWN_GAPS]:
        table.add_row(gap.what, f"{gap.missing:,}", f"{gap.found:,} of {gap.wanted:,}")
    return table
