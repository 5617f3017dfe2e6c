"""The supervised Triton mends itself: real processes are killed, and calls go on or fail at once, none hangs."""

import asyncio
import os
import shutil
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import pytest_asyncio
from builders import TASK
from toy_engine import toy_photo, toy_ref, toy_spec, write_toy_engine

from server.domain.errors import BackendUnavailableError, ReleaseRefusedError
from server.domain.known_answer import KnownAnswer
from server.domain.prediction import Wanted
from server.triton.backend_state import BackendState
from server.triton.embedded import EmbeddedTriton
from server.triton.engines import TritonEngines
from server.triton.known_answer import ServedTier, compute_known_answer
from server.triton.repository import Target, TierModelSpec, write_tier_models
from server.triton.supervisor import SupervisorOptions, TritonSupervisor

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

PHOTO = toy_photo()
LONGEST_CALL_S = 4.0


@dataclass
class Traffic:
    """What callers saw: how long each call took, and how it ended."""

    durations_s: list[float] = field(default_factory=list)
    errors: list[Exception] = field(default_factory=list)


@dataclass
class Supervised:
    """A Triton under supervision, serving the toy tier."""

    triton: EmbeddedTriton
    supervisor: TritonSupervisor
    engines: TritonEngines
    tier: ServedTier
    states: list[BackendState]

    async def call(self) -> None:
        """Runs the tier once."""
        await self.engines.infer(toy_ref(self.tier.spec), PHOTO, Wanted(("kind",)), timeout_s=LONGEST_CALL_S)

    @asynccontextmanager
    async def traffic(self) -> AsyncIterator[Traffic]:
        """Keeps four callers calling inside."""
        seen, is_over = Traffic(), asyncio.Event()
        loop = asyncio.get_running_loop()

        async def caller() -> None:
            while not is_over.is_set():
                began = loop.time()
                try:
                    await self.call()
                except Exception as error:  # noqa: BLE001 -- the test judges it
                    seen.errors.append(error)
                    await asyncio.sleep(0.01)
                seen.durations_s.append(loop.time() - began)

        callers = [asyncio.create_task(caller()) for _ in range(4)]
        try:
            yield seen
        finally:
            is_over.set()
            await asyncio.gather(*callers)

    async def reached(self, wanted: BackendState) -> None:
        """Waits until the supervisor says that it is in a state."""
        arrived = asyncio.Event()
        unsubscribe = self.supervisor.subscribe(lambda state: arrived.set() if state is wanted else None)
        await arrived.wait()
        unsubscribe()

    async def wait_recovered(self, break_it: Callable[[], None], *, within_s: float) -> None:
        """Breaks something, and waits until the supervisor has noticed and every call is answered again."""
        self.states.clear()
        break_it()
        async with asyncio.timeout(within_s):
            await self.reached(BackendState.RECOVERING)
            await self.reached(BackendState.SERVING)
        assert self.states == [BackendState.RECOVERING, BackendState.SERVING]
        for _ in range(20):
            await self.call()


async def known_answer_of(spec: TierModelSpec) -> KnownAnswer:
    """Computes a known answer as the build does, in a Triton of its own."""
    async with EmbeddedTriton() as triton:
        write_tier_models(spec, triton.repository, target=Target.EMBEDDED)
        await triton.load(spec.model)
        return await compute_known_answer(triton.client, spec, photo=PHOTO, photo_path="known.jpg")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def supervised(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Supervised]:
    """One supervised Triton for this module."""
    folder = tmp_path_factory.mktemp("engines")
    spec = toy_spec(TASK, write_toy_engine(folder / "toy.onnx", TASK))
    tier = ServedTier(spec, await known_answer_of(spec), PHOTO)
    states: list[BackendState] = []
    options = SupervisorOptions(canary_interval_s=0.5, answer_timeout_s=3.0)
    async with EmbeddedTriton() as triton, TritonEngines(triton.address) as engines:
        async with TritonSupervisor(triton, options) as supervisor:
            supervisor.subscribe(states.append)
            await supervisor.deploy(tier)
            assert states == [BackendState.STARTING, BackendState.SERVING]
            yield Supervised(triton, supervisor, engines, tier, states)
        assert supervisor.state is BackendState.STOPPED


