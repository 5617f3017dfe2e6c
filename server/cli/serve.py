"""`loupe serve`: shows how the gateway comes up, answers the bundled photo, and serves until told to stop."""

import contextlib
import shlex
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

import uvloop
from rich.console import Console
from rich.status import Status

from loupe.client import AsyncLoupeClient
from loupe.errors import LoupeError
from loupe.options import DEFAULT_ADDRESS
from server.adapters.access_log import AccessLog
from server.adapters.log import logging_to
from server.app import Stage, StartError
from server.bootstrap import build_app
from server.cli.failures import CommandFailedError, call_failure
from server.cli.views import answer_view
from server.domain.errors import ReleaseRefusedError
from server.rpc.errors import ListenError
from server.rpc.interceptors import OnCall
from server.settings import Settings, SettingsError
from server.triton.errors import TritonSetupError

_SAMPLE_PHOTOS = "known_answer*.jpg"
_SAMPLE_TIMEOUT_S = 30.0
_QUIET_STAGES = (Stage.SERVING, Stage.STOPPED)
_ANY_HOSTS = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # noqa: S104 -- to be replaced


def serve_until_stopped(read_settings: Callable[[], Settings], console: Console, *, with_sample: bool) -> None:
    """Runs the gateway in this thread until SIGTERM or SIGINT.

    Args:
        read_settings: Reads the settings.
        console: Where progress and the sample go; the log goes to standard error.
        with_sample: Whether to answer the release's bundled photo.

    Raises:
        CommandFailedError: It cannot start.
    """
    with _explained():
        settings = read_settings()
        as_json = settings.log_format == "json"
        access_log = AccessLog(sys.stderr, as_json=as_json)
        on_call = access_log.record if settings.access_log else _ignore
        log = logging_to(sys.stderr, level=settings.log_level, as_json=as_json)
        with log, access_log, _Progress(console) as progress:
            uvloop.run(_serve(settings, console, on_call, progress.observe, with_sample=with_sample))


async def _serve(
    settings: Settings, console: Console, on_call: OnCall, observe: Callable[[Stage], None], *, with_sample: bool
) -> None:
    async def announce(address: str) -> None:
        console.print(f"[bold green]Loupe serves on {address}[/]\n")
        reachable = _reachable(address)
        if with_sample and settings.tls_certificate is None:
            await _show_sample(console, settings, reachable)
        console.print(f"\nSend your own photo:  [bold]{_inspect_command(reachable)}[/]\nCtrl-C stops.")

    await build_app(settings, on_call).run(observe, announce)


def _ignore(*_: object) -> None:
    """Logs no call."""


async def _show_sample(console: Console, settings: Settings, address: str) -> None:
    """Sends the bundled photo of each served release through the public API."""
    try:
        async with AsyncLoupeClient(address, timeout_s=_SAMPLE_TIMEOUT_S) as client:
            for task in await client.list_tasks():
                _, name, _, number = task.active_release.split("/")
                photo = sample_photo(settings.model_repository / "releases" / name / number)
                answer = await client.inspect(photo, task=task.name, alternative_count=2)
                console.print(f"The bundled photo {_short(photo)}:", soft_wrap=True, highlight=False)
                console.print(answer_view(answer, title=task.title))
    except LoupeError as error:
        failure = call_failure(error, address=address)
        console.print(f"[red]The bundled photo was not answered.[/] {failure.cause} {failure.cure}")
    except OSError as error:
        console.print(f"[red]The bundled photo cannot be read:[/] {error}")


def sample_photo(release: Path) -> Path:
    """Returns the photo that a release is shown with: of a known answer, one a tier, the first by name.

    Raises:
        FileNotFoundError: It brings none.
    """
    photo = min(release.glob(_SAMPLE_PHOTOS), default=None)
    if photo is None:
        raise FileNotFoundError(f"no photo of a known answer in {release}")
    return photo


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    """Turns what keeps a gateway from starting into a cause and a cure."""
    try:
        yield
    except SettingsError as error:
        cure = "Unset or mend these variables; server/settings.py describes every one."
        raise CommandFailedError(f"The settings are not valid: {error}", cure=cure) from error
    except (ListenError, StartError, TritonSetupError) as error:
        raise CommandFailedError(error.cause, cure=error.cure) from error
    except ReleaseRefusedError as error:
        raise CommandFailedError(
            f"A release must not be served: {error}.", cure="Restore its files (git checkout model_repository)."
        ) from error


class _Progress:
    """Shows the stage that the gateway is in, and how long each took."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._status: Status | None = None
        self._stage: Stage | None = None
        self._since_s = 0.0
        self._was_cut_short = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop_spinning()

    def observe(self, stage: Stage) -> None:
        """Ends the line of the last stage and begins that of the next."""
        self._stop_spinning()
        if self._stage is not None and self._stage not in _QUIET_STAGES and not self._was_cut_short:
            # Draining straight from a stage before serving: that stage did not come to its end, and what is
            # tidied up after it is of no interest.
            self._was_cut_short = stage is Stage.DRAINING
            mark = "[red]✗[/]" if self._was_cut_short else "[green]✓[/]"
            self._console.print(f"{mark} {self._stage.value} [dim]{time.monotonic() - self._since_s:.1f} s[/]")
        self._stage, self._since_s = stage, time.monotonic()
        if stage not in _QUIET_STAGES:
            self._status = self._console.status(f"{stage.value} ...")
            self._status.start()

    def _stop_spinning(self) -> None:
        if self._status is not None:
            self._status.stop()
            self._status = None


def _inspect_command(address: str) -> str:
    """Returns what to type in this very shell to send a photo."""
    program = Path(sys.argv[0])
    command = "loupe" if program.name != "loupe" else shlex.quote(_short(program))
    return f"{command} inspect PHOTO" + ("" if address == DEFAULT_ADDRESS else f" --address {address}")


def _short(path: Path) -> str:
    """Returns a path as it looks from here."""
    with contextlib.suppress(ValueError):
        return str(path.resolve().relative_to(Path.cwd()))
    return str(path)


def _reachable(address: str) -> str:
    """Returns where a server that listens everywhere is reached from this machine."""
    host, _, port = address.rpartition(":")
    return f"{_ANY_HOSTS.get(host, host)}:{port}"
