"""Calls of a known mix at a steady rate, whatever becomes of them, and what became of each."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from random import Random

from loupe.client import AsyncLoupeClient
from loupe.errors import LoupeError
from loupe.v1 import inspection_service_pb2

_SEED = 20_261_121


@dataclass(frozen=True, slots=True)
class Call:
    """One call that has ended.

    Attributes:
        exit: The tier that answers this photo on the release's own path.
        sent_s: When it was due, on the monotonic clock: a sender that lags is part of the wait.
        ended_s: When it ended.
        tier: The tier that answered; empty if none did.
        degraded: Whether the answer is weaker than the cascade wanted.
        code: The status.
    """

    exit: str
    sent_s: float
    ended_s: float
    tier: str
    degraded: bool
    code: str

    @property
    def took_s(self) -> float:
        """From the moment at which it was due to its end."""
        return self.ended_s - self.sent_s


async def call(
    client: AsyncLoupeClient,
    photo: bytes,
    *,
    exit_tier: str,
    due_s: float | None = None,
    timeout_s: float | None = None,
    max_tier: str = "",
) -> Call:
    """Makes one call, and says what became of it."""
    sent_s = time.monotonic() if due_s is None else due_s
    policy = inspection_service_pb2.CascadePolicy(max_tier=max_tier) if max_tier else None
    try:
        answer = await client.inspect(photo, task="bread", timeout_s=timeout_s, policy=policy)
    except LoupeError as error:
        return Call(exit_tier, sent_s, time.monotonic(), "", degraded=False, code=error.code.name)
    trace = answer.trace
    return Call(exit_tier, sent_s, time.monotonic(), trace.tier, degraded=trace.degraded, code="OK")


class Mix:
    """Draws photos, each exit with its share."""

    def __init__(self, photos: Mapping[str, Sequence[bytes]], shares: Mapping[str, float]) -> None:
        """Draws from `photos`, which are by exit, as `shares` says, in the same order in every run."""
        self._photos = photos
        self._shares = shares
        self._random = Random(_SEED)  # noqa: S311 -- a repeatable load

    def draw(self) -> tuple[str, bytes]:
        """Returns the exit of a photo, and the photo."""
        [exit_tier] = self._random.choices(list(self._shares), list(self._shares.values()))
        return exit_tier, self._random.choice(self._photos[exit_tier])


@asynccontextmanager
async def steady_load(client: AsyncLoupeClient, mix: Mix, *, per_s: float) -> AsyncIterator[list[Call]]:
    """Sends so many photos a second inside; yields the calls that have ended, in a list that grows."""
    ended: list[Call] = []

    async def one(due_s: float) -> None:
        exit_tier, photo = mix.draw()
        ended.append(await call(client, photo, exit_tier=exit_tier, due_s=due_s))

    async def send() -> None:
        async with asyncio.TaskGroup() as group:
            due_s = time.monotonic()
            while not is_over.is_set():
                group.create_task(one(due_s))
                due_s += 1 / per_s
                await asyncio.sleep(max(0.0, due_s - time.monotonic()))

    is_over = asyncio.Event()
    sender = asyncio.create_task(send())
    try:
        yield ended
    finally:
        is_over.set()
        await sender


async def seen(calls: list[Call], what: Callable[[Call], bool], *, within_s: float) -> Call:
    """Waits until such a call has ended, and returns the first; fails if that takes too long."""
    looked_at = 0
    async with asyncio.timeout(within_s):
        while True:
            for each in calls[looked_at:]:
                looked_at += 1
                if what(each):
                    return each
            await asyncio.sleep(0.01)
