"""A whole gateway in a process of its own, on free loopback ports, stopped with everything that it started."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from loupe.client import AsyncLoupeClient, LoupeClient
from loupe.retry import Retry

NO_RETRY = Retry(max_attempts=1)


@dataclass(frozen=True)
class Served:
    """A gateway that serves.

    Attributes:
        address: Where.
        process: The gateway.
        run_root: Where its Triton has its files.
        model_repository: What it serves.
        metrics_url: Where its metrics are.
    """

    address: str
    process: "subprocess.Popen[str]"
    run_root: Path
    model_repository: Path
    metrics_url: str

    @property
    def run_name(self) -> str:
        """What the names of everything that this gateway's Triton owns begin with."""
        [run] = self.run_root.glob("loupe_*")
        return run.name

    def metrics(self) -> list[Sample]:
        """Returns what Prometheus would get now."""
        with urlopen(self.metrics_url) as response:  # noqa: S310 -- our own endpoint
            families = list(text_string_to_metric_families(response.read().decode()))
        return [sample for family in families for sample in family.samples]

    def requests_inside(self) -> int:
        """Returns how many requests run in a tier, or wait for one."""
        inside = ("loupe_tier_in_flight", "loupe_tier_waiting")
        return sum(int(sample.value) for sample in self.metrics() if sample.name in inside)

    def stop(self) -> int:
        """Tells the gateway to stop, and returns its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(40)

    def client(self) -> AsyncLoupeClient:
        """Returns a client that does not try again."""
        return AsyncLoupeClient(self.address, retry=NO_RETRY, timeout_s=30)


def free_ports(count: int) -> list[int]:
    """Returns loopback ports that nobody listens on."""
    with ExitStack() as probes:
        return [probes.enter_context(socket.create_server(("127.0.0.1", 0))).getsockname()[1] for _ in range(count)]


@contextmanager
def serving(model_repository: Path, run_root: Path, **more: str) -> Iterator[Served]:
    """Runs `loupe serve` until the block ends, with more settings if some are given."""
    port, metrics_port = free_ports(2)
    address = f"127.0.0.1:{port}"
    environment = {
        **os.environ,
        "LOUPE_LISTEN": address,
        "LOUPE_METRICS_LISTEN": f"127.0.0.1:{metrics_port}",
        "LOUPE_MODEL_REPOSITORY": str(model_repository),
        "LOUPE_RUN_ROOT": str(run_root),
        "LOUPE_ACCESS_LOG": "false",
        **{f"LOUPE_{name.upper()}": value for name, value in more.items()},
    }
    command = [sys.executable, "-m", "server", "serve", "--no-sample"]
    with (run_root / "gateway.log").open("w") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT, text=True)
        try:
            with LoupeClient(address) as client:
                client.wait_until_serving(timeout_s=60)
            yield Served(address, process, run_root, model_repository, f"http://127.0.0.1:{metrics_port}/metrics")
        finally:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(40)
            process.kill()
