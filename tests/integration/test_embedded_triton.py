"""The real embedded Triton answers: the same numbers as the engine alone, and one error a bad request."""

import asyncio
import io
import os
import resource
import stat
import urllib.request
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import grpc
import grpc.aio
import numpy as np
import onnxruntime
import pytest
import pytest_asyncio
from builders import TASK
from PIL import Image
from toy_engine import SIZE_PX, toy_photo, toy_ref, toy_spec, write_toy_engine
from tritonclient.grpc import service_pb2, service_pb2_grpc

from server.domain.errors import BackendUnavailableError, DeadlineExpiredError, PhotoRefusedError
from server.domain.prediction import RawPrediction, Wanted
from server.imaging import prepare
from server.triton.embedded import EmbeddedTriton
from server.triton.engines import TritonEngines
from server.triton.errors import ModelLoadError
from server.triton.known_answer import ServedTier, check_tier, compute_known_answer
from server.triton.repository import Target, TierModelSpec, write_tier_models
from server.triton.run_directory import SHARED_MEMORY

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

HEADS = ("kind", "grade", "signs")


@dataclass
class Served:
    """A running Triton with the toy tier, and the port to it."""

    triton: EmbeddedTriton
    engines: TritonEngines
    spec: TierModelSpec

    async def infer(self, photo: bytes, *, spec: TierModelSpec | None = None, timeout_s: float = 10.0) -> RawPrediction:
        """Runs a tier with all of its outputs."""
        ref = toy_ref(spec or self.spec)
        return await self.engines.infer(ref, photo, Wanted(HEADS, attention=True), timeout_s=timeout_s)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    """One Triton for this module."""
    spec = toy_spec(TASK, write_toy_engine(tmp_path_factory.mktemp("engines") / "toy.onnx", TASK))
    async with EmbeddedTriton() as triton, TritonEngines(triton.address) as engines:
        write_tier_models(spec, triton.repository, target=Target.EMBEDDED)
        await triton.load(spec.model)
        yield Served(triton, engines, spec)


def run_alone(engine_path: Path, photo: bytes) -> dict[str, np.ndarray]:
    """Returns the outputs of an engine for one photo, without any server."""
    session = onnxruntime.InferenceSession(engine_path, providers=["CPUExecutionProvider"])
    names = [each.name for each in session.get_outputs()]
    outputs = session.run(names, {"image": prepare(photo, size_px=SIZE_PX)[np.newaxis]})
    return {name: output[0] for name, output in zip(names, outputs, strict=True)}


async def test_answers_are_those_of_the_engine_alone(served: Served) -> None:
    """Server, wire and both steps change nothing: decoded by imaging, computed by the engine."""
    for seed in range(5):
        photo = toy_photo(seed=seed)
        prediction = await served.infer(photo)
        alone = run_alone(served.spec.engine_path, photo)
        for head in HEADS:
            np.testing.assert_allclose(prediction.logits[head], alone[head], rtol=1e-4, atol=1e-4)
        assert prediction.attention is not None
        np.testing.assert_allclose(prediction.attention, alone["attention_map"], rtol=1e-4, atol=1e-4)
        uncertainty = [prediction.feature_distance, prediction.logit_variance]
        np.testing.assert_allclose(uncertainty, alone["uncertainty"], rtol=1e-4, atol=1e-4)


async def test_only_what_is_asked_for_comes_back(served: Served) -> None:
    """One head, no attention map."""
    prediction = await served.engines.infer(toy_ref(served.spec), toy_photo(), Wanted(("grade",)), timeout_s=10)
    assert set(prediction.logits) == {"grade"}
    assert prediction.attention is prediction.pixels is None


async def test_a_photo_is_decoded_once_for_several_engines(served: Served) -> None:
    """What one engine took is given back, is what imaging makes of the photo, and gets the same answer."""
    ref, photo = toy_ref(served.spec), toy_photo()
    first = await served.engines.infer(ref, photo, Wanted(HEADS, pixels=True), timeout_s=10)
    assert first.pixels is not None
    assert bytes(first.pixels.content) == prepare(photo, size_px=ref.input_size_px).tobytes()
    again = await served.engines.infer(ref, first.pixels, Wanted(HEADS, attention=True), timeout_s=10)
    assert all(np.array_equal(again.logits[head], first.logits[head]) for head in HEADS)
    assert again.feature_distance == first.feature_distance
    assert again.attention is not None


