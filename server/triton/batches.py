"""Photos that wait together travel together: one call for several saves most of what a call costs on its way.

A photo that finds a free call leaves at once and alone, so a server with little to do answers as
fast as ever. What fails together is tried again one by one, so that no photo answers for another.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from typing import Protocol, cast

from server.domain.errors import DeadlineExpiredError, EngineFailedError, PhotoRefusedError
from server.domain.prediction import Photo, Pixels, RawPrediction, Wanted
from server.domain.release import EngineRef
from server.triton.wire import MAX_MESSAGE_BYTES


class ManyEngines(Protocol):
    """Runs compiled models on several photos in one call."""

    async def infer_many(
        self,
        engine: EngineRef,
        photos: Sequence[bytes] | Sequence[Pixels],
        wanted: Wanted,
        *,
        timeout_s: float,
    ) -> Sequence[RawPrediction]:
        """Runs one engine on some photos, all encoded or all decoded; if one of them fails, all do."""
        ...


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """How photos travel.

    Attributes:
        calls: Calls of one kind under way at once, at least 1: one an instance in each step.
        pixel_calls: Of those with decoded photos, which go through one step.
        photos: Photos in one call, at least 1, at most what the models take.
        photo_bytes: What the encoded photos of one call weigh together, unless it is one photo: large ones
            take long to decode, and nobody should wait for them.
    """

    calls: int = 4
    pixel_calls: int = 2
    photos: int = 4
    photo_bytes: int = 1 << 20


class BatchingEngines:
    """Implements `server.domain.ports.Engines` on engines that take several photos."""

    def __init__(self, engines: ManyEngines, limits: BatchLimits | None = None) -> None:
        """Lets photos travel together.

        Args:
            engines: What runs.
            limits: How photos travel.
        """
        self._engines = engines
        self._limits = limits or BatchLimits()
        self._lanes: dict[_Key, _Lane] = {}

    async def infer(self, engine: EngineRef, photo: Photo, wanted: Wanted, *, timeout_s: float) -> RawPrediction:
        """Runs one engine on one photo; see the port."""
        key = engine.model, isinstance(photo, Pixels), wanted
        lane = self._lanes.get(key)
        if lane is None:
            lane = self._lanes[key] = _Lane(key, engine, *key[1:])
        if lane.calls < self._most_calls(lane) and not lane.waiting:
            return await self._send_alone(lane, photo, timeout_s)
        return await self._wait(lane, photo, timeout_s)

    async def _send_alone(self, lane: "_Lane", photo: Photo, timeout_s: float) -> RawPrediction:
        lane.calls += 1
        try:
            [prediction] = await self._infer_many(lane, [photo], timeout_s)
        finally:
            self._end_call(lane)
        return prediction

    async def _wait(self, lane: "_Lane", photo: Photo, timeout_s: float) -> RawPrediction:
        loop = asyncio.get_running_loop()
        passenger = _Passenger(photo, loop.time() + timeout_s, loop.create_future())
        lane.waiting.append(passenger)
        timer = loop.call_later(timeout_s, passenger.expire, lane.engine.model)
        try:
            return await passenger.answer
        finally:
            timer.cancel()
            if passenger.call is not None:
                passenger.call.cancel_if_deserted()
            elif passenger in lane.waiting:
                lane.waiting.remove(passenger)

    def _end_call(self, lane: "_Lane") -> None:
        """Gives the call to those who wait; forgets the lane if nobody does."""
        lane.calls -= 1
        while lane.calls < self._most_calls(lane) and (boarded := self._board(lane)):
            lane.calls += 1
            call = _Call(boarded)
            for passenger in call.passengers:
                passenger.call = call
            # In the context of the first passenger: a trace of the call is a trace of its request.
            call.task = boarded[0].context.run(asyncio.create_task, self._send_together(lane, call))
            # Not in the task itself: one that is cancelled before it starts never runs a line of its own.
            call.task.add_done_callback(lambda _: self._end_call(lane))
        if not lane.calls:
            del self._lanes[lane.key]

    def _most_calls(self, lane: "_Lane") -> int:
        return self._limits.pixel_calls if lane.is_decoded else self._limits.calls

    def _board(self, lane: "_Lane") -> list["_Passenger"]:
        """Takes those who leave together off the queue; who has given up in the meantime stays behind."""
        boarded: list[_Passenger] = []
        room = _MOST_PIXEL_BYTES if lane.is_decoded else self._limits.photo_bytes
        while lane.waiting and len(boarded) < self._limits.photos:
            if not lane.waiting[0].answer.done():
                if boarded and len(lane.waiting[0].photo) > room:
                    break
                room -= len(lane.waiting[0].photo)
                boarded.append(lane.waiting[0])
            lane.waiting.popleft()
        return boarded

    async def _send_together(self, lane: "_Lane", call: "_Call") -> None:
        try:
            await self._answer(lane, call.passengers)
        except Exception as error:  # noqa: BLE001 -- the passengers raise it
            for passenger in call.passengers:
                passenger.fail(error)

    async def _answer(self, lane: "_Lane", passengers: Sequence["_Passenger"]) -> None:
        now_s = asyncio.get_running_loop().time()
        timeout_s = max(each.expires_s for each in passengers) - now_s
        try:
            predictions = await self._infer_many(lane, [each.photo for each in passengers], timeout_s)
        except (PhotoRefusedError, EngineFailedError):
            if len(passengers) == 1:
                raise
            await asyncio.gather(*(self._answer_alone(lane, each) for each in passengers))
            return
        for passenger, prediction in zip(passengers, predictions, strict=True):
            passenger.succeed(prediction)

    async def _answer_alone(self, lane: "_Lane", passenger: "_Passenger") -> None:
        if not passenger.answer.done():
            try:
                await self._answer(lane, [passenger])
            except Exception as error:  # noqa: BLE001 -- the passenger raises it
                passenger.fail(error)

    async def _infer_many(self, lane: "_Lane", photos: Sequence[Photo], timeout_s: float) -> Sequence[RawPrediction]:
        # A lane takes photos of one kind.
        alike = cast("Sequence[bytes] | Sequence[Pixels]", photos)
        return await self._engines.infer_many(lane.engine, alike, lane.wanted, timeout_s=timeout_s)


_Key = tuple[str, bool, Wanted]
"""The model, whether its photos are decoded, and what is wanted of it."""

_MOST_PIXEL_BYTES = MAX_MESSAGE_BYTES - (1 << 20)
"""Decoded photos are alike, and cost nobody time but on their way."""


@dataclass(slots=True, eq=False)
class _Lane:
    """Calls that ask for the same outputs of the same engine, and the photos that wait for one."""

    key: _Key
    engine: EngineRef
    is_decoded: bool
    wanted: Wanted
    calls: int = 0
    waiting: "deque[_Passenger]" = field(default_factory=deque)


@dataclass(slots=True, eq=False)
class _Passenger:
    """A photo that waits for a call, or travels in one."""

    photo: Photo
    expires_s: float
    answer: "asyncio.Future[RawPrediction]"
    context: Context = field(default_factory=copy_context)
    call: "_Call | None" = None

    def succeed(self, prediction: RawPrediction) -> None:
        if not self.answer.done():
            self.answer.set_result(prediction)

    def fail(self, error: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)

    def expire(self, model: str) -> None:
        self.fail(DeadlineExpiredError(f"{model} did not answer in the time allowed"))


@dataclass(slots=True, eq=False)
class _Call:
    """Photos that travel together."""

    passengers: list[_Passenger]
    task: "asyncio.Task[None] | None" = None

    def cancel_if_deserted(self) -> None:
        """Cancels the call if nobody waits for its answer any more."""
        if self.task is not None and all(each.answer.done() for each in self.passengers):
            self.task.cancel()
