"""A Triton of which nothing is real but its habits: so many instances, a queue, and no respect for cancelled calls."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Self

from server.domain.errors import BackendUnavailableError, DeadlineExpiredError
from server.domain.prediction import Pixels, RawPrediction, Wanted
from server.domain.release import EngineRef

_DEAD_STUB_S = 1.0
"""How long Triton takes to say that the process of an instance is gone."""


@dataclass
class SimulatedTier:
    """How one tier fares.

    Attributes:
        run_s: How long a call takes in an instance.
        answers: By photo, what it answers.
        is_dead: Whether its processes are gone.
    """

    run_s: float
    answers: dict[bytes, RawPrediction]
    is_dead: bool = False
    calls: "asyncio.Queue[tuple[Sequence[bytes], asyncio.Future[list[RawPrediction]]]]" = field(
        default_factory=asyncio.Queue
    )


class SimulatedTriton:
    """Implements `server.triton.batches.ManyEngines`; a context manager, because its instances run in it.

    The pixels of a photo are its bytes.
    """

    def __init__(self, tiers: dict[str, SimulatedTier], *, instance_count: int = 2) -> None:
        """Serves these tiers, each with so many instances."""
        self._tiers = tiers
        self._instance_count = instance_count
        self._instances: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        """Starts the instances."""
        self._instances = [
            asyncio.create_task(_serve(tier)) for tier in self._tiers.values() for _ in range(self._instance_count)
        ]
        return self

    async def __aexit__(self, *_: object) -> None:
        """Ends them."""
        for instance in self._instances:
            instance.cancel()
        await asyncio.gather(*self._instances, return_exceptions=True)

    async def infer_many(
        self, engine: EngineRef, photos: Sequence[bytes] | Sequence[Pixels], wanted: Wanted, *, timeout_s: float
    ) -> Sequence[RawPrediction]:
        """Queues a call; it is run even if nobody waits for its answer any more."""
        answer: asyncio.Future[list[RawPrediction]] = asyncio.get_running_loop().create_future()
        contents = [bytes(each.content) if isinstance(each, Pixels) else each for each in photos]
        self._tiers[engine.model.rpartition("_")[2]].calls.put_nowait((contents, answer))
        done, _pending = await asyncio.wait({answer}, timeout=timeout_s)
        if not done:
            raise DeadlineExpiredError(f"{engine.model} did not answer in the time allowed")
        if not wanted.pixels:
            return answer.result()
        pixels = [Pixels(engine.input_size_px, memoryview(each)) for each in contents]
        return [replace(raw, pixels=each) for raw, each in zip(answer.result(), pixels, strict=True)]


async def _serve(tier: SimulatedTier) -> None:
    while True:
        photos, answer = await tier.calls.get()
        await asyncio.sleep(_DEAD_STUB_S if tier.is_dead else tier.run_s)
        if answer.cancelled():
            continue
        if tier.is_dead:
            answer.set_exception(BackendUnavailableError("its process is not healthy"))
            answer.exception()  # whoever asked may have gone away
        else:
            answer.set_result([tier.answers[each] for each in photos])