@pytest.mark.parametrize(
    ("photo", "code"),
    [(b"", "EMPTY"), (b"no photo at all", "UNKNOWN_FORMAT"), (toy_photo()[:1500], "UNDECODABLE")],
)
async def test_a_bad_photo_is_refused_by_its_code(served: Served, photo: bytes, code: str) -> None:
    """The refusal crosses Triton; no text of a decoder does."""
    with pytest.raises(PhotoRefusedError) as caught:
        await served.infer(photo)
    assert caught.value.code == code


async def test_bad_photos_hurt_no_neighbour(served: Served) -> None:
    """Among many bad ones in flight, every good photo gets its own answer."""
    photos = [toy_photo(seed=index) if index % 3 else toy_photo()[:1000] for index in range(48)]
    answers = await asyncio.gather(*(served.infer(photo) for photo in photos), return_exceptions=True)
    for index, (photo, answer) in enumerate(zip(photos, answers, strict=True)):
        if index % 3 == 0:
            assert isinstance(answer, PhotoRefusedError)
        else:
            assert isinstance(answer, RawPrediction)
            alone = run_alone(served.spec.engine_path, photo)
            np.testing.assert_allclose(answer.logits["kind"], alone["kind"], rtol=1e-4, atol=1e-4)


async def test_fifty_megapixels_fit_in_the_sandbox(served: Served) -> None:
    """The memory limit of the decoding process leaves room for the largest photo, with transparency."""
    buffer = io.BytesIO()
    Image.new("RGBA", (10_000, 5_000), (180, 90, 20, 200)).save(buffer, "PNG", compress_level=1)
    prediction = await served.infer(buffer.getvalue(), timeout_s=60)
    assert set(prediction.logits) == set(HEADS)


async def test_decoding_runs_under_a_memory_limit(served: Served) -> None:
    """Every preprocessing process has a bounded address space and writes no core dump."""
    stubs = [stub for stub in served.triton.stubs() if stub.model == served.spec.preprocess_model]
    assert len(stubs) == 2
    for stub in stubs:
        assert resource.prlimit(stub.process.pid, resource.RLIMIT_AS) == (3 << 30, 3 << 30)
        assert resource.prlimit(stub.process.pid, resource.RLIMIT_CORE) == (0, 0)


async def test_time_that_is_over_is_an_expired_deadline(served: Served) -> None:
    """Too short a time, and none at all."""
    slow = toy_photo(4000, 3000, photo_format="PNG")
    for timeout_s in (0.005, 0.0, -1.0):
        with pytest.raises(DeadlineExpiredError):
            await served.infer(slow, timeout_s=timeout_s)


async def test_a_cancelled_call_ends_at_once_and_harms_nothing(served: Served) -> None:
    """A caller that goes away frees its place, and the next call is answered."""
    call = asyncio.create_task(served.infer(toy_photo(3000, 2000)))
    await asyncio.sleep(0.005)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert await served.infer(toy_photo())


async def test_an_unknown_model_is_an_unavailable_backend(served: Served) -> None:
    """The gateway asks only for models of releases, so a model that is not there is not there yet."""
    with pytest.raises(BackendUnavailableError):
        await served.infer(toy_photo(), spec=replace(served.spec, model="bread_r9_fast"))


