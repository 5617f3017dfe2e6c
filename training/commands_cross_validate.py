"""The command `loupe-train cross-validate`: what a task's recipe is worth on data too few for one split.

It only reads arguments and shows results.
"""

import logging
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from training.console import explained, tell_next
from training.cross_validate import CrossValidation, FoldResult, cross_validate
from training.epochs_option import EpochsOption, stages_of
from training.task_file import load_task_file
from training.train import RunRequest

app = typer.Typer(no_args_is_help=True, help="Cross-validation by specimen.")


@app.command("cross-validate")
def cross_validate_command(
    task: Annotated[str, typer.Argument(help="The task, e.g. surface_defect.")],
    *,
    tier: Annotated[str, typer.Option(help="The tier, e.g. fast.")] = "fast",
    folds: Annotated[int, typer.Option(min=2, help="Networks to train, each from the beginning.")] = 5,
    head: Annotated[str | None, typer.Option(help="A category head; the first decision head if not given.")] = None,
    data: Annotated[Path | None, typer.Option("--data", help="The dataset's folder; data/<task> if not given.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Replaces the recipe's seed.")] = None,
    epochs: EpochsOption = None,
) -> None:
    """Train and judge a tier fold by fold: no specimen is judged by a network that saw it."""
    console = Console()
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    with explained(console):
        request = RunRequest(
            task=load_task_file(task),
            tier=tier,
            variant="demo",
            data_folder=data or Path("data") / task,
            runs_folder=Path("runs"),
            seed=seed,
            stages=stages_of(epochs),
        )
        taxonomy = request.task.to_domain()

        def tell(fold: FoldResult) -> None:
            console.print(f"Fold {fold.number} of {folds}: accuracy {fold.accuracy:.1%}, {fold.duration_s:.0f} s")

        judged = taxonomy.head(head or taxonomy.decision_heads[0])
        result = cross_validate(request, head=judged, folds=folds, on_fold=tell)
    console.print(_table(result, title=f"{task} / {tier}: {judged.title}, {folds} folds by specimen"))
    specimens = len(set(result.groups.tolist()))
    console.print(
        f"{len(result.records)} photos of {specimens} specimens; {result.duration_s / 60:.1f} minutes in all."
    )
    console.print("95 % intervals by bootstrap over specimens; all folds are ranked together.")
    tell_next(console, "loupe-train", "train", task, "--tier", tier, data=data)


def _table(result: CrossValidation, *, title: str) -> Table:
    table = Table("", "trained on", "judged", "accuracy", *(f"AUROC {each}" for each in result.aurocs()), title=title)
    for fold in result.folds:
        ranked = (f"{each:.3f}" for each in fold.aurocs.values())
        table.add_row(f"fold {fold.number}", str(fold.trained_on), str(fold.judged), f"{fold.accuracy:.1%}", *ranked)
    accuracy = result.accuracy()
    table.add_row(
        "all",
        "",
        str(len(result.records)),
        f"{accuracy.value:.1%} [{accuracy.low:.1%}, {accuracy.high:.1%}]",
        *(f"{each.value:.3f} [{each.low:.3f}, {each.high:.3f}]" for each in result.aurocs().values()),
        style="bold",
    )
    return table
