"""How commands speak: a bar for what takes long, two lines for what went wrong, and warnings in yellow."""

import shlex
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from training.errors import TrainingError, TrainingWarning
from training.progress import Follow


@contextmanager
def explained(console: Console) -> Iterator[None]:
    """Turns a typed error into its two lines, cause and cure, and exit code 2; shows training's warnings in yellow."""
    show_others = warnings.showwarning

    def show(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
        if issubclass(category, TrainingWarning):
            console.print(f"[yellow]{escape(str(message))}[/yellow]", highlight=False, soft_wrap=True)
        else:
            show_others(message, category, *where, **more)

    with warnings.catch_warnings():
        warnings.showwarning = cast("Any", show)
        try:
            yield
        except TrainingError as error:
            console.print(f"[red]{escape(error.cause)}[/red]\n{escape(error.cure)}", highlight=False, soft_wrap=True)
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


def tell_next(console: Console, *command: str, **places: Path | None) -> None:
    """Shows a command in one piece, so that it can be copied, with the folders that were not the usual ones.

    Args:
        console: Where it is shown.
        command: Its words.
        places: By option, e.g. `runs`; None for one that was not given.
    """
    options = [word for name, path in places.items() if path is not None for word in (f"--{name}", str(path))]
    console.print(f"Next: [bold]{escape(shlex.join([*command, *options]))}[/bold]", highlight=False, soft_wrap=True)