async def test_two_releases_live_side_by_side(served: Served, tmp_path: Path) -> None:
    """Loading and unloading a second release disturbs no call of the first; each answers from its own engine."""
    second = toy_spec(TASK, write_toy_engine(tmp_path / "second.onnx", TASK, seed=1), model="bread_r2_fast")
    photo, is_over = toy_photo(), asyncio.Event()
    expected = run_alone(served.spec.engine_path, photo)["kind"]

    async def call_first() -> int:
        count = 0
        while not is_over.is_set():
            prediction = await served.infer(photo)
            np.testing.assert_allclose(prediction.logits["kind"], expected, rtol=1e-4, atol=1e-4)
            count += 1
        return count

    calls = asyncio.create_task(call_first())
    write_tier_models(second, served.triton.repository, target=Target.EMBEDDED)
    await served.triton.load(second.model)
    prediction = await served.infer(photo, spec=second)
    np.testing.assert_allclose(
        prediction.logits["kind"], run_alone(second.engine_path, photo)["kind"], rtol=1e-4, atol=1e-4
    )
    await served.triton.unload(second.model)
    with pytest.raises(BackendUnavailableError):
        await served.infer(photo, spec=second)
    is_over.set()
    assert await calls > 0


async def test_a_broken_engine_is_refused_by_name(served: Served, tmp_path: Path) -> None:
    """A file that is no ONNX model fails to load and harms nothing else."""
    path = tmp_path / "broken.onnx"
    path.write_bytes(b"no engine")
    broken = toy_spec(TASK, path, model="bread_r3_fast")
    write_tier_models(broken, served.triton.repository, target=Target.EMBEDDED)
    with pytest.raises(ModelLoadError) as caught:
        await served.triton.load(broken.model)
    assert caught.value.model == broken.model
    assert await served.infer(toy_photo())


async def test_known_answers_hold_and_tell_the_step_at_fault(served: Served) -> None:
    """What was computed is found again; a changed expectation names the model that differs."""
    photo, client = toy_photo(), served.triton.client
    known = await compute_known_answer(client, served.spec, photo=photo, photo_path="known.jpg")
    assert await check_tier(client, ServedTier(served.spec, known, photo), timeout_s=10) == ()

    shifted = replace(known, block_means=tuple(value + 5 for value in known.block_means))
    (finding,) = await check_tier(client, ServedTier(served.spec, shifted, photo), timeout_s=10)
    assert finding.startswith(f"{served.spec.preprocess_model}: ")

    other = replace(known, pattern_outputs={name: (0.0,) * len(v) for name, v in known.pattern_outputs.items()})
    findings = await check_tier(client, ServedTier(served.spec, other, photo), timeout_s=10)
    assert {each.partition(":")[0] for each in findings} == {served.spec.engine_model}

    (finding,) = await check_tier(client, ServedTier(served.spec, known, toy_photo(seed=1)), timeout_s=10)
    assert "another content" in finding


async def test_nothing_is_open_to_other_users(served: Served) -> None:
    """The server listens on a socket in a directory of this user alone, and its shared memory is private."""
    check_private(served)


def check_private(served: Served) -> None:
    """Asserts the modes of everything that other users could otherwise open."""
    socket_path = Path(served.triton.address.removeprefix("unix:"))
    assert stat.S_ISSOCK(socket_path.stat().st_mode)
    assert socket_path.parent.stat().st_mode & 0o077 == 0
    regions = [each for each in SHARED_MEMORY.iterdir() if each.name.startswith(socket_path.parent.name)]
    assert len(regions) >= 4
    assert all(each.stat().st_mode & 0o077 == 0 for each in regions)


async def test_shared_memory_cannot_be_registered(served: Served) -> None:
    """The way of the known attacks on this Triton's Python backend is closed to everyone."""
    async with grpc.aio.insecure_channel(served.triton.address) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        request = service_pb2.SystemSharedMemoryRegisterRequest(name="x", key="/x", byte_size=8)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.SystemSharedMemoryRegister(request, timeout=5)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_metrics_are_offered_on_loopback(served: Served) -> None:
    """Prometheus finds the counters of the tier's models."""
    await served.infer(toy_photo())
    with await asyncio.to_thread(urllib.request.urlopen, served.triton.metrics_url, timeout=5) as answer:
        text = answer.read().decode()
    assert f'nv_inference_request_success{{model="{served.spec.model}"' in text


async def test_the_server_leads_a_session_of_its_own(served: Served) -> None:
    """Ctrl-C in the terminal reaches the gateway and not Triton."""
    assert os.getsid(served.triton.pid) == served.triton.pid
    assert os.getsid(0) != served.triton.pid
