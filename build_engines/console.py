"""How commands speak: a bar for what takes long, two lines for what went wrong, and the command that comes next."""

from collections.abc import Iterator
from contextlib import contextmanager

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from build_engines.errors import BuildError
from build_engines.served_outputs import Follow
from server.domain.errors import LoupeError


def tell_next(console: Console, command: str) -> None:
    """Shows a command in one piece, so that it can be copied."""
    console.print(f"Next: [bold]{escape(command)}[/bold]", highlight=False, soft_wrap=True)


@contextmanager
def explained() -> Iterator[Console]:
    """Gives a console, and turns a typed error into two lines and exit code 2."""
    console = Console()
    try:
        yield console
    except BuildError as error:
        console.print(f"[red]{escape(error.cause)}[/red]\n{escape(error.cure)}", highlight=False, soft_wrap=True)
        raise typer.Exit(2) from error
    except LoupeError as error:
        console.print(
            f"[red]{escape(str(error))}[/red]\nMend it and start the step again.", highlight=False, soft_wrap=True
        )
        raise typer.Exit(2) from error


@contextmanager
def progress_bar(console: Console, what: str) -> Iterator[Follow]:
    """Shows a bar from the first call on; outputs that are known already never call, and show nothing."""
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=console)
    task = bar.add_task(what, total=None)

    def follow(done: int, total: int) -> None:
        bar.start()
        bar.update(task, completed=done, total=total)

    try:
        yield follow
    finally:
        bar.stop()
