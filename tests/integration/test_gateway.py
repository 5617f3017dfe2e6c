"""The whole gateway, in a process of its own with a real Triton: answers, bad input, faults, and a clean end."""

import asyncio
import csv
import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import grpc.aio
import numpy as np
import onnxruntime
import pytest
from builders import TASK
from fakes import until
from gateway_process import Served, serving
from otlp_receiver import OtlpReceiver
from PIL import Image
from toy_engine import SIZE_PX, toy_photo
from toy_release import PHOTO_NAME, write_toy_release

from loupe.client import AsyncLoupeClient
from loupe.errors import InvalidRequestError, LoupeError, NotFoundError, UnavailableError
from loupe.options import inspect_request
from loupe.v1.inspection_service_pb2_grpc import InspectionServiceStub
from server.domain.calibration.probability import softmax
from server.imaging import prepare
from server.triton.processes import Process, own_processes
from server.triton.run_directory import SHARED_MEMORY

pytestmark = pytest.mark.integration

ORIENTATION_TAG = 0x0112
STUB = "triton_python_backend_stub"


@pytest.fixture(scope="module")
def model_repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release of the bread task with two tiers, of which the first is never sure."""
    root = tmp_path_factory.mktemp("models")
    write_toy_release(root, "fast", "full", threshold=1.0)
    return root


@pytest.fixture(scope="module")
def served(model_repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One gateway for the tests that leave it as it was; how many ask at once does not change its answers."""
    with serving(model_repository, tmp_path_factory.mktemp("run"), escalation_backlog="64") as gateway:
        yield gateway


@pytest.fixture
def own_served(model_repository: Path, tmp_path: Path) -> Iterator[Served]:
    """A gateway of the test's own, to be stopped or broken."""
    with serving(model_repository, tmp_path) as gateway:
        yield gateway


def traces(run_name: str) -> list[str]:
    """Returns what is left of a gateway's Triton: shared memory and processes."""
    memory = [each.name for each in SHARED_MEMORY.iterdir() if each.name.startswith(run_name)]
    return memory + [" ".join(each.command()) for each in own_processes() if run_name in " ".join(each.command())]


def triton_processes(run_name: str, program: str) -> list[Process]:
    """Returns the processes of a gateway's Triton that run this program."""
    return [
        each
        for each in own_processes()
        if Path((each.command() or ["?"])[0]).name == program
        and any(run_name in argument for argument in each.command())
    ]


async def answered(client: AsyncLoupeClient, failures: list[LoupeError]) -> bool:
    """Whether a call is answered in full, and within two seconds either way; keeps the error if it is not."""
    await asyncio.sleep(0.02)
    began_s = time.monotonic()
    try:
        answer = await client.inspect(toy_photo(), task="bread", timeout_s=5)
    except LoupeError as error:
        failures.append(error)
        assert time.monotonic() - began_s < 2
        return False
    return not answer.trace.degraded


async def test_an_answer_is_the_engines_own(served: Served) -> None:
    """Through gateway and Triton come the very numbers that the engine gives for the prepared photo."""
    photo = toy_photo(seed=7)
    engine = served.model_repository / "triton" / "bread_r1_full_engine" / "1" / "model.onnx"
    session = onnxruntime.InferenceSession(engine)
    [logits, attention] = session.run(["kind", "attention_map"], {"image": prepare(photo, size_px=SIZE_PX)[np.newaxis]})
    expected = softmax(logits[0].astype(np.float64))
    async with served.client() as client:
        answer = await client.inspect(photo, task="bread", include_attention_map=True)
    kind = answer.answers[0].category
    assert kind.label == TASK.head("kind").labels[int(expected.argmax())]
    assert kind.raw_confidence == pytest.approx(expected.max(), abs=1e-4)
    assert list(answer.attention_map.weights) == pytest.approx(attention[0].ravel().tolist(), abs=1e-4)
    assert [each.tier for each in answer.trace.tier_runs] == ["fast", "full"]


