"""What the gateway makes of a Triton that somebody else runs: when it says that it serves, and when it does not."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
from builders import KNOWN_ANSWER, TASK
from fakes import until
from toy_engine import SIZE_PX, toy_spec

from server.domain.errors import BackendUnavailableError
from server.triton.backend_state import BackendState
from server.triton.known_answer import ServedTier, block_means
from server.triton.remote import RemoteTriton
from server.triton.supervisor import SupervisorOptions

PHOTO = b"a photo"
IMAGE = np.zeros((1, SIZE_PX, SIZE_PX, 3), np.uint8)
RIGHT = {"kind": np.float32([[1, 2, 3]])}
WRONG = {"kind": np.float32([[7, 7, 7]])}
KNOWN = replace(
    KNOWN_ANSWER,
    photo_sha256=sha256(PHOTO).hexdigest(),
    block_means=tuple(block_means(IMAGE[0]).ravel()),
    pattern_outputs={"kind": (1.0, 2.0, 3.0)},
    photo_outputs={"kind": (1.0, 2.0, 3.0)},
)
FAST, FULL = (
    ServedTier(toy_spec(TASK, Path("/models/toy.onnx"), model=model), KNOWN, PHOTO)
    for model in ("bread_r1_fast", "bread_r1_full")
)


class FakeRemote:
    """A Triton elsewhere: loads and answers as told."""

    def __init__(self) -> None:
        self.loads: list[str] = []
        self.silent: set[str] = set()
        self.wrong: set[str] = set()

    async def is_ready(self) -> bool:
        """It always is."""
        return True

    async def load(self, model: str, *, timeout_s: float) -> None:
        """Is remembered."""
        assert timeout_s > 0
        self.loads.append(model)

    async def send_photo(
        self, model: str, _: bytes, *, outputs: Sequence[str], timeout_s: float
    ) -> dict[str, np.ndarray]:
        """Answers as told."""
        await asyncio.sleep(0)
        if model in self.silent:
            raise BackendUnavailableError(f"the stub is not healthy ({timeout_s})")
        assert (outputs == ["image"]) == model.endswith("preprocess")
        if model.endswith("preprocess"):
            return {"image": IMAGE}
        return WRONG if model in self.wrong else RIGHT

    async def send_tensor(self, *_: object, timeout_s: float) -> dict[str, np.ndarray]:
        """Is right."""
        assert timeout_s > 0
        return RIGHT


@asynccontextmanager
async def watching(remote: FakeRemote) -> AsyncIterator[list[BackendState]]:
    """Watches a Triton that serves both tiers; yields the states since then, in a list that grows."""
    async with RemoteTriton(remote, SupervisorOptions(canary_interval_s=0.01)) as triton:
        await triton.deploy(FAST, FULL)
        remote.loads.clear()
        states: list[BackendState] = []
        triton.subscribe(states.append)
        yield states


async def test_a_stronger_tier_that_is_silent_is_served_without() -> None:
    """It is loaded again, for somebody may have unloaded it; the gateway says that it serves all the while."""
    remote = FakeRemote()
    async with watching(remote) as states:
        remote.silent = {FULL.spec.model}
        await until(lambda: len(remote.loads) >= 2)
        assert states == [BackendState.SERVING]
    assert set(remote.loads) == {FULL.spec.model}


async def test_nothing_serves_without_its_first_tier() -> None:
    """The state says so until it answers again, and does not wait for a stronger tier."""
    remote = FakeRemote()
    async with watching(remote) as states:
        remote.silent = {FAST.spec.model, FULL.spec.model}
        await until(lambda: states[-1] is BackendState.RECOVERING)
        remote.silent = {FULL.spec.model}
        await until(lambda: states[-1] is BackendState.SERVING)


async def test_a_tier_that_is_wrong_is_not_served_on() -> None:
    """Whichever it is."""
    remote = FakeRemote()
    async with watching(remote) as states:
        remote.wrong = {FULL.spec.model}
        await until(lambda: states[-1] is BackendState.RECOVERING)
        remote.wrong = set()
        await until(lambda: states[-1] is BackendState.SERVING)
