"""The gateway's life with a backend that is not Triton: starting, health, draining, and being told to stop."""

import asyncio
import os
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from builders import make_release
from fakes import FakeEngines, Gate, until

from loupe.client import AsyncLoupeClient
from loupe.errors import UnavailableError
from loupe.retry import Retry
from server.adapters.clock import SystemClock
from server.app import App, Stage, StartError
from server.domain.errors import ReleaseRefusedError
from server.domain.inspection_id import InspectionIds
from server.domain.release import Release
from server.rpc.inspection_servicer import InspectionServicer
from server.rpc.interceptors import CallInterceptor
from server.rpc.server import GatewayServer, ServerOptions
from server.rpc.task_servicer import TaskServicer
from server.service.catalog import Catalog
from server.service.deadline import DeadlinePolicy
from server.service.door import Door
from server.service.router import Router

# A whole, tiny photo.
PHOTO = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108000000003a7e9b550000000a49444154789c63f80f0001010100"
    "1bb6ee560000000049454e44ae426082"
)


@dataclass
class FakeBackend(FakeEngines):
    """A backend that starts when it is let, and remembers what was done to it."""

    events: list[str] = field(default_factory=list)
    may_start: asyncio.Event = field(default_factory=asyncio.Event)
    refusal: Exception | None = None
    listener: Callable[[bool], None] | None = None

    async def start(self) -> None:
        """Waits to be let."""
        self.events.append("starting")
        await self.may_start.wait()
        self.events.append("started")

    async def deploy(self, release: Release) -> None:
        """Proves anything, unless told otherwise."""
        if self.refusal is not None:
            raise self.refusal
        self.events.append(f"deployed {release.name}")

    def subscribe(self, listener: Callable[[bool], None]) -> None:
        """Serves at once."""
        self.listener = listener
        listener(True)

    async def stop(self) -> None:
        """Remembers who was still running."""
        self.events.append(f"stopped with {self.running} running")


class Life:
    """One gateway that runs in this process until it is told to stop."""

    def __init__(self, *releases: Release, drain_grace_s: float = 5.0, port: int = 0) -> None:
        """Serves these releases."""
        self.address = f"127.0.0.1:{port}"
        self.backend = FakeBackend()
        self.stages: list[Stage] = []
        self.serving: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        clock, catalog, door = SystemClock(), Catalog(), Door()
        router = Router(engines=self.backend, catalog=catalog, door=door, ids=InspectionIds(b"k" * 16), clock=clock)
        self.server = GatewayServer(
            inspection=InspectionServicer(router, deadlines=DeadlinePolicy(), clock=clock, stream_in_flight=4),
            task=TaskServicer(catalog, door),
            interceptor=CallInterceptor(clock, lambda *_: None),
            options=ServerOptions(self.address),
        )
        self.app = App(
            server=self.server,
            backend=self.backend,
            load_releases=lambda: releases,
            catalog=catalog,
            door=door,
            drain_grace_s=drain_grace_s,
        )
        self.task = asyncio.create_task(self.app.run(self.stages.append, self._on_serving))

    async def _on_serving(self, address: str) -> None:
        self.serving.set_result(address)

    async def client(self) -> AsyncLoupeClient:
        """Waits until the gateway serves, and returns a client of it."""
        self.backend.may_start.set()
        client = AsyncLoupeClient(await self.serving, retry=Retry(1))
        await client.wait_until_serving(timeout_s=5)
        return client

    async def end(self) -> None:
        """Waits for the gateway's end."""
        async with asyncio.timeout(10):
            await self.task