async def test_orientation_is_honoured(served: Served) -> None:
    """Eight files that say how one photo lies give one answer."""
    upright = Image.open(io.BytesIO(toy_photo(240, 240))).convert("RGB")
    turn = Image.Transpose
    stored_as = {
        1: None,
        2: turn.FLIP_LEFT_RIGHT,
        3: turn.ROTATE_180,
        4: turn.FLIP_TOP_BOTTOM,
        5: turn.TRANSPOSE,
        6: turn.ROTATE_90,
        7: turn.TRANSVERSE,
        8: turn.ROTATE_270,
    }
    answers = []
    async with served.client() as client:
        for orientation, transposition in stored_as.items():
            stored = upright if transposition is None else upright.transpose(transposition)
            exif = Image.Exif()
            exif[ORIENTATION_TAG] = orientation
            buffer = io.BytesIO()
            stored.save(buffer, "PNG", exif=exif)
            answer = await client.inspect(buffer.getvalue(), task="bread")
            answers.append([each.category.raw_confidence for each in answer.answers[:2]])
    assert np.ptp(answers, axis=0).max() < 1e-5


async def test_every_acceptable_photo_is_answered(served: Served, shared_material: Path) -> None:
    """Real, odd and tiny ones: HEIC, WebP, CMYK, 16-bit, rotated."""
    folder = shared_material / "hostile_images"
    with (folder / "MANIFEST.csv").open(newline="") as manifest:
        files = [each["file"] for each in csv.DictReader(manifest) if each["expect"] == "accept"]
    assert len(files) > 600
    async with served.client() as client:
        refused = {}
        for name in files:
            try:
                await client.inspect(folder / name, task="bread")
            except LoupeError as error:
                refused[name] = str(error)
    assert refused == {}


