"""Photos that wait together travel together, and none answers for another."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest
from builders import make_tier
from fakes import until
from hypothesis import example, given, settings
from hypothesis import strategies as st

from server.domain.errors import BackendUnavailableError, DeadlineExpiredError, EngineFailedError, PhotoRefusedError
from server.domain.prediction import Photo, Pixels, RawPrediction, Wanted
from server.domain.release import EngineRef
from server.triton.batches import BatchingEngines, BatchLimits

ENGINE = make_tier().engine
BAD = b"bad"


@dataclass
class Wire:
    """Runs what it is given when it is let, and remembers who travelled with whom."""

    calls: list[list[bytes | Pixels]] = field(default_factory=list)
    timeouts_s: list[float] = field(default_factory=list)
    may_answer: asyncio.Event = field(default_factory=asyncio.Event)
    failure: Exception | None = None
    cancelled: int = 0
    running: int = 0
    most_running: int = 0

    async def infer_many(
        self,
        engine: EngineRef,
        photos: Sequence[bytes] | Sequence[Pixels],
        wanted: Wanted,
        *,
        timeout_s: float,
    ) -> Sequence[RawPrediction]:
        """Answers each photo with its own first byte; refuses all if one is bad."""
        assert engine is ENGINE
        assert wanted == Wanted(("kind",))
        self.calls.append(list(photos))
        self.timeouts_s.append(timeout_s)
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            await self.may_answer.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.running -= 1
        if self.failure is not None:
            raise self.failure
        if BAD in photos:
            raise PhotoRefusedError("UNDECODABLE")
        firsts = [photo.content[0] if isinstance(photo, Pixels) else photo[0] for photo in photos]
        return [RawPrediction({"kind": np.float32([first])}, 0.0, 0.0) for first in firsts]


class Station:
    """Batching engines before a wire."""

    def __init__(self, *, calls: int = 1, photos: int = 4, photo_bytes: int = 1000) -> None:
        """Limits what travels."""
        self.wire = Wire()
        self.engines = BatchingEngines(self.wire, BatchLimits(calls, 1, photos, photo_bytes))

    async def infer(self, photo: bytes, timeout_s: float = 60.0) -> int:
        """Sends a photo, and returns what its answer begins with."""
        answer = await self.engines.infer(ENGINE, photo, Wanted(("kind",)), timeout_s=timeout_s)
        return int(answer.logits["kind"][0])

    async def send(self, *photos: bytes) -> list[asyncio.Task[int]]:
        """Sends photos in this order, and lets each get as far as it can."""
        tasks = [asyncio.create_task(self.infer(photo)) for photo in photos]
        for _ in range(3):
            await asyncio.sleep(0)
        return tasks

    @property
    def is_idle(self) -> bool:
        """Whether nothing is remembered of anyone."""
        return not self.engines._lanes and not self.wire.running


async def test_a_photo_that_need_not_wait_leaves_alone() -> None:
    """Up to the number of calls, nobody waits for company."""
    station = Station(calls=2)
    tasks = await station.send(b"1", b"2")
    assert station.wire.calls == [[b"1"], [b"2"]]
    station.wire.may_answer.set()
    assert await asyncio.gather(*tasks) == [ord("1"), ord("2")]
    await until(lambda: station.is_idle)


async def test_photos_that_wait_travel_together() -> None:
    """As many as a call takes, in the order of arrival, and each gets its own answer."""
    station = Station(calls=1, photos=3)
    tasks = await station.send(b"0", b"1", b"2", b"3", b"4")
    station.wire.may_answer.set()
    assert await asyncio.gather(*tasks) == [ord(each) for each in "01234"]
    assert station.wire.calls == [[b"0"], [b"1", b"2", b"3"], [b"4"]]
    await until(lambda: station.is_idle)


async def test_large_photos_travel_in_small_company() -> None:
    """A call holds no more bytes than allowed, unless one photo alone has more."""
    station = Station(photo_bytes=10)
    tasks = await station.send(b"0", b"1" * 6, b"2" * 5, b"3" * 5, b"4" * 50, b"5")
    station.wire.may_answer.set()
    await asyncio.gather(*tasks)
    assert [[len(each) for each in call] for call in station.wire.calls] == [[1], [6], [5, 5], [50], [1]]


async def test_a_bad_photo_harms_nobody() -> None:
    """What fails together is tried again one by one."""
    station = Station()
    tasks = await station.send(b"0", b"1", BAD, b"3")
    station.wire.may_answer.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [results[0], results[1], results[3]] == [ord(each) for each in "013"]
    assert isinstance(results[2], PhotoRefusedError)
    assert station.wire.calls == [[b"0"], [b"1", BAD, b"3"], [b"1"], [BAD], [b"3"]]
    await until(lambda: station.is_idle)


async def test_a_lost_backend_fails_all_at_once() -> None:
    """Trying one by one would help nobody."""
    station = Station()
    tasks = await station.send(b"0", b"1", b"2")
    station.wire.failure = BackendUnavailableError("gone")
    station.wire.may_answer.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(each) for each in results] == [BackendUnavailableError] * 3
    assert len(station.wire.calls) == 2
    await until(lambda: station.is_idle)


async def test_an_engine_that_fails_for_all_fails_each() -> None:
    """After each had its own try."""
    station = Station()
    tasks = await station.send(b"0", b"1", b"2")
    station.wire.failure = EngineFailedError("toy", "nan")
    station.wire.may_answer.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(each) for each in results] == [EngineFailedError] * 3
    await until(lambda: station.is_idle)


async def test_who_leaves_while_waiting_does_not_travel() -> None:
    """A cancelled photo is not sent."""
    station = Station()
    tasks = await station.send(b"0", b"1", b"2")
    tasks[1].cancel()
    await asyncio.sleep(0)
    station.wire.may_answer.set()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert station.wire.calls == [[b"0"], [b"2"]]
    await until(lambda: station.is_idle)


@pytest.mark.parametrize("patience_s", [60.0, 0.0])
async def test_who_leaves_as_its_call_begins_takes_no_place_along(patience_s: float) -> None:
    """The answer before it and its own going happen in one turn of the loop: the next photo finds a free call."""
    station = Station()
    running = await station.send(b"0")
    leaving = asyncio.create_task(station.infer(b"1", patience_s))
    await asyncio.sleep(0)
    station.wire.may_answer.set()
    if patience_s:
        leaving.cancel()
    await asyncio.gather(*running, leaving, return_exceptions=True)
    await until(lambda: station.is_idle)
    assert await station.infer(b"2") == ord("2")


async def test_a_call_goes_on_while_anyone_waits_for_it() -> None:
    """And is cancelled when the last one has gone."""
    station = Station(calls=1)
    first, *others = await station.send(b"0", b"1", b"2")
    first.cancel()
    await until(lambda: len(station.wire.calls) == 2)
    others[0].cancel()
    await asyncio.sleep(0.01)
    assert station.wire.cancelled == 1
    others[1].cancel()
    await until(lambda: station.wire.cancelled == 2)
    await asyncio.gather(first, *others, return_exceptions=True)
    await until(lambda: station.is_idle)


async def test_nobody_waits_beyond_its_time() -> None:
    """Neither for a call nor in one; the others go on."""
    station = Station()
    running = await station.send(b"0")
    patient = asyncio.create_task(station.infer(b"2"))
    with pytest.raises(DeadlineExpiredError):
        await station.infer(b"1", timeout_s=0.001)
    station.wire.may_answer.set()
    assert await asyncio.gather(*running, patient) == [ord("0"), ord("2")]
    assert station.wire.calls == [[b"0"], [b"2"]]


async def test_a_call_has_the_time_of_its_most_patient_photo() -> None:
    """So that an impatient one does not end the others'."""
    station = Station()
    await station.send(b"0")
    tasks = [asyncio.create_task(station.infer(photo, timeout_s)) for photo, timeout_s in ((b"1", 20.0), (b"2", 40.0))]
    await asyncio.sleep(0)
    station.wire.may_answer.set()
    await asyncio.gather(*tasks)
    assert station.wire.timeouts_s[1] == pytest.approx(40, abs=1)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["send", "send bad", "cancel", "turn", "let answer", "hold answers"]), st.integers(0, 20)
    ),
    max_size=40,
)


