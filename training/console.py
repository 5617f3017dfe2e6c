"""How commands speak: a bar for what takes long, two lines for what went wrong, and warnings in yellow."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from training.errors import TrainingError, TrainingWarning
from training.progress import Follow


@contextmanager
def explained(console: Console) -> Iterator[None]:
    """Turns a typed error into its two lines, cause and cure, and exit code 2; shows training's warnings in yellow."""
    show_others = warnings.showwarning

    def show(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
        if issubclass(category, TrainingWarning):
            console.print(f"[yellow]{message}[/yellow]", highlight=False)
        else:
            show_others(message, category, *where, **more)

    with warnings.catch_warnings():
        warnings.showwarning = cast("Any", show)
        try:
            yield
        except TrainingError as error:
            console.print(f"[red]{error.cause}[/red]\n{error.cure}", highlight=False)
            raise typer.Exit(2) from error


@contextmanager
def progress_bar(console: Console, what: str) -> Iterator[Follow]:
    """Shows a bar from the first call until all is done."""
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
