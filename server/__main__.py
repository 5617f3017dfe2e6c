"""The command `loupe`: reads the settings, runs a command, and ends with a cause and a cure if it cannot."""

import sys

from rich.console import Console

from server.cli.commands import app
from server.cli.failures import CommandFailedError
from server.settings import read_settings


def main() -> None:
    """Runs the command line."""
    try:
        app(obj=read_settings, prog_name="loupe")
    except CommandFailedError as failure:
        console = Console(stderr=True, highlight=False, soft_wrap=True)
        console.print(failure.cause, style="bold red", markup=False)
        console.print(failure.cure, markup=False)
        sys.exit(1)


if __name__ == "__main__":
    main()
