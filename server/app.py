"""The gateway's life: listen, start the backend, prove the releases, serve, drain, stop.

Listening comes first, so that health can say NOT_SERVING; stopping Triton comes last, so that
calls in flight finish. Told to stop once, it drains; told twice, it cancels.
"""

import asyncio
import enum
import signal
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Final, Protocol, Self

from server.domain.release import Release
from server.rpc.server import GatewayServer
from server.service.catalog import Catalog
from server.service.door import Door

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
_LAST_BYTES_GRACE_S: Final = 0.5


class StartError(Exception):
    """The gateway cannot start.

    Attributes:
        cause: What was found, in one sentence.
        cure: What to do about it, in one sentence.
    """

    def __init__(self, cause: str, *, cure: str) -> None:
        """Says the cause on the first line and the cure on the second."""
        super().__init__(f"{cause}\n{cure}")
        self.cause = cause
        self.cure = cure


class Stage(enum.Enum):
    """Where the gateway's life stands; the values are for people."""

    READING = "Reading and verifying releases"
    STARTING = "Starting Triton"
    PROVING = "Loading models and checking known answers"
    SERVING = "Serving"
    DRAINING = "Finishing calls in flight"
    STOPPING = "Stopping Triton"
    STOPPED = "Stopped"


class Backend(Protocol):
    """What runs the engines."""

    async def start(self) -> None:
        """Starts it."""
        ...

    async def deploy(self, release: Release) -> None:
        """Loads a release beside those that it has, and proves it."""
        ...

    def subscribe(self, listener: Callable[[bool], None]) -> None:
        """Tells `listener` whether it serves, now and at each change."""
        ...

    async def stop(self) -> None:
        """Stops whatever was started; also after a start that failed."""
        ...


class App:
    """One gateway, from its start to its end."""

    def __init__(
        self,
        *,
        server: GatewayServer,
        backend: Backend,
        load_releases: Callable[[], tuple[Release, ...]],
        catalog: Catalog,
        door: Door,
        drain_grace_s: float,
        surroundings: AbstractContextManager[object] | None = None,
    ) -> None:
        """Starts nothing yet.

        Args:
            server: Listens.
            backend: Runs the engines.
            load_releases: Reads what is to be served; may block.
            catalog: Is told what serves.
            door: Lets requests in while the gateway serves.
            drain_grace_s: How long calls in flight may take to finish.
            surroundings: Entered before anything else and left last.
        """
        self._surroundings = surroundings or nullcontext()
        self._server = server
        self._backend = backend
        self._load_releases = load_releases
        self._catalog = catalog
        self._door = door
        self._drain_grace_s = drain_grace_s

    async def run(self, observe: Callable[[Stage], None], on_serving: Callable[[str], Awaitable[None]]) -> None:
        """Serves until this process is told to stop by SIGTERM or SIGINT.

        Args:
            observe: Is told of each stage.
            on_serving: Is called with the address once the gateway serves; cancelled if it is told to stop.

        Raises:
            ListenError: The address is taken, or is none.
            StartError: There is nothing to serve, or the surroundings cannot be entered.
            ReleaseRefusedError: A release must not be served.
            TritonSetupError: This machine or environment cannot run Triton.
        """
        with self._surroundings, StopSignals() as stop:
            changes: asyncio.Queue[bool] = asyncio.Queue()
            health = asyncio.create_task(self._follow_health(changes))
            try:
                address = await self._server.start()
                if await _unless(stop.requested, self._become_ready(observe, changes.put_nowait)):
                    observe(Stage.SERVING)
                    await _unless(stop.requested, on_serving(address))
                    await stop.requested.wait()
            finally:
                health.cancel()
                await self._shut_down(stop, observe)

    async def _become_ready(self, observe: Callable[[Stage], None], on_backend: Callable[[bool], None]) -> None:
        observe(Stage.READING)
        releases = await asyncio.to_thread(self._load_releases)
        if not releases:
            raise StartError(
                "There is no release in the model repository.",
                cure="Build one with loupe-build, or set LOUPE_MODEL_REPOSITORY to a folder that has one.",
            )
        observe(Stage.STARTING)
        await self._backend.start()
        observe(Stage.PROVING)
        for release in releases:
            await self._backend.deploy(release)
            self._catalog.activate(release)
        self._door.open()
        self._backend.subscribe(on_backend)

    async def _follow_health(self, changes: "asyncio.Queue[bool]") -> None:
        while True:
            await self._server.set_serving(serving=await changes.get())

    async def _shut_down(self, stop: "StopSignals", observe: Callable[[Stage], None]) -> None:
        observe(Stage.DRAINING)
        self._door.shut()
        await self._server.set_serving(serving=False)
        drained = asyncio.create_task(self._door.wait_empty())
        forced = asyncio.create_task(stop.forced.wait())
        await asyncio.wait({drained, forced}, timeout=self._drain_grace_s, return_when=asyncio.FIRST_COMPLETED)
        # Who is out of the door may still be on the wire.
        await self._server.stop(_LAST_BYTES_GRACE_S if drained.done() else 0)
        for task in (drained, forced):
            task.cancel()
        observe(Stage.STOPPING)
        await self._backend.stop()
        observe(Stage.STOPPED)


class StopSignals:
    """A context manager that turns signals into events.

    Attributes:
        requested: Set by the first signal.
        forced: Set by the second one.
    """

    def __init__(self) -> None:
        """Catches nothing yet."""
        self.requested = asyncio.Event()
        self.forced = asyncio.Event()

    def __enter__(self) -> Self:
        """Catches SIGTERM and SIGINT, in place of whoever did."""
        for each in _SIGNALS:
            asyncio.get_running_loop().add_signal_handler(each, self._on_signal)
        return self

    def __exit__(self, *_: object) -> None:
        """Gives the signals back."""
        for each in _SIGNALS:
            asyncio.get_running_loop().remove_signal_handler(each)

    def _on_signal(self) -> None:
        (self.forced if self.requested.is_set() else self.requested).set()


async def _unless(event: asyncio.Event, work: Awaitable[None]) -> bool:
    """Does some work unless an event happens; returns whether the work is done, and raises what it raises."""
    working = asyncio.ensure_future(work)
    waiting = asyncio.create_task(event.wait())
    try:
        await asyncio.wait({working, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            await working
            return True
        return False
    finally:
        waiting.cancel()
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
