"""One life of a Triton server process: started in a session of its own, bound to the gateway's life, stopped.

Ctrl-C in a terminal does not reach it, so the gateway can finish its work first; if the
gateway is killed, Triton is told to stop (see `launcher`).
"""

import asyncio
import os
import secrets
import signal
import socket
import subprocess
import sys
from typing import Self

from server.triton import launcher
from server.triton.distribution import TritonDistribution
from server.triton.processes import Process
from server.triton.run_directory import RunDirectory

_NEVER_BY_ITSELF = 2**31 - 1
_EXIT_TIMEOUT_S = 5
"""How long a stopping Triton waits for requests in flight, and for stubs that are dead."""

STOP_GRACE_S = _EXIT_TIMEOUT_S + 3
_KILL_GRACE_S = 5
_METRICS_TIMEOUT_S = 1.0


class ServerProcess:
    """A running `tritonserver`, a child of this process."""

    def __init__(self, child: "subprocess.Popen[bytes]", *, metrics_port: int) -> None:
        """Wraps a child that has just been started; use `start`."""
        self._child = child
        self._process = Process.of(child.pid)
        self.metrics_port = metrics_port

    @classmethod
    def start(cls, distribution: TritonDistribution, directory: RunDirectory, *, trace_url: str | None = None) -> Self:
        """Starts Triton on a run directory; call it from the thread that lives longest, usually the main one."""
        directory.socket.unlink(missing_ok=True)
        metrics_port = free_port()
        command = [
            *(sys.executable, "-I", "-S", launcher.__file__, str(os.getpid())),
            str(distribution.server),
            *arguments(directory, metrics_port=metrics_port, trace_url=trace_url),
        ]
        with directory.log.open("ab") as log:
            child = subprocess.Popen(
                command,
                env=distribution.environment(),
                cwd=directory.path,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return cls(child, metrics_port=metrics_port)

    @property
    def pid(self) -> int:
        """The id of the server's process."""
        return self._child.pid

    def exit_code(self) -> int | None:
        """Returns how the server ended (negative: by that signal), or None while it runs."""
        return self._child.poll()

    async def wait_exited(self) -> int:
        """Returns the exit code when the server has ended."""
        while (code := self.exit_code()) is None:
            if self._process is not None:
                await self._process.wait_exited()
            else:
                await asyncio.sleep(0)
        return code

    async def offers_metrics(self) -> bool:
        """Whether the metrics answer; Triton starts them last, and ends if their port was taken meanwhile."""
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.metrics_port)
        except OSError:
            return False
        try:
            writer.write(b"GET /metrics HTTP/1.0\r\n\r\n")
            async with asyncio.timeout(_METRICS_TIMEOUT_S):
                return b"# HELP nv_" in await reader.read(4096)
        except (OSError, TimeoutError):
            return False
        finally:
            writer.close()

    async def stop(self) -> None:
        """Asks the server to stop, and ends it if it does not within `STOP_GRACE_S`."""
        for request, grace_s in ((signal.SIGTERM, STOP_GRACE_S), (signal.SIGKILL, _KILL_GRACE_S)):
            if self.exit_code() is not None:
                return
            self._child.send_signal(request)
            try:
                async with asyncio.timeout(grace_s):
                    await self.wait_exited()
            except TimeoutError:
                continue

    async def kill(self) -> None:
        """Ends the server at once."""
        if self.exit_code() is None:
            self._child.kill()
            await self.wait_exited()


def arguments(directory: RunDirectory, *, metrics_port: int, trace_url: str | None) -> list[str]:
    """Returns the arguments of `tritonserver` for a run directory."""
    # Nobody knows this key, so nobody can use what is restricted.
    nobody = secrets.token_hex(16)
    return [
        f"--model-repository={directory.repository}",
        "--model-control-mode=explicit",
        "--disable-auto-complete-config",
        f"--backend-directory={directory.backends}",
        f"--backend-config=python,shm-region-prefix-name={directory.shared_memory_prefix}",
        "--allow-http=false",
        *directory.grpc_arguments,
        f"--grpc-restricted-protocol=shared-memory,trace,logging:loupe={nobody}",
        "--metrics-address=127.0.0.1",
        f"--metrics-port={metrics_port}",
        "--allow-gpu-metrics=false",
        "--pinned-memory-pool-byte-size=0",
        f"--exit-timeout-secs={_EXIT_TIMEOUT_S}",
        *_trace_arguments(trace_url),
    ]


def _trace_arguments(trace_url: str | None) -> list[str]:
    if trace_url is None:
        return []
    # A request that comes with a traceparent is traced at any rate; no other one is.
    values = ("mode=opentelemetry", "level=TIMESTAMPS", f"rate={_NEVER_BY_ITSELF}", f"opentelemetry,url={trace_url}")
    return [f"--trace-config={each}" for each in (*values, "opentelemetry,resource=service.name=loupe-triton")]


def free_port() -> int:
    """Returns a loopback port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
