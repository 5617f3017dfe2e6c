"""Test doubles that are real classes, for the ports and for the backend."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from server.domain.prediction import Photo, Pixels, RawPrediction, Wanted
from server.domain.release import EngineRef

SURE = 8.0
"""A logit that calibrates to over 0.99."""


@dataclass
class FakeClock:
    """A clock that stands still until it is told to go on."""

    now_s: float = 1000.0

    def monotonic_s(self) -> float:
        """The time as set."""
        return self.now_s

    def utc_s(self) -> float:
        """The same, behind some epoch."""
        return 1_700_000_000.0 + self.now_s

    def advance(self, seconds: float) -> None:
        """Lets time pass."""
        self.now_s += seconds


def logits_of(confidence: float, label_count: int) -> list[float]:
    """Returns logits whose softmax gives the first label this probability, in (0, 1), and the rest equal shares."""
    rest = (1 - confidence) / (label_count - 1)
    return [float(np.log(confidence / rest)), *[0.0] * (label_count - 1)]


def prediction(
    kind: float = 0.97, grade: float = 0.97, *, feature_distance: float = 10.0, logit_variance: float = 0.1
) -> RawPrediction:
    """Returns outputs for the bread task that are this sure of `rye` and of `good`."""
    return RawPrediction(
        logits={
            "kind": np.array(logits_of(kind, 3), dtype=np.float32),
            "grade": np.array(logits_of(grade, 2), dtype=np.float32),
            "signs": np.array([SURE, -SURE], dtype=np.float32),
        },
        feature_distance=feature_distance,
        logit_variance=logit_variance,
        attention=np.linspace(0, 1, 16, dtype=np.float32).reshape(4, 4),
    )


@dataclass(frozen=True)
class Call:
    """One call of an engine, as it was made."""

    model: str
    photo: Photo
    wanted: Wanted
    timeout_s: float
    size_px: int


DECODED = b"pixels"
"""What the engines make of any photo."""

Answer = RawPrediction | Exception | Callable[[Call], Awaitable[RawPrediction]]


@dataclass
class FakeEngines:
    """Implements `server.domain.ports.Engines`: answers as told, at once, and remembers what it was asked.

    Attributes:
        answers: By tier or by model, what is answered: outputs, an error to raise, or a coroutine function.
    """

    answers: Mapping[str, Answer] = field(default_factory=dict)
    default: Answer = field(default_factory=prediction)
    calls: list[Call] = field(default_factory=list)
    running: int = 0
    most_running: int = 0
    cancelled: int = 0

    async def infer(self, engine: EngineRef, photo: Photo, wanted: Wanted, *, timeout_s: float) -> RawPrediction:
        """Answers as told."""
        call = Call(engine.model, photo, wanted, timeout_s, engine.input_size_px)
        self.calls.append(call)
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            return await self._answer(call)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.running -= 1

    async def _answer(self, call: Call) -> RawPrediction:
        answer = self.answers.get(call.model, self.answers.get(call.model.rpartition("_")[2], self.default))
        if isinstance(answer, Exception):
            raise answer
        raw = await answer(call) if callable(answer) else answer
        return RawPrediction(
            logits={head: raw.logits[head] for head in call.wanted.heads},
            feature_distance=raw.feature_distance,
            logit_variance=raw.logit_variance,
            attention=raw.attention if call.wanted.attention else None,
            pixels=Pixels(call.size_px, memoryview(DECODED)) if call.wanted.pixels else None,
        )


class Gate:
    """An engine's answer that waits until it is let go."""

    def __init__(self, answer: RawPrediction | None = None) -> None:
        """Begins shut."""
        self._open = asyncio.Event()
        self._answer = answer or prediction()
        self.entered = asyncio.Event()

    async def __call__(self, _: Call) -> RawPrediction:
        """Waits, then answers."""
        self.entered.set()
        await self._open.wait()
        return self._answer

    def open(self) -> None:
        """Lets everyone go."""
        self._open.set()


async def until(condition: Callable[[], bool]) -> None:
    """Waits until a condition holds, and fails after some seconds."""
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 -- there is no event to wait for
            await asyncio.sleep(0.001)
