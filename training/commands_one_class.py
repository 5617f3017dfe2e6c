"""The command `loupe-train one-class`: what a task reaches that has only ever seen good photos.

It only reads arguments and shows results.
"""

from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from server.domain.framing import Framing
from server.domain.task import Task
from training.checkpoint import load_network, read_checkpoint
from training.console import explained, progress_bar, tell_next
from training.one_class import Features, NetworkFeatures, TextureFeatures, judge_one_class
from training.task_file import SPLITS, load_task_file

app = typer.Typer(no_args_is_help=True, help="One class: learn from good photos alone.")

_SIZE_PX = 224


@app.command("one-class")
def one_class_command(
    task: Annotated[str, typer.Argument(help="The task, e.g. surface_defect.")],
    *,
    head: Annotated[str | None, typer.Option(help="A category head; the first decision head if not given.")] = None,
    good: Annotated[str, typer.Option(help="The label of good photos.")] = "good",
    run: Annotated[
        Path | None, typer.Option("--run", help="A run whose feature maps are used; random filters if not given.")
    ] = None,
    size_px: Annotated[int, typer.Option(min=32, help="Side of the photos; a run has its own.")] = _SIZE_PX,
    split: Annotated[str, typer.Option(help="The photos to judge.")] = "val_test",
    data: Annotated[Path | None, typer.Option("--data", help="The dataset's folder; data/<task> if not given.")] = None,
) -> None:
    """Fit the density of good photos of the train split, and judge another split by it."""
    console = Console()
    with explained(console):
        task_file = load_task_file(task)
        taxonomy = task_file.to_domain()
        wanted = next((each for each in SPLITS if each == split), None)
        if wanted is None:
            raise typer.BadParameter(f"{split!r} is none of {', '.join(SPLITS)}")
        features, side, framing = _features(run, taxonomy, size_px, task_file.framing)
        with progress_bar(console, "Judging photos") as on_photo:
            report = judge_one_class(
                features,
                data or Path("data") / task,
                taxonomy,
                head=taxonomy.head(head or taxonomy.decision_heads[0]),
                good=good,
                split=wanted,
                size_px=side,
                framing=framing,
                on_photo=on_photo,
            )
    table = Table("photos", "number", "median strangeness", "middle half", title=f"One class: {task} on {split}")
    for name, chosen in ((report.good, ~report.is_bad), ("all others", report.is_bad)):
        low, middle, high = np.quantile(report.scores[chosen], (0.25, 0.5, 0.75))
        table.add_row(name, str(int(chosen.sum())), f"{middle:.2f}", f"{low:.2f} to {high:.2f}")
    console.print(table)
    found = report.auroc
    console.print(
        f"AUROC {found.value:.3f} [{found.low:.3f}, {found.high:.3f}] (95 % over specimens),"
        f" learnt from {report.learnt_from} good photos and no other."
    )
    if run is not None:
        console.print("The run's own training may have seen other labels than good ones.")
    tell_next(console, "loupe-train", "train", task, "--tier", task_file.first_tier, data=data)


def _features(run: Path | None, task: Task, size_px: int, usual: Framing) -> tuple[Features, int, Framing]:
    """Returns what turns photos into maps, and side and framing of the photos that it takes: a run has its own."""
    if run is None:
        return TextureFeatures(), size_px, usual
    section = read_checkpoint(run).network
    return NetworkFeatures(load_network(run, task)), section.input_size_px, section.framing
