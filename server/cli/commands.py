"""The commands of `loupe`; each does one thing and ends with the next command to type."""

import contextlib
import importlib.metadata
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from google.protobuf.json_format import MessageToJson
from rich.console import Console

from loupe.client import LoupeClient
from loupe.errors import LoupeError
from loupe.options import DEFAULT_ADDRESS
from server import doctor as doctor_checks
from server.cli.failures import CommandFailedError, call_failure, file_failure
from server.cli.views import answer_view, tasks_view

app = typer.Typer(
    name="loupe",
    help="Loupe: calibrated answers about photos, from the cheapest model that is sure enough.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Address = Annotated[str, typer.Option(help="The gateway, HOST:PORT.")]
Timeout = Annotated[float, typer.Option(help="The time allowed, in seconds.", min=0.001)]


@app.command()
def serve(
    context: typer.Context,
    *,
    sample: Annotated[
        bool, typer.Option("--sample/--no-sample", help="Answer the release's bundled photo once it serves.")
    ] = True,
) -> None:
    """Serve the newest release of every task, until Ctrl-C. Settings: LOUPE_ variables."""
    # Serving needs ten times the imports of asking.
    from server.cli.serve import serve_until_stopped  # noqa: PLC0415

    serve_until_stopped(context.obj, Console(), with_sample=sample)


@app.command()
def inspect(
    photo: Annotated[Path, typer.Argument(help="A JPEG, PNG, WebP or HEIF file.", show_default=False)],
    *,
    task: Annotated[str, typer.Option(help="The task; may be left out if one only is served.")] = "",
    address: Address = DEFAULT_ADDRESS,
    heads: Annotated[str, typer.Option(help="The heads to answer, separated by commas; all if left out.")] = "",
    alternatives: Annotated[int, typer.Option(help="How many other possibilities to show, 0 to 100.")] = 2,
    json: Annotated[bool, typer.Option("--json", help="Print the whole answer as JSON.")] = False,
    timeout: Timeout = 10.0,
) -> None:
    """Inspect one photo."""
    try:
        content = photo.read_bytes()
    except OSError as error:
        raise file_failure(photo, error) from error
    with _client(address, timeout) as client:
        answer = client.inspect(
            content,
            task=task or _only_task(client),
            heads=[each.strip() for each in heads.split(",")] if heads else [],
            alternative_count=alternatives,
        )
    if json:
        sys.stdout.write(MessageToJson(answer, preserving_proto_field_name=True) + "\n")
    else:
        Console().print(answer_view(answer, title=photo.name))


@app.command()
def tasks(address: Address = DEFAULT_ADDRESS, timeout: Timeout = 10.0) -> None:
    """List the tasks that a gateway serves."""
    with _client(address, timeout) as client:
        Console().print(tasks_view(client.list_tasks()))


@app.command()
def health(address: Address = DEFAULT_ADDRESS, timeout: Timeout = 2.0) -> None:
    """Say whether a gateway serves; exit code 0 if it does, 1 if not."""
    with LoupeClient(address) as client:
        is_serving = client.is_serving(timeout_s=timeout)
    sys.stdout.write("SERVING\n" if is_serving else "NOT_SERVING\n")
    raise typer.Exit(0 if is_serving else 1)


@app.command()
def doctor() -> None:
    """Say what this machine lacks, and how to mend it."""
    raise typer.Exit(doctor_checks.main([]))


@app.command()
def version() -> None:
    """Print the version."""
    sys.stdout.write(f"loupe {importlib.metadata.version('loupe-server')}\n")


@contextlib.contextmanager
def _client(address: str, timeout_s: float) -> Iterator[LoupeClient]:
    with LoupeClient(address, timeout_s=timeout_s) as client:
        try:
            yield client
        except LoupeError as error:
            raise call_failure(error, address=address) from error


def _only_task(client: LoupeClient) -> str:
    served = client.list_tasks()
    if len(served) == 1:
        return served[0].name
    names = ", ".join(each.name.removeprefix("tasks/") for each in served) or "none"
    raise CommandFailedError(f"The gateway serves several tasks: {names}.", cure="Say which one: --task NAME")