@pytest.mark.parametrize("step", ["preprocess", "engine"])
async def test_a_killed_stub_is_replaced_within_3_s(supervised: Supervised, step: str) -> None:
    """The other instance serves on; calls that met the dead one end as an unavailable backend."""
    stub = next(each for each in supervised.triton.stubs() if each.model.endswith(step))
    server = supervised.triton.pid
    async with supervised.traffic() as traffic:
        await supervised.wait_recovered(stub.process.end, within_s=3)
    assert supervised.triton.pid == server, "a dead stub needs no restart of Triton"
    assert {type(error) for error in traffic.errors} <= {BackendUnavailableError}
    assert max(traffic.durations_s) < LONGEST_CALL_S


async def test_all_stubs_killed_at_once_are_replaced(supervised: Supervised) -> None:
    """Stubs tend to die together, for want of memory."""
    stubs = supervised.triton.stubs()
    await supervised.wait_recovered(lambda: [each.process.end() for each in stubs], within_s=10)


async def test_a_killed_triton_is_restarted_within_10_s(supervised: Supervised) -> None:
    """The same channel serves again; calls in between end as an unavailable backend, none hangs."""
    address = supervised.triton.address
    async with supervised.traffic() as traffic:
        await supervised.wait_recovered(lambda: os.kill(supervised.triton.pid, signal.SIGKILL), within_s=10)
    assert supervised.triton.address == address
    assert traffic.errors
    assert {type(error) for error in traffic.errors} == {BackendUnavailableError}
    assert max(traffic.durations_s) < LONGEST_CALL_S


async def test_a_stub_that_hangs_is_noticed_by_the_canary(supervised: Supervised) -> None:
    """A stopped process has not ended; only the known photo tells."""
    stub = supervised.triton.stubs()[0]
    await supervised.wait_recovered(lambda: stub.process.signal(signal.SIGSTOP), within_s=20)
    assert not stub.process.is_alive()


async def test_a_wrong_known_answer_is_refused(supervised: Supervised) -> None:
    """A second release that does not give its known answers never serves, and the first serves on."""
    known = supervised.tier.known_answer
    wrong = replace(known, photo_outputs={name: (9.0,) * len(v) for name, v in known.photo_outputs.items()})
    spec = replace(supervised.tier.spec, model="bread_r2_fast")
    with pytest.raises(ReleaseRefusedError) as caught:
        await supervised.supervisor.deploy(ServedTier(spec, wrong, PHOTO))
    assert all("is off by" in finding for finding in caught.value.findings)
    assert supervised.supervisor.state is BackendState.SERVING
    await supervised.call()
    with pytest.raises(BackendUnavailableError):
        await supervised.engines.infer(toy_ref(spec), PHOTO, Wanted(("kind",)), timeout_s=4)


async def test_a_broken_engine_is_refused(supervised: Supervised, tmp_path: Path) -> None:
    """A file that cannot be loaded is a refused release."""
    path = tmp_path / "broken.onnx"
    path.write_bytes(b"no engine")
    tier = replace(supervised.tier, spec=replace(supervised.tier.spec, model="bread_r2_fast", engine_path=path))
    with pytest.raises(ReleaseRefusedError):
        await supervised.supervisor.deploy(tier)
    assert supervised.supervisor.state is BackendState.SERVING


async def test_a_withdrawn_tier_is_neither_served_nor_missed(supervised: Supervised) -> None:
    """Its stubs end, and nobody takes that for trouble."""
    second = replace(supervised.tier, spec=replace(supervised.tier.spec, model="bread_r2_fast"))
    await supervised.supervisor.deploy(second)
    stubs = [each for each in supervised.triton.stubs() if each.model in second.spec.steps]
    assert len(stubs) == 4
    supervised.states.clear()
    await supervised.supervisor.withdraw(second.spec.model)
    async with asyncio.timeout(10):
        for stub in stubs:
            await stub.process.wait_exited()
    assert supervised.states == []
    await supervised.call()


async def test_wrong_answers_while_serving_are_noticed_and_not_served_on(
    supervised: Supervised, tmp_path: Path
) -> None:
    """An engine that changes under way is caught by the canary; it serves again only when it is right again."""
    engine, other = supervised.tier.spec.engine_path, write_toy_engine(tmp_path / "other.onnx", TASK, seed=1)
    original = shutil.copyfile(engine, tmp_path / "original.onnx")
    supervised.states.clear()
    shutil.copyfile(other, engine)
    await supervised.triton.reload(supervised.tier.spec.engine_model)
    async with asyncio.timeout(10):
        await supervised.reached(BackendState.RECOVERING)
    shutil.copyfile(original, engine)
    async with asyncio.timeout(20):
        await supervised.reached(BackendState.SERVING)
    assert supervised.states == [BackendState.RECOVERING, BackendState.SERVING]
    await supervised.call()
