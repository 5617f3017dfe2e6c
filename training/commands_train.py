"""The commands about networks: `loupe-train train` and `loupe-train evaluate`.

They only read arguments and show results.
"""

import logging
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, get_args

import torch
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from training.checkpoint import latest_run, load_network, read_checkpoint
from training.devices import is_leader
from training.errors import TrainingError
from training.evaluate import HeadReport, evaluate
from training.photo_data import open_splits
from training.progress import Follow
from training.recipe import Variant, Views
from training.refit import refit
from training.resume import latest_unfinished
from training.task_file import SPLITS, Split, load_task_file
from training.train import RunRequest, RunResult, resume, train

app = typer.Typer(no_args_is_help=True, help="Networks: train and evaluate them.")

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
    start_from: Annotated[
        str | None, typer.Option(help="A run's folder, or <task>/<tier>: its backbone's weights are the first.")
    ] = None,
    goes_on: Annotated[bool, typer.Option("--resume", help="Go on with a run that was killed.")] = False,
    run: Annotated[Path | None, typer.Option(help="With --resume: the run's folder; the newest if not given.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Two batches of everything; keeps nothing.")] = False,
) -> None:
    """Train one tier of a task."""
    console = Console(quiet=not is_leader())
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
            start_from=start_from,
            dry_run=dry_run,
            command=shlex.join(["loupe-train", *sys.argv[1:]]),
        )
        with _progress(console, "Preparing photos") as on_photos:
            if goes_on:
                folder = run or latest_unfinished(runs, task_id=task, tier=tier)
                result = resume(folder, request, on_photos=on_photos)
            else:
                result = train(request, on_photos=on_photos)
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


@app.command("evaluate")
def evaluate_command(
    task: TaskArgument,
    *,
    tier: TierOption = "fast",
    split: Annotated[str, typer.Option(help="train, val_select, val_calib or val_test.")] = "val_test",
    checkpoint: Annotated[Path | None, typer.Option(help="A run's folder; the newest if not given.")] = None,
    views: Annotated[int | None, typer.Option(help="1, 2, 4 or 8, in place of the checkpoint's own.")] = None,
    data: DataOption = None,
    runs: RunsOption = Path("runs"),
) -> None:
    """Report, head by head, what a trained network is worth."""
    console = Console()
    wanted = _split(split)
    with _explained(console):
        domain_task = load_task_file(task).to_domain()
        folder = checkpoint or latest_run(runs, task_id=task, tier=tier)
        section, recipe = read_checkpoint(folder).network, read_checkpoint(folder).training
        torch.set_num_threads(recipe.threads)
        with _progress(console, "Preparing photos") as on_photos:
            splits = open_splits(
                data or Path("data") / task,
                domain_task,
                splits=[wanted],
                size_px=section.input_size_px,
                on_progress=on_photos,
            )
        with console.status(f"Evaluating on {split}"):
            network = load_network(folder, domain_task)
            network.views = network.views if views is None else _views(views)
            reports = evaluate(network, splits[wanted], domain_task)
        console.print(_report_table(reports, title=f"{folder} on {split}"))
        console.print(f"Next: [bold]loupe-build release {task}[/bold]")


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


def _views(count: int) -> Views:
    for each in get_args(Views):
        if each == count:
            return each  # type: ignore[no-any-return]
    raise typer.BadParameter(f"{count} is none of {', '.join(map(str, get_args(Views)))}")


def _split(name: str) -> Split:
    for each in SPLITS:
        if each == name:
            return each
    raise typer.BadParameter(f"{name!r} is none of {', '.join(SPLITS)}")


def _show_run(console: Console, result: RunResult, *, dry_run: bool) -> None:
    checkpoint = result.checkpoint
    table = Table("metric on val_select", "value", title=f"{checkpoint.task_id} / {checkpoint.tier}")
    for name, value in sorted(checkpoint.metrics.items()):
        table.add_row(name, f"{value:.4f}")
    console.print(table)
    console.print(f"{checkpoint.duration_s:.0f} s in all{_share(checkpoint.trained_share)}.")
    if dry_run:
        callbacks = Table("callback", "what it does", title="The loop, in its order")
        for name, purpose in result.callbacks.items():
            callbacks.add_row(name, purpose)
        console.print(callbacks)
        console.print("Dry run: everything ran, nothing was kept.")
        console.print(f"Next: [bold]loupe-train train {checkpoint.task_id} --tier {checkpoint.tier}[/bold]")
    else:
        console.print(f"Checkpoint: {result.folder}")
        console.print(f"Next: [bold]loupe-train evaluate {checkpoint.task_id} --tier {checkpoint.tier}[/bold]")


def _share(trained_share: float | None) -> str:
    return "" if trained_share is None else f"; {trained_share:.2%} of the weights trained"


def _report_table(reports: tuple[HeadReport, ...], *, title: str) -> Table:
    table = Table("head", "photos", "accuracy", "best possible", "macro F1", "MCC", "log-loss", title=title)
    for report in reports:
        metrics = report.metrics
        table.add_row(
            report.head,
            str(report.photo_count),
            f"{metrics['accuracy']:.2%}",
            "" if report.best_accuracy is None else f"{report.best_accuracy:.2%}",
            f"{metrics['f1']:.3f}",
            f"{metrics['mcc']:.3f}" if "mcc" in metrics else "",
            f"{metrics['log_loss']:.4f}",
            style="bold",
        )
        for label, accuracy in report.label_accuracies.items():
            table.add_row(f"  {label}", "", f"{accuracy:.2%}", "", "", "", "")
    return table
