"""The command `loupe-train import`: it only reads arguments and shows results."""

import shlex
import sys
from collections import Counter
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from training.console import explained, progress_bar, tell_next
from training.near_duplicates import NearDuplicateSection
from training.place_sampling import warn_of_low_coverage
from training.sources.dagm import DagmSource
from training.sources.feedback import FeedbackSource
from training.sources.found_photo import Source
from training.sources.import_dataset import ImportReport, ImportRequest, import_dataset
from training.sources.local_folder import open_folder
from training.sources.mvtec import GOOD, open_mvtec
from training.sources.read_photos import LEAST_PHOTOS
from training.task_file import SPLITS, TaskFile, load_task_file
from training.workers import PROCESSORS

app = typer.Typer(no_args_is_help=True, help="Your own photos: turn them into a dataset.")


class Kind(StrEnum):
    """What kinds of sources there are."""

    FOLDER = "folder"
    HUGGING_FACE = "hugging-face"
    MVTEC = "mvtec"
    DAGM = "dagm"
    FEEDBACK = "feedback"


class BadPhotos(StrEnum):
    """What to do with photos that cannot be used."""

    SKIP = "skip"
    STOP = "stop"


@app.command("import")
def import_command(
    task: Annotated[str, typer.Argument(help="The task whose heads the labels answer.")],
    path: Annotated[str, typer.Argument(help="The folder, the export, or the name of the dataset.")],
    *,
    kind: Annotated[Kind, typer.Option("--from", help="What lies there.")] = Kind.FOLDER,
    table: Annotated[Path | None, typer.Option(help="The CSV or JSONL file, if the folder holds several.")] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(help="USE=COLUMN, e.g. photo=file, group=tile, or HEAD=@folder for the folder's name."),
    ] = None,
    label: Annotated[
        list[str] | None, typer.Option(help="NAME=LABEL, the source's name and the task's; '*=defect' for all others.")
    ] = None,
    head: Annotated[str | None, typer.Option(help="The head that folders answer; the first decision head.")] = None,
    on_bad: Annotated[BadPhotos, typer.Option(help="Photos that cannot be used: skip and count, or stop.")] = (
        BadPhotos.SKIP
    ),
    least: Annotated[int, typer.Option(min=1, help="A label with fewer photos is empty.")] = LEAST_PHOTOS,
    near_distance: Annotated[
        int, typer.Option(min=0, max=127, help="Bits of 256 in which photos of the same thing may differ.")
    ] = NearDuplicateSection().max_distance,
    in_place: Annotated[bool, typer.Option("--in-place", help="Refer to the photos in place of copying them.")] = False,
    adds: Annotated[
        bool, typer.Option("--add", help="Keep the photos that the dataset holds; else they leave its index.")
    ] = False,
    workers: Annotated[int, typer.Option(min=1, help="Threads that decode.")] = PROCESSORS,
    output: Annotated[Path | None, typer.Option("--output", help="The dataset's folder; data/<task>.")] = None,
) -> None:
    """Turns photos and labels into a dataset with checked splits. Run again, it keeps every photo on its side."""
    console = Console()
    asked, names = _pairs(column, "--column"), _pairs(label, "--label")
    with explained(console):
        task_file = load_task_file(task)
        request = ImportRequest(
            task=task_file,
            source=_open_source(kind, path, task_file, head=head, table=table, asked=asked),
            kind=kind.value,
            output=output or Path("data") / task,
            on_bad=on_bad.value,
            label_names=names,
            least_photos=least,
            near=NearDuplicateSection(max_distance=near_distance),
            in_place=in_place,
            adds=adds,
            workers=workers,
            command=shlex.join(["loupe-train", *sys.argv[1:]]),
        )
        with (
            progress_bar(console, "Reading photos") as on_photo,
            progress_bar(console, "Comparing photos") as on_pair,
        ):
            report = import_dataset(request, on_photo=on_photo, on_pair=on_pair)
        if report.placed_count:
            warn_of_low_coverage(report.placed_count, report.summary.photo_count)
        _show(console, report, request, least=least)


def _open_source(
    kind: Kind, path: str, task: TaskFile, *, head: str | None, table: Path | None, asked: dict[str, str]
) -> Source:
    heads, answered = [each.id for each in task.heads], head or task.decision_heads[0]
    if answered not in heads:
        raise typer.BadParameter(f"{answered!r} is none of {', '.join(heads)}")
    match kind:
        case Kind.FOLDER:
            return open_folder(Path(path), heads=heads, decision_head=answered, table=table, asked=asked)
        case Kind.HUGGING_FACE:
            # It takes seconds to load, and no other kind needs it.
            from training.sources.hugging_face import HuggingFaceSource  # noqa: PLC0415

            return HuggingFaceSource(path, heads, asked)
        case Kind.MVTEC:
            return open_mvtec(Path(path), head=answered, labels=task.head(answered).labels)
        case Kind.DAGM:
            return DagmSource(Path(path), answered, one_class_label=GOOD)
        case Kind.FEEDBACK:
            return FeedbackSource(Path(path), task.id)


def _pairs(written: list[str] | None, option: str) -> dict[str, str]:
    pairs = {}
    for each in written or []:
        name, equals, value = each.partition("=")
        if not (name and equals and value):
            raise typer.BadParameter(f"{option} is written NAME=VALUE, not {each!r}")
        pairs[name] = value
    return pairs


def _show(console: Console, report: ImportReport, request: ImportRequest, *, least: int) -> None:
    summary = report.summary
    if report.problems:
        table = Table("what", "photos", "became of them", "the first one", title="Not as it should be")
        outcomes = Counter((each.reason, each.left_out) for each in report.problems)
        for (reason, left_out), count in outcomes.most_common():
            first = next(each for each in report.problems if each.reason == reason)
            named = f"{first.photo}: {first.detail}" if first.detail else first.photo
            table.add_row(reason, str(count), "left out" if left_out else "kept without it", escape(named))
        console.print(table)
    if report.rare_labels:
        rare = ", ".join(f"{name} {count}" for name, count in report.rare_labels.items())
        console.print(f"[yellow]Fewer than {least} photos: {rare}.[/yellow]", highlight=False)
    splits = Table("split", "photos")
    for split in SPLITS:
        splits.add_row(split, str(summary.photos_by_split[split]))
    console.print(splits)
    console.print(f"{summary.photo_count} photos of {summary.specimen_count} specimens in {request.output}.")
    if report.joined_groups:
        console.print(f"{report.joined_groups} groups were joined to others: photos of both show the same thing.")
    usual = request.output == Path("data") / summary.task
    tell_next(console, "loupe-train", "audit", summary.task, data=None if usual else request.output)
