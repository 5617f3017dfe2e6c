"""Callers in a hurry beside callers with time: everyone is told in time, and gets an answer wherever `fast` fits."""

import asyncio
import math
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import grpc.aio
import pytest
from gateway_process import serving
from mixed_load import Mix, steady_load
from paced_triton import paced_triton
from rich.console import Console
from rich.table import Table
from toy_cascade import ToyCascade, write_toy_cascade

from loupe.client import AsyncLoupeClient
from loupe.options import inspect_request
from loupe.v1 import inspection_service_pb2 as inspection_pb
from loupe.v1.inspection_service_pb2_grpc import InspectionServiceStub

pytestmark = [pytest.mark.soak, pytest.mark.integration, pytest.mark.timeout(1800)]

DEADLINES_S: tuple[float | None, ...] = (0.001, 0.005, 0.02, 0.05, 0.2, None)
CALLS_EACH = 500
SHARES = {"fast": 0.5, "medium": 0.25, "full": 0.25}
MEDIUM_S, FULL_S = 0.01, 0.05
NORMAL_PER_S = 50.0
HURRIED_PER_S = 50.0
STREAMED_PER_S = 8.0
DEFAULT_S = 10.0
"""What the gateway gives a call that names no deadline."""

LATE_BY_S = 0.25
TOLD = {"OK", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED"}
"""An answer; no answer in time; or, at once, that the time is too short for those who wait already."""


@dataclass
class Fates:
    """What became of the calls with one deadline.

    Attributes:
        deadline_s: None if they named none.
        codes: How many ended so.
        degraded: How many answers were weaker than the cascade wanted.
        lateness_s: By how much they ended after the deadline; below 0 for before.
    """

    deadline_s: float | None
    codes: Counter[str] = field(default_factory=Counter)
    degraded: int = 0
    lateness_s: list[float] = field(default_factory=list)

    def add(self, code: str, took_s: float, *, degraded: bool) -> None:
        """Counts one call."""
        self.codes[code] += 1
        self.degraded += degraded
        self.lateness_s.append(took_s - (DEFAULT_S if self.deadline_s is None else self.deadline_s))

    @property
    def count(self) -> int:
        """How many calls there were."""
        return self.codes.total()

    @property
    def answered(self) -> float:
        """The share that was answered."""
        return self.codes["OK"] / self.count


class Hurry:
    """Calls with deadlines of all lengths in turn, and what became of them."""

    def __init__(self, channel: grpc.aio.Channel, mix: Mix) -> None:
        """Calls nobody yet."""
        self._inspect = InspectionServiceStub(channel).InspectImage
        self._mix = mix
        self.fates = {deadline_s: Fates(deadline_s) for deadline_s in DEADLINES_S}
        self.fast_took_s: list[float] = []

    async def play(self) -> None:
        """Sends them at a steady rate, and after each round one that asks for `fast` alone and names no deadline."""
        due_s = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for _ in range(CALLS_EACH):
                for deadline_s in DEADLINES_S:
                    group.create_task(self._call(deadline_s))
                    due_s += 1 / HURRIED_PER_S
                    await asyncio.sleep(max(0.0, due_s - time.monotonic()))
                group.create_task(self._call_fast())

    def fits(self, deadline_s: float | None) -> float:
        """The share of the calls for `fast` alone that would have met this deadline."""
        allowed_s = DEFAULT_S if deadline_s is None else deadline_s
        return sum(each <= allowed_s for each in self.fast_took_s) / len(self.fast_took_s)

    async def _call(self, deadline_s: float | None) -> None:
        _, photo = self._mix.draw()
        request = inspect_request(photo, task="bread")
        fates, began_s = self.fates[deadline_s], time.monotonic()
        try:
            answer = await self._inspect(request, timeout=deadline_s)
        except grpc.aio.AioRpcError as error:
            fates.add(error.code().name, time.monotonic() - began_s, degraded=False)
        else:
            fates.add("OK", time.monotonic() - began_s, degraded=answer.trace.degraded)

    async def _call_fast(self) -> None:
        _, photo = self._mix.draw()
        request = inspect_request(photo, task="bread", policy=inspection_pb.CascadePolicy(max_tier="fast"))
        began_s = time.monotonic()
        await self._inspect(request)
        self.fast_took_s.append(time.monotonic() - began_s)


async def stream(client: AsyncLoupeClient, mix: Mix, deadline_s: float) -> Fates:
    """Sends photos on one stream, each with this time; nobody but the gateway ends them."""
    fates, sent_s = Fates(deadline_s), list[float]()

    async def photos() -> AsyncIterator[bytes]:
        for _ in range(CALLS_EACH):
            _, photo = mix.draw()
            sent_s.append(time.monotonic())
            yield photo
            await asyncio.sleep(1 / STREAMED_PER_S)

    async for each in client.inspect_all(photos(), task="bread", photo_timeout_s=deadline_s):
        took_s = time.monotonic() - sent_s[each.index]
        if each.answer is not None:
            fates.add("OK", took_s, degraded=each.answer.trace.degraded)
        elif each.error is not None:
            fates.add(each.error.code.name, took_s, degraded=False)
    return fates


def show(title: str, all_fates: list[Fates], fits: dict[float | None, float]) -> None:
    """Prints a line a deadline."""
    table = Table(title=title)
    for column in ("deadline", "calls", "answered", "of these degraded", "fast fits", "DEADLINE_EXCEEDED", "other"):
        table.add_column(column, justify="right")
    table.add_column(f"worst lateness ms (limit {LATE_BY_S * 1e3:.0f})", justify="right")
    for each in all_fates:
        others = {code: count for code, count in each.codes.items() if code not in ("OK", "DEADLINE_EXCEEDED")}
        table.add_row(
            "none" if each.deadline_s is None else f"{each.deadline_s * 1e3:g} ms",
            *(str(each.count), f"{each.answered:.1%}", str(each.degraded)),
            f"{fits[each.deadline_s]:.1%}",
            str(each.codes["DEADLINE_EXCEEDED"]),
            ", ".join(f"{code} {count}" for code, count in others.items()) or "0",
            f"{max(each.lateness_s) * 1e3:.1f}",
        )
    Console(width=130).print(table)


def judge(all_fates: list[Fates], fits: dict[float | None, float]) -> None:
    """Holds what became of the calls against the limits."""
    for each in all_fates:
        share = fits[each.deadline_s]
        # Two samples of the same traffic: three standard errors of the difference of their shares.
        noise = 3 * math.sqrt(2 * max(share * (1 - share), 1 / CALLS_EACH) / CALLS_EACH)
        assert set(each.codes) <= TOLD
        assert max(each.lateness_s) <= LATE_BY_S
        assert each.answered >= share - noise


@pytest.fixture
def cascade(tmp_path: Path) -> ToyCascade:
    """Three tiers."""
    return write_toy_cascade(tmp_path / "models")


async def test_every_call_ends_by_its_deadline(cascade: ToyCascade, tmp_path: Path) -> None:
    """By 250 ms after it at the latest, on calls and on streams; nothing is left in the gateway afterwards."""
    folder, run_root = tmp_path / "paces", tmp_path / "run"
    folder.mkdir()
    run_root.mkdir()
    mix = Mix(cascade.photos, SHARES)
    async with paced_triton(cascade, folder, medium=MEDIUM_S, full=FULL_S) as paced:
        starting = serving(cascade.model_repository, run_root, triton_address=paced.triton.address)
        gateway = await asyncio.to_thread(starting.__enter__)
        try:
            async with (
                gateway.client() as client,
                grpc.aio.insecure_channel(gateway.address) as channel,
                steady_load(client, mix, per_s=NORMAL_PER_S) as normal,
            ):
                hurry = Hurry(channel, mix)
                *streams, _ = await asyncio.gather(
                    *(stream(client, mix, each) for each in DEADLINES_S if each is not None), hurry.play()
                )
            emptied_s = time.monotonic()
            while await asyncio.to_thread(gateway.requests_inside):
                assert time.monotonic() - emptied_s < LATE_BY_S
        finally:
            await asyncio.to_thread(starting.__exit__, None, None, None)
    fits = {each: hurry.fits(each) for each in DEADLINES_S}
    show("calls", list(hurry.fates.values()), fits)
    show("photos of streams", streams, fits)
    assert {each.code for each in normal} == {"OK"}
    judge(list(hurry.fates.values()), fits)
    judge(streams, fits)
