"""The whole product as a client meets it: a gateway in a process of its own, with its embedded Triton."""

import asyncio
import os
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc.aio
from grpc_health.v1 import health_pb2, health_pb2_grpc

from loadtests.errors import GatewayFailedError

LOG = Path("build/gateway.log")
"""What the gateway says while it is measured."""

_READY_TIMEOUT_S = 60.0
_STOP_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class Stack:
    """A gateway that serves.

    Attributes:
        address: The gateway's gRPC target.
        triton_address: The gRPC target of the Triton below it.
        pid: The gateway's process.
    """

    address: str
    triton_address: str
    pid: int


@asynccontextmanager
async def serve(**settings: str) -> AsyncIterator[Stack]:
    """Runs `loupe serve` on a free loopback port, and stops it with everything that it started.

    Args:
        settings: More `LOUPE_` settings, by name without the prefix.

    Raises:
        GatewayFailedError: The gateway ends before it serves, takes too long, or does not end as it should.
    """
    LOG.parent.mkdir(parents=True, exist_ok=True)
    log = await asyncio.to_thread(LOG.open, "wb")
    with tempfile.TemporaryDirectory(prefix="loupe-bench-") as run_root, log:
        address = f"127.0.0.1:{_free_port()}"
        chosen = {"LISTEN": address, "METRICS_LISTEN": "127.0.0.1:0", "RUN_ROOT": run_root, **settings}
        environment = {**os.environ, **{f"LOUPE_{name.upper()}": value for name, value in chosen.items()}}
        # One access line a call would bury the tables.
        gateway = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "server", "serve", "--no-sample", env=environment, stdout=log, stderr=log
        )
        try:
            await _wait_serving(address, gateway)
            triton_socket = next(Path(run_root).glob("loupe_*/grpc:*"))
            yield Stack(address, f"unix:{triton_socket}", gateway.pid)
        finally:
            if gateway.returncode is None:
                gateway.send_signal(signal.SIGTERM)
            exit_code = await _wait_ended(gateway)
        if exit_code:
            raise GatewayFailedError(f"ended with exit code {exit_code}; see {LOG}")


async def _wait_serving(address: str, gateway: asyncio.subprocess.Process) -> None:
    """Waits until the gateway's health says SERVING."""
    async with grpc.aio.insecure_channel(address) as channel:
        updates = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(), wait_for_ready=True)
        watch = asyncio.create_task(_until_serving(updates))
        ended = asyncio.create_task(gateway.wait())
        await asyncio.wait({watch, ended}, timeout=_READY_TIMEOUT_S, return_when=asyncio.FIRST_COMPLETED)
        ended.cancel()
        if not watch.done():
            watch.cancel()
            raise GatewayFailedError(
                f"does not serve after {_READY_TIMEOUT_S:g} s; see {LOG}"
                if gateway.returncode is None
                else f"ended with exit code {gateway.returncode} before it served; see {LOG}"
            )
        await watch


async def _wait_ended(gateway: asyncio.subprocess.Process) -> int:
    """Waits until the gateway has stopped by itself, and ends it if it does not; returns its exit code."""
    try:
        async with asyncio.timeout(_STOP_TIMEOUT_S):
            return await gateway.wait()
    except TimeoutError:
        gateway.kill()
        return await gateway.wait()


async def _until_serving(updates: AsyncIterator[health_pb2.HealthCheckResponse]) -> None:
    async for update in updates:
        if update.status == health_pb2.HealthCheckResponse.SERVING:
            return


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])
