"""The embedded Triton: a private server, assembled from the wheel, started, fed with models and stopped.

It listens on a socket in a directory that only this user can enter, never on the network:
this Triton lacks the security fixes of later ones. The same socket serves across restarts,
so channels find it again by themselves.
"""

import asyncio
import tempfile
from collections.abc import Iterable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from server.triton.client import TritonClient
from server.triton.distribution import STUB_NAME, TritonDistribution, find_distribution
from server.triton.errors import TritonStartError
from server.triton.processes import Process, children_of
from server.triton.run_directory import RunDirectory, sweep
from server.triton.server_process import ServerProcess
from server.triton.tier_models import engine_model, preprocess_model

_READY_POLL_S = 0.05
_UNLOAD_TIMEOUT_S = 10.0
_PORT_TAKEN = "in use"
_START_ATTEMPTS = 3
_RETIRE_GRACE_S = 5.0
_KILL_TIMEOUT_S = 2.0


@dataclass(frozen=True, slots=True)
class EmbeddedTritonOptions:
    """How the embedded server is run.

    Attributes:
        run_root: Where the run directory is made; its file system must allow programs to run.
        ready_timeout_s: How long the server may take until it answers, above 0.
        load_timeout_s: How long one model may take to load, above 0.
        trace_url: Where the server sends spans of requests that come with a `traceparent`; None for nowhere.
    """

    run_root: Path = field(default_factory=lambda: Path(tempfile.gettempdir()))
    ready_timeout_s: float = 30.0
    load_timeout_s: float = 120.0
    trace_url: str | None = None


@dataclass(frozen=True, slots=True)
class Stub:
    """One Python process of Triton: an instance of a model.

    Attributes:
        process: Its identity.
        model: The model that it runs.
    """

    process: Process
    model: str


