"""The commands that make networks: `loupe-train train` and `loupe-train refit`.

They only read arguments and show results.
"""

import logging
import shlex
import sys
from pathlib import Path
from typing import Annotated, get_args

import typer
from rich.console import Console
from rich.table import Table

from training.console import explained, progress_bar, tell_next
from training.devices import is_leader
from training.epochs_option import EpochsOption, stages_of
from training.recipe import Variant
from training.refit import refit
from training.resume import latest_unfinished
from training.task_file import load_task_file
from training.tracking import MlflowOption, NoMlflowOption, local_uri, tracked_run
from training.train import RunRequest, RunResult, resume, train

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
    epochs: EpochsOption = None,
    learning_rate: Annotated[float | None, typer.Option(min=1e-9, help="Replaces the recipe's.")] = None,
    start_from: Annotated[
        str | None, typer.Option(help="A run's folder, or <task>/<tier>: its weights are the first.")
    ] = None,
    by_place: Annotated[
        bool | None,
        typer.Option("--by-place/--uniform", help="Whether photos from near the target places are drawn more often."),
    ] = None,
    goes_on: Annotated[bool, typer.Option("--resume", help="Go on with a run that was killed.")] = False,
    run: Annotated[Path | None, typer.Option(help="With --resume: the run's folder; the newest if not given.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Two batches of everything; keeps nothing.")] = False,
    mlflow: MlflowOption = None,
    no_mlflow: NoMlflowOption = False,
) -> None:
    """Train one tier of a task."""
    console = Console(quiet=not is_leader())
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    with explained(console):
        request = RunRequest(
            task=load_task_file(task),
            tier=tier,
            variant=_variant(variant),
            data_folder=data or Path("data") / task,
            runs_folder=runs,
            seed=seed,
            stages=stages_of(epochs),
            learning_rate=learning_rate,
            start_from=start_from,
            by_place=by_place,
            dry_run=dry_run,
            command=shlex.join(["loupe-train", *sys.argv[1:]]),
        )
        uri = None if no_mlflow or dry_run else mlflow or local_uri(runs)
        with progress_bar(console, "Looking at photos") as on_photos, tracked_run(uri, request) as tracker:
            if goes_on:
                folder = run or latest_unfinished(runs, task_id=task, tier=tier)
                result = resume(folder, request, on_photos=on_photos, callbacks=tracker.callbacks)
            else:
                result = train(request, on_photos=on_photos, callbacks=tracker.callbacks)
            tracker.keep(result)
        _show_run(console, result, request, dry_run=dry_run)


@app.command("refit")
def refit_command(
    task: TaskArgument,
    *,
    tier: TierOption = "fast",
    variant: Annotated[str, typer.Option(help="demo or production.")] = "demo",
    data: DataOption = None,
    runs: RunsOption = Path("runs"),
) -> None:
    """Give the newest run's weights the task file's number of views, and a feature density that is fitted anew."""
    console = Console()
    with explained(console):
        request = RunRequest(
            task=load_task_file(task),
            tier=tier,
            variant=_variant(variant),
            data_folder=data or Path("data") / task,
            runs_folder=runs,
            command=shlex.join(["loupe-train", *sys.argv[1:]]),
        )
        with progress_bar(console, "Looking at photos") as on_photos:
            result = refit(request, on_photos=on_photos)
        _show_run(console, result, request, dry_run=False)


def _variant(name: str) -> Variant:
    for each in get_args(Variant):
        if each == name:
            return each  # type: ignore[no-any-return]
    raise typer.BadParameter(f"{name!r} is neither demo nor production")


def _show_run(console: Console, result: RunResult, request: RunRequest, *, dry_run: bool) -> None:
    checkpoint = result.checkpoint
    table = Table("metric on val_select", "value", title=f"{checkpoint.task_id} / {checkpoint.tier}")
    for name, value in sorted(checkpoint.metrics.items()):
        table.add_row(name, f"{value:.4f}")
    console.print(table)
    precision = f", {checkpoint.precision}" if checkpoint.precision else ""
    console.print(f"{checkpoint.duration_s:.0f} s in all{precision}{_share(checkpoint.trained_share)}.")
    if dry_run:
        callbacks = Table("callback", "what it does", title="The loop, in its order")
        for name, purpose in result.callbacks.items():
            callbacks.add_row(name, purpose)
        console.print(callbacks)
        console.print("Dry run: everything ran, nothing was kept.")
        tell_next(console, *(word for word in shlex.split(request.command) if word != "--dry-run"))
    else:
        console.print(f"Checkpoint: {result.folder}")
        evaluate = ("loupe-train", "evaluate", checkpoint.task_id, "--tier", checkpoint.tier)
        usual = request.data_folder == Path("data") / checkpoint.task_id
        tell_next(
            console,
            *evaluate,
            data=None if usual else request.data_folder,
            runs=None if request.runs_folder == Path("runs") else request.runs_folder,
        )


def _share(trained_share: float | None) -> str:
    return "" if trained_share is None else f"; {trained_share:.2%} of the weights trained"
