"""What every command shows alike: errors as cause and cure, and a bar on long work."""

from collections.abc import Iterator
from contextlib import contextmanager

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from training.errors import TrainingError
from training.progress import Follow
from training.task_file import SPLITS, Split


@contextmanager
def explained(console: Console) -> Iterator[None]:
    """Turns a typed error into its two lines, cause and cure, and exit code 2."""
    try:
        yield
    except TrainingError as error:
        console.print(f"[red]{error.cause}[/red]\n{error.cure}", highlight=False)
        raise typer.Exit(2) from error


@contextmanager
def progress_bar(console: Console, what: str) -> Iterator[Follow]:
    """Shows a bar from the first call until all is done; work that never calls shows nothing."""
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


def chosen_split(name: str) -> Split:
    """Returns the split of this name; a usage error if there is none."""
    for each in SPLITS:
        if each == name:
            return each
    raise typer.BadParameter(f"{name!r} is none of {', '.join(SPLITS)}")