LEFT_AS_ITS_CALL_BEGAN = ["send", "turn", "send", "turn", "let answer", "cancel"]


@settings(deadline=None)
@example([(step, 1) for step in LEFT_AS_ITS_CALL_BEGAN], 1, 1)
@given(STEPS, st.integers(1, 3), st.integers(1, 4))
def test_everyone_gets_what_is_theirs(steps: list[tuple[str, int]], calls: int, photos: int) -> None:
    """Whatever happens: each photo its own answer or refusal, never too many calls, and nothing left at the end."""

    async def play() -> None:
        station, tasks = Station(calls=calls, photos=photos), []
        for step, which in steps:
            if step.startswith("send"):
                photo = BAD if step == "send bad" else bytes([len(tasks)])
                tasks.append((photo, asyncio.create_task(station.infer(photo))))
            elif step == "cancel" and tasks:
                tasks[which % len(tasks)][1].cancel()
            elif step == "let answer":
                station.wire.may_answer.set()
            elif step == "hold answers":
                station.wire.may_answer.clear()
            else:
                await asyncio.sleep(0)
        station.wire.may_answer.set()
        results = await asyncio.gather(*(task for _, task in tasks), return_exceptions=True)
        for (photo, _), result in zip(tasks, results, strict=True):
            if isinstance(result, PhotoRefusedError):
                assert photo == BAD
            elif not isinstance(result, asyncio.CancelledError):
                assert result == photo[0]
        assert all(len(call) <= photos for call in station.wire.calls)
        await until(lambda: station.is_idle)

    asyncio.run(play())


async def test_decoded_photos_travel_by_themselves() -> None:
    """They go to another model: never in one call with encoded ones. None is held back for its weight."""
    station = Station(photo_bytes=3)
    pixels = [Pixels(1, memoryview(bytes([number]) * 3)) for number in range(4)]
    photos: list[Photo] = [b"0", pixels[0], b"1", pixels[1], b"2", pixels[2], pixels[3]]
    tasks = [
        asyncio.create_task(station.engines.infer(ENGINE, each, Wanted(("kind",)), timeout_s=60)) for each in photos
    ]
    await until(lambda: len(station.wire.calls) == 2)
    station.wire.may_answer.set()
    await asyncio.gather(*tasks)
    assert station.wire.calls == [[b"0"], [pixels[0]], [b"1", b"2"], pixels[1:]]
    assert station.is_idle
