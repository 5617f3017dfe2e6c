"""The supervisor's decisions, on a Triton without processes: what it mends, in which order, and what it says."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from builders import KNOWN_ANSWER, TASK
from fakes import until
from toy_engine import SIZE_PX, toy_spec

from server.domain.errors import BackendUnavailableError, ReleaseRefusedError
from server.triton.backend_state import BackendState
from server.triton.embedded import Stub
from server.triton.errors import ModelLoadError, TritonStartError
from server.triton.known_answer import ServedTier, block_means
from server.triton.supervisor import SupervisorOptions, TritonSupervisor

PHOTO = b"a photo"
IMAGE = np.zeros((1, SIZE_PX, SIZE_PX, 3), np.uint8)
RIGHT = {"kind": np.float32([[1, 2, 3]])}
WRONG = {"kind": np.float32([[7, 7, 7]])}
SPEC = toy_spec(TASK, Path("/models/toy.onnx"))
TIER = ServedTier(
    SPEC,
    replace(
        KNOWN_ANSWER,
        photo_sha256=sha256(PHOTO).hexdigest(),
        block_means=tuple(block_means(IMAGE[0]).ravel()),
        pattern_outputs={"kind": (1.0, 2.0, 3.0)},
        photo_outputs={"kind": (1.0, 2.0, 3.0)},
    ),
    PHOTO,
)
STRONGER = replace(TIER, spec=replace(SPEC, model="bread_r1_full"))


class FakeProcess:
    """A process that ends when it is told to."""

    pid = 1

    def __init__(self) -> None:
        self._ended = asyncio.Event()

    def is_alive(self) -> bool:
        """Whether nobody has ended it."""
        return not self._ended.is_set()

    def end(self) -> None:
        """Ends it."""
        self._ended.set()

    async def wait_exited(self) -> None:
        """Returns when it has ended."""
        await self._ended.wait()


class FakeTriton:
    """Loads and answers as told, and remembers what was asked of it. It is its own client."""

    def __init__(self, repository: Path) -> None:
        self.repository = repository
        self.client = self
        self.process = FakeProcess()
        self.actions: list[str] = []
        self.living: dict[str, Stub] = {}
        self.answers = RIGHT
        self.answers_of: dict[str, dict[str, np.ndarray]] = {}
        self.silent: set[str] = set()
        self.failures: dict[str, list[Exception]] = {}
        self.heals_by = ""

    def log_tail(self) -> str:
        """Returns nothing."""
        return ""

    def stubs(self) -> tuple[Stub, ...]:
        """Returns the living stubs."""
        return tuple(stub for stub in self.living.values() if stub.process.is_alive())

    async def wait_exited(self) -> int:
        """Returns when the server has ended."""
        await self.process.wait_exited()
        return -9

    async def load(self, model: str) -> None:
        """Starts a stub for each step."""
        self._act("load", model)
        for step in (f"{model}_preprocess", f"{model}_engine"):
            self.living[step] = Stub(FakeProcess(), step)

    async def unload(self, model: str) -> None:
        """Is remembered."""
        self._act("unload", model)

    async def reload(self, step: str) -> None:
        """Starts another stub for a step."""
        self._act("reload", step)
        self.living[step] = Stub(FakeProcess(), step)

    async def restart(self) -> None:
        """Starts another server without stubs."""
        self._act("restart", "")
        self.process, self.living = FakeProcess(), {}

    async def send_photo(
        self, model: str, _: bytes, *, outputs: Sequence[str], timeout_s: float
    ) -> dict[str, np.ndarray]:
        """Answers as told."""
        await asyncio.sleep(0)
        if model in self.silent:
            return await unhealthy(timeout_s=timeout_s)
        assert (outputs == ["image"]) == model.endswith("preprocess")
        return {"image": IMAGE} if model.endswith("preprocess") else self.answers_of.get(model, self.answers)

    async def send_tensor(self, *_: object, timeout_s: float) -> dict[str, np.ndarray]:
        """Answers as told."""
        assert timeout_s > 0
        return self.answers

    def _act(self, action: str, model: str) -> None:
        self.actions.append(f"{action} {model}".strip())
        if self.failures.get(action):
            raise self.failures[action].pop(0)
        if action == self.heals_by:
            self.answers = RIGHT


@pytest.fixture
def triton(tmp_path: Path) -> FakeTriton:
    """A Triton that is right."""
    return FakeTriton(tmp_path)


@asynccontextmanager
async def supervising(
    triton: FakeTriton, *tiers: ServedTier, canary_interval_s: float = 3600
) -> AsyncIterator[TritonSupervisor]:
    """Supervises a Triton that serves the tiers, or else the first one; `triton.actions` starts empty."""
    async with TritonSupervisor(triton, SupervisorOptions(canary_interval_s=canary_interval_s)) as supervisor:
        await supervisor.deploy(*tiers or (TIER,))
        triton.actions.clear()
        yield supervisor


async def reached(supervisor: TritonSupervisor, wanted: BackendState) -> None:
    """Waits for a state."""
    arrived = asyncio.Event()
    unsubscribe = supervisor.subscribe(lambda state: arrived.set() if state is wanted else None)
    async with asyncio.timeout(5):
        await arrived.wait()
    unsubscribe()


async def mended(supervisor: TritonSupervisor) -> None:
    """Waits until something broke and serves again."""
    await reached(supervisor, BackendState.RECOVERING)
    await reached(supervisor, BackendState.SERVING)


async def test_states_follow_each_other(triton: FakeTriton) -> None:
    """Starting until a tier is proved, serving, stopped in the end; a subscriber hears the present state first."""
    states: list[BackendState] = []
    async with TritonSupervisor(triton) as supervisor:
        supervisor.subscribe(states.append)
        await supervisor.deploy(TIER)
    assert states == [BackendState.STARTING, BackendState.SERVING, BackendState.STOPPED]


async def test_who_unsubscribes_hears_no_more(triton: FakeTriton) -> None:
    """The last state heard is the one before."""
    states: list[BackendState] = []
    async with TritonSupervisor(triton) as supervisor:
        supervisor.subscribe(states.append)()
        await supervisor.deploy(TIER)
    assert states == [BackendState.STARTING]


async def test_a_tier_that_is_wrong_never_serves(triton: FakeTriton) -> None:
    """It is unloaded, its files are gone, and the state does not change."""
    triton.answers = WRONG
    async with TritonSupervisor(triton) as supervisor:
        with pytest.raises(ReleaseRefusedError):
            await supervisor.deploy(TIER)
        assert supervisor.state is BackendState.STARTING
    assert triton.actions == [f"load {SPEC.model}", f"unload {SPEC.model}"]
    assert list(triton.repository.iterdir()) == []


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        (ModelLoadError("bread_r1_fast", "no such file"), ReleaseRefusedError),
        (BackendUnavailableError("Triton is gone"), BackendUnavailableError),
    ],
)
async def test_a_tier_that_cannot_be_loaded_is_refused(
    triton: FakeTriton, failure: Exception, expected: type[Exception]
) -> None:
    """The release is at fault, unless Triton itself is gone."""
    triton.failures["load"] = [failure]
    async with TritonSupervisor(triton) as supervisor:
        with pytest.raises(expected):
            await supervisor.deploy(TIER)


async def test_a_release_that_serves_is_not_replaced(triton: FakeTriton) -> None:
    """Releases are immutable: the same name again is refused, and nothing is touched."""
    async with supervising(triton) as supervisor:
        with pytest.raises(ReleaseRefusedError):
            await supervisor.deploy(TIER)
        assert triton.actions == []
        assert supervisor.state is BackendState.SERVING


async def test_a_dead_stub_is_mended_by_one_reload(triton: FakeTriton) -> None:
    """Nothing else is touched."""
    async with supervising(triton) as supervisor:
        triton.living[SPEC.engine_model].process.end()
        await mended(supervisor)
    assert triton.actions == [f"reload {SPEC.engine_model}"]


async def test_stubs_that_die_together_are_mended_together(triton: FakeTriton) -> None:
    """Both are reloaded in one recovery, and the second report finds nothing left to do."""
    async with supervising(triton) as supervisor:
        for stub in triton.stubs():
            stub.process.end()
        await mended(supervisor)
    assert sorted(triton.actions) == sorted(f"reload {step}" for step in SPEC.steps)


async def test_a_dead_triton_is_restarted_and_filled_again(triton: FakeTriton) -> None:
    """Its stubs die with it; one restart mends all."""
    async with supervising(triton) as supervisor:
        triton.process.end()
        await mended(supervisor)
    assert triton.actions == ["restart", f"load {SPEC.model}"]


async def test_wrong_answers_are_met_with_a_reload_then_a_restart(triton: FakeTriton) -> None:
    """The canary notices; the cheaper cure is tried first."""
    async with supervising(triton, canary_interval_s=0.01) as supervisor:
        triton.answers, triton.heals_by = WRONG, "restart"
        await mended(supervisor)
    assert sorted(triton.actions[:2]) == sorted(f"reload {step}" for step in SPEC.steps)
    assert triton.actions[2:] == ["restart", f"load {SPEC.model}"]


async def test_a_silent_tier_is_met_with_a_restart(triton: FakeTriton) -> None:
    """A stub that hangs has not ended; replacing it would not help."""
    async with supervising(triton, canary_interval_s=0.01) as supervisor:
        right, triton.send_photo = triton.send_photo, unhealthy
        await reached(supervisor, BackendState.RECOVERING)
        triton.send_photo = right
        await reached(supervisor, BackendState.SERVING)
    assert triton.actions == ["restart", f"load {SPEC.model}"]


async def test_recovery_is_never_given_up(triton: FakeTriton) -> None:
    """A reload and a restart that fail are followed by another restart."""
    triton.failures = {
        "reload": [ModelLoadError(SPEC.engine_model, "no memory")],
        "restart": [TritonStartError("Triton ended.", log_tail="")],
    }
    async with supervising(triton) as supervisor:
        triton.living[SPEC.engine_model].process.end()
        await mended(supervisor)
    assert triton.actions == [f"reload {SPEC.engine_model}", "restart", "restart", f"load {SPEC.model}"]


async def test_what_is_withdrawn_is_not_missed(triton: FakeTriton) -> None:
    """The stubs of an unloaded tier end, and nobody takes that for trouble."""
    states: list[BackendState] = []
    async with supervising(triton) as supervisor:
        supervisor.subscribe(states.append)
        await supervisor.withdraw(SPEC.model)
        for stub in triton.living.values():
            stub.process.end()
        await asyncio.sleep(0.01)
        assert states == [BackendState.SERVING]
    assert triton.actions == [f"unload {SPEC.model}"]


async def test_supervision_that_fails_does_not_seem_healthy(triton: FakeTriton) -> None:
    """A defect in the supervisor itself ends as STOPPED, never as an unwatched SERVING."""
    triton.failures["reload"] = [ArithmeticError("a defect")]
    async with supervising(triton) as supervisor:
        triton.living[SPEC.engine_model].process.end()
        await reached(supervisor, BackendState.STOPPED)


async def test_a_stronger_tier_is_mended_while_the_others_serve(triton: FakeTriton) -> None:
    """Its dead stub is replaced, and nobody is told to stay away meanwhile."""
    states: list[BackendState] = []
    async with supervising(triton, TIER, STRONGER) as supervisor:
        supervisor.subscribe(states.append)
        triton.living[STRONGER.spec.engine_model].process.end()
        await until(lambda: bool(triton.actions))
        assert states == [BackendState.SERVING]
    assert triton.actions == [f"reload {STRONGER.spec.engine_model}"]


async def test_a_stronger_tier_that_stays_silent_costs_the_others_no_restart(triton: FakeTriton) -> None:
    """It is loaded anew, again and again; the others serve, and so does it as soon as it answers."""
    states: list[BackendState] = []
    async with supervising(triton, TIER, STRONGER, canary_interval_s=0.01) as supervisor:
        supervisor.subscribe(states.append)
        triton.silent = {STRONGER.spec.model}
        await until(lambda: len(triton.actions) >= 4)
        assert states == [BackendState.SERVING]
    assert set(triton.actions) == {f"reload {step}" for step in STRONGER.spec.steps}


async def test_a_stronger_tier_that_cannot_be_loaded_anew_is_served_without(triton: FakeTriton) -> None:
    """No restart: that would cost the others their callers."""
    states: list[BackendState] = []
    triton.failures["reload"] = [ModelLoadError(STRONGER.spec.engine_model, "no memory")]
    async with supervising(triton, TIER, STRONGER) as supervisor:
        supervisor.subscribe(states.append)
        triton.living[STRONGER.spec.engine_model].process.end()
        await until(lambda: bool(triton.actions))
        await asyncio.sleep(0.01)
        assert states == [BackendState.SERVING]
    assert triton.actions == [f"reload {STRONGER.spec.engine_model}"]


async def test_a_restart_does_not_wait_for_a_stronger_tier(triton: FakeTriton) -> None:
    """Whoever answers serves again."""
    async with supervising(triton, TIER, STRONGER) as supervisor:
        triton.silent = {STRONGER.spec.model}
        triton.process.end()
        await mended(supervisor)
    assert triton.actions == ["restart", f"load {SPEC.model}", f"load {STRONGER.spec.model}"]


async def test_a_stronger_tier_that_is_wrong_is_not_served_on(triton: FakeTriton) -> None:
    """A wrong answer is worse than none: the tier is not believed, and the state says so, until it is right."""
    async with supervising(triton, TIER, STRONGER, canary_interval_s=0.01) as supervisor:
        triton.answers_of = {STRONGER.spec.model: WRONG}
        await reached(supervisor, BackendState.RECOVERING)
        assert supervisor.distrusts(STRONGER.spec.model)
        assert not supervisor.distrusts(TIER.spec.model)
        triton.answers_of = {}
        await reached(supervisor, BackendState.SERVING)
        assert not supervisor.distrusts(STRONGER.spec.model)


async def unhealthy(*_: object, timeout_s: float, **__: object) -> dict[str, np.ndarray]:
    """Fails as a call to a hanging stub does."""
    raise BackendUnavailableError(f"the stub is not healthy ({timeout_s})")
