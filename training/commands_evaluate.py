"""The commands about trained networks: `loupe-train evaluate` and `loupe-train newest`.

It only reads arguments and shows results.
"""

import json
import shlex
import sys
from pathlib import Path
from typing import Annotated, get_args

import typer
from rich.console import Console
from rich.table import Table

from training.checkpoint import CHECKPOINT_NAME, file_sha256, latest_run
from training.console import explained, progress_bar, tell_next
from training.evaluate import HeadReport
from training.recipe import Views
from training.report.evaluation import Evaluation, EvaluationRequest, headline_metrics, measure
from training.report.page import write_page
from training.task_file import SPLITS, Split, load_task_file
from training.tracking import MlflowOption, NoMlflowOption, local_uri, track_evaluation

app = typer.Typer(no_args_is_help=True, help="Trained networks: what they are worth.")


@app.command("evaluate")
def evaluate_command(
    task: Annotated[str, typer.Argument(help="The task, e.g. cannabis.")],
    *,
    tier: Annotated[str, typer.Option(help="The tier, e.g. fast.")] = "fast",
    split: Annotated[str, typer.Option(help="train, val_select, val_calib or val_test.")] = "val_test",
    checkpoint: Annotated[
        Path | None, typer.Option("--run", "--checkpoint", help="A run's folder; the newest if not given.")
    ] = None,
    views: Annotated[int | None, typer.Option(help="1, 2, 4 or 8, in place of the checkpoint's own.")] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Photos to look at, evenly spaced; all if not given.")
    ] = None,
    ood: Annotated[Path | None, typer.Option("--ood", help="A folder of photos of no kind that the task has.")] = None,
    output: Annotated[
        Path | None, typer.Option("--output", help="The page's folder; reports/<task>/<tier> if not given.")
    ] = None,
    data: Annotated[Path | None, typer.Option("--data", help="The dataset's folder; data/<task> if not given.")] = None,
    runs: Annotated[Path, typer.Option("--runs", help="Where run folders lie.")] = Path("runs"),
    mlflow: MlflowOption = None,
    no_mlflow: NoMlflowOption = False,
) -> None:
    """Report, head by head, what a trained network is worth, and write it as a page with pictures."""
    console = Console()
    wanted = _split(split)
    with explained(console):
        task_file = load_task_file(task)
        request = EvaluationRequest(
            folder=checkpoint or latest_run(runs, task_id=task, tier=tier),
            task=task_file.to_domain(),
            data_folder=data or Path("data") / task,
            split=wanted,
            limit=limit,
            views=None if views is None else _views(views),
            ood_folder=ood,
            targets=task_file.training.sampling if task_file.training.sampling.has_targets else None,
            command=shlex.join(["loupe-train", *sys.argv[1:]]),
        )
        with progress_bar(console, "Preparing photos") as prepared, progress_bar(console, "Asking") as asked:
            evaluation = measure(request, on_prepared=prepared, on_asked=asked)
        with console.status("Drawing"):
            page = write_page(evaluation, output or Path("reports") / task / tier)
        if not no_mlflow:
            figures = headline_metrics(evaluation)
            track_evaluation(mlflow or local_uri(runs), request.folder, metrics=figures, page_folder=page.parent)
    console.print(_report_table(evaluation.reports, title=f"{request.folder} on {split}"))
    if evaluation.by_place:
        console.print(_places_table(evaluation))
    console.print(_doubts_table(evaluation))
    console.print(f"Page: {page}")
    tell_next(console, "loupe-build", "release", task, data=data, runs=None if runs == Path("runs") else runs)


@app.command("newest")
def newest_command(
    task: Annotated[str, typer.Argument(help="The task, e.g. cannabis.")],
    *,
    tier: Annotated[str, typer.Option(help="The tier, e.g. fast.")] = "fast",
    output: Annotated[Path | None, typer.Option("--output", help="Writes it here too, as JSON.")] = None,
    runs: Annotated[Path, typer.Option("--runs", help="Where run folders lie.")] = Path("runs"),
) -> None:
    """Name the newest finished run of a tier, and what it holds by digest."""
    console = Console()
    with explained(console):
        folder = latest_run(runs, task_id=task, tier=tier)
    named = {"run": str(folder), "checkpoint_sha256": file_sha256(folder / CHECKPOINT_NAME)}
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(json.dumps(named, indent=2) + "\n", encoding="utf-8")
    console.print(f"{named['run']}: checkpoint {named['checkpoint_sha256'][:12]}")
    tell_next(console, "loupe-train", "evaluate", task, "--tier", tier, runs=None if runs == Path("runs") else runs)


def _split(name: str) -> Split:
    for each in SPLITS:
        if each == name:
            return each
    raise typer.BadParameter(f"{name!r} is none of {', '.join(SPLITS)}")


def _views(count: int) -> Views:
    for each in get_args(Views):
        if each == count:
            return each  # type: ignore[no-any-return]
    raise typer.BadParameter(f"{count} is none of {', '.join(map(str, get_args(Views)))}")


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


def _places_table(evaluation: Evaluation) -> Table:
    """Returns how right it is near the target places and far from them."""
    table = Table("from the nearest target", "head", "photos", "accuracy", "MCC", title="By place")
    for each in evaluation.by_place:
        for scores in each.heads:
            table.add_row(
                each.distance,
                scores.head.id,
                str(scores.photo_count),
                f"{scores.accuracy.value:.2%}",
                f"{scores.mcc.value:.3f} [{scores.mcc.low:.3f}, {scores.mcc.high:.3f}]",
            )
    return table


def _doubts_table(evaluation: Evaluation) -> Table:
    """Returns what uncertainty is worth, a question a row."""
    table = Table("does it know", "epistemic", "aleatoric", title="Uncertainty")
    for wrong in evaluation.wrong_answers:
        question = f"wrong answers of {wrong.head} (AUROC)"
        table.add_row(question, f"{wrong.by_distance.value:.3f}", f"{wrong.by_variance.value:.3f}")
    for strange in evaluation.strange:
        question = f"{strange.name} (AUROC)"
        table.add_row(question, f"{strange.by_distance.value:.3f}", f"{strange.by_variance.value:.3f}")
    for worsening in evaluation.worsenings:
        table.add_row(f"more {worsening.change} (rank correlation)", "", f"{worsening.within_photo:+.2f}")
        table.add_row("  with the loss it brings", "", f"{worsening.with_loss:+.2f}")
    return table
