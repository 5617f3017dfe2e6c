"""The commands that make networks: `loupe-train train` and `loupe-train refit`.

They only read arguments and show results.
"""

import logging
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, get_args

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from training.errors import TrainingError
from training.progress import Follow
from training.recipe import Variant
from training.task_file import load_task_file
from training.tracking import MlflowOption, NoMlflowOption, local_uri, tracked_run
from training.train import RunRequest, RunResult, refit, train

app = typer.Typer(no_args_is_help=True, help="Networks: train them.")

TaskArgument = Annotated[str, typer.Argument(help="The task, e.g. cannabis.")]
TierOption = Annotated[str, typer.Option(help="The tier, e.g. fast.")]
DataOption = Annotated[Path | None, typer.Option("--data", help="The dataset's folder; data/<task> if not given.")]
RunsOption = Annotated[Path, typer.Option("--runs", help="Where run folders lie.")]


@app.command("train")
def train_command(
    task: TaskArgument,
    *,
    tier: TierOption = "fast",
    variant: Annotated[str, typer.Option(help="demo or production.")] = "demo",
    data: DataOption = None,
    runs: RunsOption = Path("runs"),
    seed: Annotated[int | None, typer.Option(min=0, help="Replaces the recipe's seed.")] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Replaces the recipe's epochs.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Two batches of everything; keeps nothing.")] = False,
    mlflow: MlflowOption = None,
    no_mlflow: NoMlflowOption = False,
) -> None:
    """Train one tier of a task."""
    console = Console()
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    with _explained(console):
        request = RunRequest(
            task=load_task_file(task),
            tier=tier,
            variant=_variant(variant),
            data_folder=data or Path("data") / task,
            runs_folder=runs,
            seed=seed,
            epochs=epochs,
            dry_run=dry_run,
            command=shlex.join(["loupe-train", *sys.argv[1:]]),
        )
        uri = None if no_mlflow or dry_run else mlflow or local_uri(runs)
        with _progress(console, "Preparing photos") as on_photos, tracked_run(uri, request) as tracker:
            result = train(request, on_photos=on_photos, callbacks=tracker.callbacks)
            tracker.keep(result)
        _show_run(console, result, dry_run=dry_run)


@app.command("refit")
def refit_command(
    task: TaskArgument,
    *,
    tier: TierOption = "fast",
    variant: Annotated[str, typer.Option(help="demo or production.")] = "demo",
    data: DataOption = None,
    runs: RunsOption = Path("runs"),
) -> None:
    """Give the newest run's weights the task file's number of views."""
    console = Console()
    with _explained(console):
        request = RunRequest(
            task=load_task_file(task),
            tier=tier,
            variant=_variant(variant),
            data_folder=data or Path("data") / task,
            runs_folder=runs,
            command=shlex.join(["loupe-train", *sys.argv[1:]]),
        )
        with _progress(console, "Preparing photos") as on_photos:
            result = refit(request, on_photos=on_photos)
        _show_run(console, result, dry_run=False)


@contextmanager
def _explained(console: Console) -> Iterator[None]:
    """Turns a typed error into two lines and exit code 2."""
    try:
        yield
    except TrainingError as error:
        console.print(f"[red]{error.cause}[/red]\n{error.cure}", highlight=False)
        raise typer.Exit(2) from error


@contextmanager
def _progress(console: Console, what: str) -> Iterator[Follow]:
    """Shows a bar from the first call until all is done; a cache hit never calls, and shows nothing."""
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=console)
    task = bar.add_task(what, total=None)

    def follow(done: int, total: int) -> None:
        bar.start()
        bar.update(task, completed=done, total=total)
        if done == total:
            bar.stop()

    try:
        yield follow
    finally:
        bar.stop()


def _variant(name: str) -> Variant:
    for each in get_args(Variant):
        if each == name:
            return each  # type: ignore[no-any-return]
    raise typer.BadParameter(f"{name!r} is neither demo nor production")


def _show_run(console: Console, result: RunResult, *, dry_run: bool) -> None:
    checkpoint = result.checkpoint
    table = Table("metric on val_select", "value", title=f"{checkpoint.task_id} / {checkpoint.tier}")
    for name, value in sorted(checkpoint.metrics.items()):
        table.add_row(name, f"{value:.4f}")
    console.print(table)
    console.print(f"Callbacks: {', '.join(result.callbacks)}; {checkpoint.duration_s:.0f} s in all.")
    if dry_run:
        console.print("Dry run: everything ran, nothing was kept.")
    else:
        console.print(f"Checkpoint: {result.folder}")
        console.print(f"Next: [bold]loupe-train evaluate {checkpoint.task_id} --tier {checkpoint.tier}[/bold]")
