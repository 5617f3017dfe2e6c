"""The commands about data: `loupe-train render` and `loupe-train difficulty`.

They only read arguments and show results.
"""

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from training.console import explained, progress_bar, tell_next
from training.dataset import PhotoRecord, read_records
from training.difficulty import QuestionDifficulty, measure_difficulty
from training.group_bootstrap import Estimate
from training.render import render_dataset
from training.task_file import SPLITS, TaskFile, load_task_file
from training.workers import PROCESSORS

app = typer.Typer(no_args_is_help=True, help="Rendered data: make it, and check how hard it is.")

TaskArgument = Annotated[str, typer.Argument(help="The task, e.g. cannabis.")]
FolderOption = Annotated[Path | None, typer.Option("--output", help="The dataset's folder; data/<task> if not given.")]


@app.command()
def render(
    task: TaskArgument,
    *,
    workers: Annotated[int, typer.Option(min=1, help="Processes that render at once.")] = PROCESSORS,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Stop at the first chunk that reaches so many photos.")
    ] = None,
    output: FolderOption = None,
) -> None:
    """Renders a task's photos. Stopped and started again, it goes on where it was."""
    console = Console()
    with explained(console):
        task_file = load_task_file(task)
        folder = output or Path("data") / task
        with progress_bar(console, "Rendering") as on_chunk:
            summary = render_dataset(task_file, folder=folder, workers=workers, limit=limit, on_chunk=on_chunk)
        console.print(_counts_table(task_file, records=read_records(folder, task_id=task)))
        console.print(f"{summary.photo_count} photos of {summary.specimen_count} specimens in {folder}.")
        tell_next(console, "loupe-train", "difficulty", task, output=output)


def _counts_table(task: TaskFile, *, records: list[PhotoRecord]) -> Table:
    """Returns photos by label (rows) and split (columns)."""
    table = Table("head", "label", *SPLITS, title=f"Photos of {task.title}")
    for head in task.heads:
        counts: Counter[tuple[str, str]] = Counter()
        for record in records:
            present = record.labels[head.id]
            for label in (present,) if isinstance(present, str) else present:
                counts[label, record.split] += 1
        for label in head.labels:
            table.add_row(head.title, label, *(str(counts[label, split]) for split in SPLITS))
        table.add_section()
    totals = Counter(record.split for record in records)
    table.add_row("all", "", *(str(totals[split]) for split in SPLITS), style="bold")
    return table


@app.command()
def difficulty(
    task: TaskArgument,
    *,
    workers: Annotated[int, typer.Option(min=1, help="Processes that decode photos.")] = PROCESSORS,
    output: FolderOption = None,
) -> None:
    """Checks from outside how hard the rendered task is. Exit code 1 if it is out of its limits."""
    console = Console()
    with explained(console):
        task_file = load_task_file(task)
        renderer = task_file.rendering.renderer
        folder = output or Path("data") / task
        records = read_records(folder, task_id=task)
        with console.status(f"Fitting linear models on thumbnails of what {renderer} drew"):
            questions = measure_difficulty(task_file, records, folder=folder, workers=workers)
    console.print(_difficulty_table(task_file, questions=questions))
    console.print(
        "95 % intervals by bootstrap over specimens. Best possible: by the posteriors that its renderer knows."
    )
    if not all(question.passed for question in questions):
        console.print("[red]Out of limits.[/red] Change the parameters before any model is trained, never after.")
        raise typer.Exit(1)
    console.print("Within limits.")
    tell_next(console, "loupe-train", "train", task, "--tier", task_file.first_tier, data=output)


def _difficulty_table(task: TaskFile, *, questions: list[QuestionDifficulty]) -> Table:
    table = Table(
        "question", "figure", "commonest", "linear on 32x32", "best possible", "", title=f"How hard is {task.title}?"
    )
    for question in questions:
        limit, span = question.linear_limit, question.best_possible_range
        table.add_row(
            question.question,
            {"accuracy": "accuracy", "mcc": "MCC"}[question.measure],
            f"{question.commonest.value:.1%}",
            _shown(question.linear) + ("" if limit is None else f"  (≤ {limit:.0%})"),
            _shown(question.best_possible) + ("" if span is None else f"  ({span[0]:.0%} to {span[1]:.0%})"),
            "[green]ok[/green]" if question.passed else "[red]out[/red]",
        )
    return table


def _shown(estimate: Estimate) -> str:
    return f"{estimate.value:.1%} ± {(estimate.high - estimate.low) / 2:.1%}"