def free_port() -> int:
    """Returns a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def tell_to_stop(number: signal.Signals = signal.SIGTERM) -> None:
    """Sends this process a signal, as an operator would; the gateway must be there to catch it."""
    assert signal.getsignal(number) not in (signal.SIG_DFL, signal.default_int_handler)
    os.kill(os.getpid(), number)


async def test_a_whole_life() -> None:
    """Read, start, prove, serve, drain, stop."""
    life = Life(make_release())
    client = await life.client()
    assert (await client.inspect(PHOTO, task="bread")).release == "tasks/bread/releases/1"
    await client.close()
    tell_to_stop()
    await life.end()
    assert life.stages == list(Stage)
    assert life.backend.events == [
        "starting",
        "started",
        "deployed tasks/bread/releases/1",
        "stopped with 0 running",
    ]


async def test_health_follows_the_backend() -> None:
    """While the backend recovers, the gateway says NOT_SERVING, and answers what it can."""
    life = Life(make_release())
    client = await life.client()
    assert life.backend.listener is not None
    life.backend.listener(False)
    async with asyncio.timeout(5):
        while await client.is_serving():
            pass
    assert (await client.inspect(PHOTO, task="bread")).inspection
    life.backend.listener(True)
    await client.wait_until_serving(timeout_s=5)
    await client.close()
    tell_to_stop()
    await life.end()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_calls_in_flight_finish(number: signal.Signals) -> None:
    """Told to stop, the gateway refuses new calls and answers those it has, before the backend stops."""
    life = Life(make_release())
    client = await life.client()
    gate = Gate()
    life.backend.default = gate
    running = asyncio.create_task(client.inspect(PHOTO, task="bread"))
    await gate.entered.wait()
    tell_to_stop(number)
    await until(lambda: Stage.DRAINING in life.stages)
    with pytest.raises(UnavailableError) as refusal:
        await client.inspect(PHOTO, task="bread")
    assert refusal.value.reason == "DRAINING"
    assert not await client.is_serving()
    gate.open()
    assert (await running).inspection
    await life.end()
    assert life.backend.events[-1] == "stopped with 0 running"
    await client.close()


async def test_a_second_signal_does_not_wait() -> None:
    """Told twice, the gateway cancels what it has, and still stops its backend."""
    life = Life(make_release(), drain_grace_s=600)
    client = await life.client()
    gate = Gate()
    life.backend.default = gate
    running = asyncio.create_task(client.inspect(PHOTO, task="bread"))
    await gate.entered.wait()
    tell_to_stop()
    await until(lambda: Stage.DRAINING in life.stages)
    tell_to_stop()
    await life.end()
    with pytest.raises(UnavailableError):
        await running
    assert life.backend.cancelled == 1
    assert life.backend.events[-1].startswith("stopped")
    await client.close()


async def test_the_grace_ends() -> None:
    """A call that takes too long does not keep the gateway."""
    life = Life(make_release(), drain_grace_s=0.05)
    client = await life.client()
    gate = Gate()
    life.backend.default = gate
    running = asyncio.create_task(client.inspect(PHOTO, task="bread"))
    await gate.entered.wait()
    tell_to_stop()
    await life.end()
    with pytest.raises(UnavailableError):
        await running
    await client.close()


async def test_calls_are_told_to_come_back_while_the_gateway_starts() -> None:
    """It listens already, says NOT_SERVING, and denies nothing that it is about to serve."""
    life = Life(make_release(), port=free_port())
    await until(lambda: "starting" in life.backend.events)
    async with AsyncLoupeClient(life.address, retry=Retry(1)) as client:
        assert not await client.is_serving()
        for call in (client.inspect(PHOTO, task="bread"), client.get_task("bread"), client.list_tasks()):
            with pytest.raises(UnavailableError) as refusal:
                await call
            assert refusal.value.reason == "BACKEND_UNAVAILABLE"
    await (await life.client()).close()
    tell_to_stop()
    await life.end()


async def test_a_gateway_can_be_stopped_while_it_starts() -> None:
    """Whatever was started is stopped."""
    life = Life(make_release())
    await until(lambda: "starting" in life.backend.events)
    tell_to_stop()
    await life.end()
    assert life.backend.events == ["starting", "stopped with 0 running"]
    assert Stage.SERVING not in life.stages


async def test_nothing_to_serve_is_an_error() -> None:
    """With a cure."""
    life = Life()
    with pytest.raises(StartError, match="no release") as error:
        await life.end()
    assert "loupe-build" in error.value.cure


async def test_a_refused_release_is_an_error() -> None:
    """The gateway does not serve a part of what it should; it stops its backend and ends."""
    life = Life(make_release())
    life.backend.refusal = ReleaseRefusedError("bread/1", "a wrong answer")
    life.backend.may_start.set()
    with pytest.raises(ReleaseRefusedError, match="a wrong answer"):
        await life.end()
    assert life.backend.events[-1] == "stopped with 0 running"