async def test_bad_input_disturbs_nobody(served: Served) -> None:
    """Beside good requests, bad ones get the status that the contract says, and the gateway stays well."""
    good, size = toy_photo(), 10 * 1024 * 1024
    damaged = good[: len(good) // 2]
    bad = [(b"", "EMPTY"), (b"GIF89a", "UNKNOWN_FORMAT"), (damaged, "UNDECODABLE"), (bytes(size + 1), "TOO_MANY_BYTES")]
    async with served.client() as client:

        async def refuse(photo: bytes, reason: str) -> None:
            with pytest.raises(InvalidRequestError) as error:
                await client.inspect(photo, task="bread")
            assert error.value.violations[0].reason == reason

        async def not_found(**change: object) -> None:
            with pytest.raises(NotFoundError):
                await client.inspect(good, **({"task": "bread"} | change))

        async def answer() -> None:
            assert (await client.inspect(good, task="bread")).inspection

        await asyncio.gather(
            *(refuse(*each) for each in bad * 5),
            *(answer() for _ in range(30)),
            not_found(task="cheese"),
            not_found(heads=["size"]),
        )
        assert await client.is_serving()


async def test_photos_that_travel_together_get_their_own_answers(served: Served) -> None:
    """What many photos at once are answered is what each is answered alone, and one bad photo changes nothing."""
    photos = [toy_photo(seed=seed) for seed in range(24)]
    damaged = photos[0][: len(photos[0]) // 2]
    async with served.client() as client:
        alone = [(await client.inspect(each, task="bread")).answers[0].category.raw_confidence for each in photos]
        calls = [client.inspect(each, task="bread") for each in [*photos, damaged]]
        *answers, refusal = await asyncio.gather(*calls, return_exceptions=True)
    together = [each.answers[0].category.raw_confidence for each in answers]
    assert len({round(each, 4) for each in alone}) > 12
    assert together == pytest.approx(alone, abs=1e-4)
    assert isinstance(refusal, InvalidRequestError)


async def test_a_client_that_goes_away_disturbs_nobody(served: Served) -> None:
    """Cancelled calls and calls without time leave no place taken."""
    photo = toy_photo()
    async with served.client() as client:
        calls = [asyncio.create_task(client.inspect(photo, task="bread")) for _ in range(40)]
        await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
        for call in calls[::2]:
            call.cancel()
        late = [client.inspect(photo, task="bread", timeout_s=0.002) for _ in range(40)]
        await asyncio.gather(*calls, *late, return_exceptions=True)
        began_s = time.monotonic()
        for _ in range(20):
            await client.inspect(photo, task="bread")
    assert time.monotonic() - began_s < 5


async def test_a_stop_under_load_finishes_what_was_begun(own_served: Served) -> None:
    """Calls in flight are answered, new ones refused; exit code 0, and nothing is left."""
    run_name = own_served.run_name
    slow = io.BytesIO()
    Image.new("1", (8000, 6000)).save(slow, "PNG")
    async with own_served.client() as client:
        await client.inspect(toy_photo(), task="bread")
        in_flight = [asyncio.create_task(client.inspect(slow.getvalue(), task="bread")) for _ in range(4)]
        await until(lambda: own_served.requests_inside() == 4)
        begun = [each for each in in_flight if not each.done()]
        own_served.process.send_signal(signal.SIGTERM)
        refusals = []
        while not all(each.done() for each in in_flight):
            try:
                await client.inspect(toy_photo(), task="bread")
            except UnavailableError as error:
                refusals.append(error)
                await asyncio.sleep(0.05)
        answers = await asyncio.gather(*in_flight)
    assert begun
    assert len({each.inspection for each in answers}) == 4
    assert any(each.reason == "DRAINING" and each.retry_after_s for each in refusals)
    assert await asyncio.to_thread(own_served.process.wait, 40) == 0
    assert traces(run_name) == []
    assert list(own_served.run_root.glob("loupe_*")) == []


def test_ctrl_c_ends_it_cleanly(own_served: Served) -> None:
    """As SIGTERM does."""
    run_name = own_served.run_name
    own_served.process.send_signal(signal.SIGINT)
    assert own_served.process.wait(40) == 0
    assert traces(run_name) == []
    assert "Stopping Triton" in (own_served.run_root / "gateway.log").read_text()


async def test_a_killed_triton_is_served_around(own_served: Served) -> None:
    """Calls in between end UNAVAILABLE with RetryInfo, none hangs, and ten seconds later all is well."""
    run_name = own_served.run_name
    [triton] = triton_processes(run_name, "tritonserver")
    async with own_served.client() as client:
        await client.inspect(toy_photo(), task="bread")
        triton.end()
        killed_s = time.monotonic()
        failures: list[LoupeError] = []
        while not (await answered(client, failures) and failures):
            assert time.monotonic() - killed_s < 10
        await client.wait_until_serving(timeout_s=10)
    assert {type(each) for each in failures} == {UnavailableError}
    assert all(each.reason == "BACKEND_UNAVAILABLE" and each.retry_after_s for each in failures)
    assert own_served.stop() == 0
    assert traces(run_name) == []


async def test_a_killed_stub_is_served_around(own_served: Served) -> None:
    """Calls that it takes down end UNAVAILABLE with RetryInfo, none hangs, and in three seconds it is replaced."""
    run_name = own_served.run_name
    stubs = triton_processes(run_name, STUB)
    async with own_served.client() as client:
        await client.inspect(toy_photo(), task="bread")
        stubs[0].end()
        killed_s = time.monotonic()
        failures: list[LoupeError] = []
        in_a_row = 0
        while in_a_row < 20:
            in_a_row = in_a_row + 1 if await answered(client, failures) else 0
            assert time.monotonic() - killed_s < 3
        assert not set(triton_processes(run_name, STUB)).issubset(stubs)
    assert all(isinstance(each, UnavailableError) and each.retry_after_s for each in failures)
    assert own_served.stop() == 0
    assert traces(run_name) == []


async def test_a_trace_goes_through_to_triton(model_repository: Path, tmp_path: Path) -> None:
    """The caller's trace holds the call, each tier, each call of Triton, and Triton's own spans below these.

    Triton 2.51 now and then keeps the spans of one call to itself (19 of 20 arrived): some must be there.
    """
    trace_id = "0af7651916cd43dd8448eb211c80319c"
    with (
        OtlpReceiver() as receiver,
        serving(model_repository, tmp_path, otlp_endpoint=receiver.endpoint, trace_share="0") as gateway,
    ):
        request = inspect_request(toy_photo(), task="bread")
        async with grpc.aio.insecure_channel(gateway.address) as channel:
            inspect = InspectionServiceStub(channel).InspectImage
            await inspect(request, timeout=30, metadata=(("traceparent", f"00-{trace_id}-b7ad6b7169203331-01"),))
            await inspect(request, timeout=30)
        assert await asyncio.to_thread(gateway.stop) == 0
    assert {each.trace_id for each in receiver.spans} == {trace_id}
    ours = [each for each in receiver.spans if each.service == "loupe"]
    assert sorted(each.name for each in ours) == [
        "loupe.v1.InspectionService/InspectImage",
        "tier fast",
        "tier full",
        "triton",
        "triton",
    ]
    calls = {each.span_id for each in ours if each.name == "triton"}
    tritons = [each for each in receiver.spans if each.service == "loupe-triton"]
    assert calls & {each.parent_id for each in tritons}
    assert {each.trace_id for each in tritons} == {trace_id}


async def test_prometheus_finds_what_was_served(served: Served) -> None:
    """Each answer is counted under its task, tier and stop reason."""
    async with served.client() as client:
        await client.inspect(toy_photo(), task="bread")
        with pytest.raises(InvalidRequestError):
            await client.inspect(b"no photo", task="bread")
    samples = await asyncio.to_thread(served.metrics)
    counts = [each.labels for each in samples if each.name == "loupe_inspection_duration_seconds_count"]
    assert any((each["code"], each["task"], each["tier"]) == ("OK", "bread", "full") for each in counts)
    assert any((each["code"], each["task"], each["tier"]) == ("INVALID_ARGUMENT", "bread", "none") for each in counts)
    tiers = [each.labels for each in samples if each.name == "loupe_tier_in_flight"]
    assert {(each["model"], each["tier"]) for each in tiers} >= {("bread_r1_fast", "fast"), ("bread_r1_full", "full")}


def test_a_taken_metrics_port_is_said(served: Served, tmp_path: Path) -> None:
    """With the setting that mends it."""
    environment = {
        **os.environ,
        "LOUPE_LISTEN": "127.0.0.1:0",
        "LOUPE_METRICS_LISTEN": served.metrics_url.split("/")[2],
        "LOUPE_MODEL_REPOSITORY": str(served.model_repository),
        "LOUPE_RUN_ROOT": str(tmp_path),
    }
    command = [sys.executable, "-m", "server", "serve"]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert result.returncode == 1
    assert "LOUPE_METRICS_LISTEN" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_taken_port_is_said(served: Served, tmp_path: Path) -> None:
    """Two gateways on one port: the second says why it cannot start, and leaves nothing."""
    environment = {
        **os.environ,
        "LOUPE_LISTEN": served.address,
        "LOUPE_METRICS_LISTEN": "",
        "LOUPE_MODEL_REPOSITORY": str(served.model_repository),
        "LOUPE_RUN_ROOT": str(tmp_path),
    }
    result = subprocess.run(
        [sys.executable, "-m", "server", "serve"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert result.returncode == 1
    assert "cannot listen" in result.stderr
    assert "LOUPE_LISTEN" in result.stderr
    assert "Traceback" not in result.stderr
    assert list(tmp_path.glob("loupe_*")) == []


def test_the_sample_is_answered_and_the_next_command_is_named(model_repository: Path, tmp_path: Path) -> None:
    """`loupe serve` sends the release's photo through the public API, and says how to send another."""
    environment = {
        **os.environ,
        "LOUPE_LISTEN": "127.0.0.1:0",
        "LOUPE_METRICS_LISTEN": "127.0.0.1:0",
        "LOUPE_MODEL_REPOSITORY": str(model_repository),
        "LOUPE_RUN_ROOT": str(tmp_path),
        "COLUMNS": "160",
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "server", "serve"], env=environment, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if "Ctrl-C" in line:
            process.send_signal(signal.SIGINT)
    assert process.wait(40) == 0
    output = "".join(lines)
    for word in (PHOTO_NAME, "kind", "Recommendation: ", "loupe inspect PHOTO --address 127.0.0.1:"):
        assert word in output