class EmbeddedTriton:
    """An async context manager: a ready server inside, and nothing left of it after."""

    def __init__(self, options: EmbeddedTritonOptions | None = None) -> None:
        """Prepares nothing yet; see `start`."""
        self._options = options or EmbeddedTritonOptions()
        self._running: _Running | None = None

    async def __aenter__(self) -> Self:
        """Starts the server."""
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stops the server."""
        await self.stop()

    async def start(self) -> None:
        """Sweeps what dead gateways left, assembles the server, starts it and waits until it is ready.

        Raises:
            TritonSetupError: This machine or environment cannot run it, or it does not become ready.
        """
        sweep(self._options.run_root)
        distribution = find_distribution()
        async with AsyncExitStack() as resources:
            directory = RunDirectory.create(self._options.run_root)
            resources.callback(directory.remove)
            resources.enter_context(directory.kept())
            directory.link_code(distribution.code)
            distribution.check_stub(distribution.copy_backend(directory.backends))
            client = await resources.enter_async_context(TritonClient(f"unix:{directory.socket}"))
            server = await self._launch(distribution, directory, client)
            self._running = _Running(distribution, directory, client, server, resources.pop_all())

    async def stop(self) -> None:
        """Stops the server, ends surviving stubs by their ids, and removes its shared memory and files."""
        if self._running is None:
            return
        running, self._running = self._running, None
        async with running.resources:
            for retirement in tuple(running.retirements):
                retirement.cancel()
            await running.server.stop()
            await _wait_exited(running.directory.end_processes(), timeout_s=_KILL_TIMEOUT_S)

    async def restart(self) -> None:
        """Ends the server and all of its stubs, and starts it again on the same socket; no model is loaded then.

        Raises:
            TritonStartError: It does not become ready.
        """
        running = self._require()
        await running.server.kill()
        await _wait_exited(running.directory.end_processes(), timeout_s=_KILL_TIMEOUT_S)
        running.directory.sweep_shared_memory()
        running.server = await self._launch(running.distribution, running.directory, running.client)

    async def load(self, model: str) -> None:
        """Loads an ensemble and its steps, which must lie in `repository`.

        Raises:
            ModelLoadError: Triton refuses one of them.
            BackendUnavailableError: Triton is gone.
        """
        running = self._require()
        try:
            await running.client.load(model, timeout_s=self._options.load_timeout_s)
        finally:
            running.directory.protect_shared_memory()

    async def unload(self, model: str) -> None:
        """Unloads an ensemble and its steps; requests in flight finish.

        Raises:
            BackendUnavailableError: Triton is gone.
        """
        models = (model, engine_model(model), preprocess_model(model))
        self._retire([stub for stub in self.stubs() if stub.model in models])
        for each in models:
            await self.client.unload(each, timeout_s=_UNLOAD_TIMEOUT_S)

    async def reload(self, step: str) -> None:
        """Replaces all instances of one step without a gap: new stubs first, then the old ones finish and end.

        Raises:
            ModelLoadError: Triton refuses it.
            BackendUnavailableError: Triton is gone.
        """
        old = [stub for stub in self.stubs() if stub.model == step]
        # Triton does nothing on loading a model that is loaded already, unless its files are newer.
        (self.repository / step / "1" / "model.py").touch()
        await self.load(step)
        self._retire(old)

    def stubs(self) -> tuple[Stub, ...]:
        """Returns the server's living stubs, but for those that were replaced or unloaded."""
        running = self._require()
        retired = frozenset().union(*running.retirements.values())
        return tuple(
            Stub(child, Path(command[1]).parts[-3])
            for child in children_of(running.server.pid)
            if child not in retired and (command := child.command()) and Path(command[0]).name == STUB_NAME
        )

    async def wait_exited(self) -> int:
        """Returns the server's exit code when it has ended."""
        return await self._require().server.wait_exited()

    @property
    def address(self) -> str:
        """The gRPC target of the server; the same after a restart."""
        return f"unix:{self._require().directory.socket}"

    @property
    def metrics_url(self) -> str:
        """Where the server offers its Prometheus metrics; another one after a restart."""
        return f"http://127.0.0.1:{self._require().server.metrics_port}/metrics"

    @property
    def repository(self) -> Path:
        """The private model repository; see `server.triton.repository`."""
        return self._require().directory.repository

    @property
    def client(self) -> TritonClient:
        """Speaks to this server."""
        return self._require().client

    @property
    def pid(self) -> int:
        """The id of the server's process."""
        return self._require().server.pid

    def log_tail(self) -> str:
        """Returns the last lines that the server wrote."""
        return self._require().directory.log_tail()

    def _require(self) -> "_Running":
        if self._running is None:
            raise RuntimeError("the embedded Triton is not running")
        return self._running

    def _retire(self, stubs: list[Stub]) -> None:
        """Lets stubs finish what they have begun, and ends, in the background, those that stay.

        A sound one leaves by itself; the sibling of a dead one never would.
        """
        running = self._require()
        processes = frozenset(stub.process for stub in stubs)
        retirement = asyncio.create_task(_end_after(processes, grace_s=_RETIRE_GRACE_S))
        running.retirements[retirement] = processes
        retirement.add_done_callback(lambda done: running.retirements.pop(done, None))

    async def _launch(
        self, distribution: TritonDistribution, directory: RunDirectory, client: TritonClient
    ) -> ServerProcess:
        """Starts a server and waits until it is ready; again with another port if the metrics' port was taken."""
        for attempt in range(1, _START_ATTEMPTS + 1):
            server = ServerProcess.start(distribution, directory, trace_url=self._options.trace_url)
            try:
                async with asyncio.timeout(self._options.ready_timeout_s):
                    if await _is_up(server, client):
                        return server
                cause = f"Triton ended with exit code {server.exit_code()}."
            except TimeoutError:
                cause = f"Triton was not ready after {self._options.ready_timeout_s:.0f} s."
            except BaseException:
                await server.kill()
                raise
            await server.kill()
            tail = directory.log_tail()
            if _PORT_TAKEN not in tail or attempt == _START_ATTEMPTS:
                break
        raise TritonStartError(cause, log_tail=tail)


@dataclass(slots=True)
class _Running:
    """What exists between `start` and `stop`."""

    distribution: TritonDistribution
    directory: RunDirectory
    client: TritonClient
    server: ServerProcess
    resources: AsyncExitStack
    retirements: dict[asyncio.Task[None], frozenset[Process]] = field(default_factory=dict)


async def _end_after(processes: Iterable[Process], *, grace_s: float) -> None:
    """Ends processes that have not ended by themselves in time."""
    await _wait_exited(processes, timeout_s=grace_s)
    for process in processes:
        process.end()


async def _wait_exited(processes: Iterable[Process], *, timeout_s: float) -> None:
    """Returns when all have ended, or after `timeout_s`."""
    with suppress(TimeoutError):
        async with asyncio.timeout(timeout_s):
            for process in processes:
                await process.wait_exited()


async def _is_up(server: ServerProcess, client: TritonClient) -> bool:
    """Returns True as soon as the server is ready, and False if it ends before."""
    exited = asyncio.ensure_future(server.wait_exited())
    try:
        while not exited.done():
            if await client.is_ready() and await server.offers_metrics():
                return True
            await asyncio.wait({exited}, timeout=_READY_POLL_S)
        return False
    finally:
        exited.cancel()
