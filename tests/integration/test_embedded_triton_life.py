"""The embedded Triton comes and goes without a trace, and says what is wrong when it cannot come."""

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from time import monotonic, sleep

import pytest
from builders import TASK
from toy_engine import toy_photo, toy_ref, toy_spec, write_toy_engine

from server.domain.prediction import Wanted
from server.triton import embedded
from server.triton.distribution import STUB_NAME, TritonDistribution
from server.triton.embedded import EmbeddedTriton, EmbeddedTritonOptions
from server.triton.engines import TritonEngines
from server.triton.errors import TritonSetupError, TritonStartError
from server.triton.processes import Process, own_processes
from server.triton.repository import Target, write_tier_models
from server.triton.run_directory import SHARED_MEMORY, sweep

pytestmark = pytest.mark.integration

GATEWAY = """
import asyncio, sys
from pathlib import Path
from server.triton.embedded import EmbeddedTriton, EmbeddedTritonOptions
from server.triton.repository import Target, TierModelSpec, write_tier_models

async def serve():
    async with EmbeddedTriton(EmbeddedTritonOptions(run_root=Path(sys.argv[1]))) as triton:
        spec = TierModelSpec("toy", 64, (("kind", 3), ("grade", 2), ("signs", 2)), (4, 4), Path(sys.argv[2]))
        write_tier_models(spec, triton.repository, target=Target.EMBEDDED)
        await triton.load(spec.model)
        print(triton.pid, flush=True)
        await asyncio.Event().wait()

asyncio.run(serve())
"""


@pytest.fixture
def engine(tmp_path: Path) -> Path:
    """A toy engine."""
    return write_toy_engine(tmp_path / "toy.onnx", TASK)


def traces(root: Path) -> list[str]:
    """Returns everything that a Triton below `root` has: directories, shared memory, processes."""
    runs = [path.name for path in root.glob("loupe_*")]
    memory = [path.name for path in SHARED_MEMORY.iterdir() if any(path.name.startswith(run) for run in runs)]
    processes = [str(each.command()) for each in own_processes() if str(root) in " ".join(each.command())]
    return runs + memory + [each for each in processes if STUB_NAME in each or "tritonserver" in each]


def wait_until_clean(root: Path, *, within_s: float) -> None:
    """Waits until nothing below `root` is left; what was killed takes a moment to go."""
    deadline = monotonic() + within_s
    while (left := traces(root)) and monotonic() < deadline:
        sleep(0.05)
    assert left == []


def wait_until_gone(process: Process, *, within_s: float) -> None:
    """Waits for the end of a process that is not our child."""
    deadline = monotonic() + within_s
    while process.is_alive():
        assert monotonic() < deadline, f"process {process.pid} is still there"
        sleep(0.05)


async def test_a_stop_leaves_nothing(tmp_path: Path, engine: Path) -> None:
    """After a clean stop there is no process, no shared memory and no file."""
    spec = toy_spec(TASK, engine)
    async with EmbeddedTriton(EmbeddedTritonOptions(run_root=tmp_path)) as triton:
        write_tier_models(spec, triton.repository, target=Target.EMBEDDED)
        await triton.load(spec.model)
        async with TritonEngines(triton.address) as engines:
            await engines.infer(toy_ref(spec), toy_photo(), Wanted(("kind",)), timeout_s=10)
        assert len(triton.stubs()) == 4
        prefix = Path(triton.address.removeprefix("unix:")).parent.name
    assert traces(tmp_path) == []
    assert not [path for path in SHARED_MEMORY.iterdir() if path.name.startswith(prefix)]


async def test_a_stop_with_a_dead_stub_leaves_nothing(tmp_path: Path, engine: Path) -> None:
    """A stub that was killed neither holds up the stop beyond Triton's own patience nor stays."""
    spec = toy_spec(TASK, engine)
    async with EmbeddedTriton(EmbeddedTritonOptions(run_root=tmp_path)) as triton:
        write_tier_models(spec, triton.repository, target=Target.EMBEDDED)
        await triton.load(spec.model)
        triton.stubs()[0].process.end()
        began = monotonic()
    assert monotonic() - began < 10
    assert traces(tmp_path) == []


@pytest.fixture
def killed_gateway(tmp_path: Path, engine: Path, repository_root: Path) -> Iterator[Process]:
    """The Triton of a gateway that has just been killed."""
    gateway = subprocess.Popen(
        [sys.executable, "-c", GATEWAY, str(tmp_path), str(engine)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=repository_root,
    )
    with gateway:
        assert gateway.stdout is not None
        triton = Process.of(int(gateway.stdout.readline()))
        gateway.kill()
    assert triton is not None
    yield triton
    triton.end()


def test_a_killed_gateway_leaves_no_triton(tmp_path: Path, killed_gateway: Process) -> None:
    """Triton goes by itself, and the next start sweeps what is left."""
    wait_until_gone(killed_gateway, within_s=9)
    sweep(tmp_path)
    assert traces(tmp_path) == []


def test_a_triton_that_cannot_go_is_swept(tmp_path: Path, killed_gateway: Process) -> None:
    """Even a Triton that is stopped in its tracks does not survive the next start."""
    killed_gateway.signal(signal.SIGSTOP)
    swept = sweep(tmp_path)
    assert len(swept) == 1
    wait_until_gone(killed_gateway, within_s=5)
    wait_until_clean(tmp_path, within_s=5)


async def test_a_triton_that_does_not_start_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error ends with Triton's own last words, and nothing is left."""
    monkeypatch.setattr("server.triton.server_process.arguments", lambda *_, **__: ["--model-repository=/nowhere"])
    with pytest.raises(TritonStartError) as caught:
        await EmbeddedTriton(EmbeddedTritonOptions(run_root=tmp_path)).start()
    assert "/nowhere" in caught.value.log_tail
    assert "exit code" in caught.value.cause
    assert traces(tmp_path) == []


async def test_a_port_that_is_taken_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between choosing the metrics' port and using it, somebody else may take it."""
    with socket.socket() as rival, socket.socket() as probe:
        rival.bind(("127.0.0.1", 0))
        rival.listen()
        probe.bind(("127.0.0.1", 0))
        ports = [rival.getsockname()[1], probe.getsockname()[1]]
        probe.close()
        monkeypatch.setattr("server.triton.server_process.free_port", iter(ports).__next__)
        async with EmbeddedTriton(EmbeddedTritonOptions(run_root=tmp_path)) as triton:
            assert triton.metrics_url == f"http://127.0.0.1:{ports[1]}/metrics"


async def test_a_stub_that_cannot_run_is_found_before_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Triton would wait 30 s for it; the error comes at once, with a cure."""

    def copy_broken(_: TritonDistribution, backends: Path) -> Path:
        backends.mkdir()
        stub = backends / STUB_NAME
        stub.write_text("#!/bin/sh\nexit 127\n")
        stub.chmod(0o755)
        return stub

    monkeypatch.setattr(embedded.TritonDistribution, "copy_backend", copy_broken)
    with pytest.raises(TritonSetupError) as caught:
        await EmbeddedTriton(EmbeddedTritonOptions(run_root=tmp_path)).start()
    assert caught.value.cure
    assert traces(tmp_path) == []


async def test_two_gateways_live_side_by_side(tmp_path: Path) -> None:
    """The second start sweeps nothing of the first."""
    options = EmbeddedTritonOptions(run_root=tmp_path)
    async with EmbeddedTriton(options) as first, EmbeddedTriton(options) as second:
        assert first.address != second.address
        assert await first.client.is_ready()
        assert await second.client.is_ready()
