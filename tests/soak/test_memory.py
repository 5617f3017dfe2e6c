"""Fifty thousand requests of all kinds, and what they leave behind in memory."""

import asyncio
import io
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest
from gateway_process import serving
from PIL import Image
from process_memory import GATEWAY, MIB, Memory, family_of, memory_of
from rich.console import Console
from rich.progress import track
from rich.table import Table
from toy_cascade import ToyCascade, write_toy_cascade

from loupe.client import AsyncLoupeClient
from loupe.errors import DeadlineExpiredError, InvalidRequestError, LoupeError, OverloadedError
from server.triton.processes import Process

pytestmark = [pytest.mark.soak, pytest.mark.integration, pytest.mark.timeout(3600)]

REQUESTS = 50_000
WARM_UP = 4_000
"""Requests until every lane, arena and cache has met its work; the growth counts from there."""

BETWEEN_LOOKS = 4_600
IN_FLIGHT = 16
CANCELLED, EXPIRED, UNDECODABLE = 0.01, 0.01, 0.01
LONGEST_WHIM_S = 0.01
SHORTEST_TIME_S = 0.0005

MOST_GROWTH_BYTES = 64 * MIB


@dataclass(frozen=True)
class Look:
    """What all processes had after some requests.

    Attributes:
        requests: How many had ended.
        memory: By process.
    """

    requests: int
    memory: dict[Process, Memory]

    @property
    def resident(self) -> int:
        """Of all processes, in bytes; what two of them share counts twice."""
        return sum(each.resident for each in self.memory.values())

    @property
    def proportional(self) -> int:
        """Of all processes, in bytes; what is shared with other programs counts by shares."""
        return sum(each.proportional for each in self.memory.values())


class Caller:
    """Sends requests of all kinds, and counts what becomes of them."""

    def __init__(self, client: AsyncLoupeClient, cascade: ToyCascade) -> None:
        """Draws the same requests in every run."""
        self._client = client
        self._random = Random(20_261_121)  # noqa: S311 -- a repeatable load
        self._photos = [*(photo for photos in cascade.photos.values() for photo in photos), *_odd_photos(cascade)]
        self.outcomes: Counter[str] = Counter()

    async def send(self) -> None:
        """Sends one request."""
        kind = self._random.random()
        try:
            if kind < CANCELLED:
                await self._send_and_go_away()
            elif kind < CANCELLED + EXPIRED:
                time_s = self._random.uniform(SHORTEST_TIME_S, 4 * SHORTEST_TIME_S)
                await self._client.inspect(self._random.choice(self._photos), task="bread", timeout_s=time_s)
                self.outcomes["answered"] += 1
            elif kind < CANCELLED + EXPIRED + UNDECODABLE:
                photo = self._random.choice(self._photos)
                await self._client.inspect(photo[: len(photo) // 2], task="bread")
            else:
                await self._client.inspect(
                    self._random.choice(self._photos),
                    task="bread",
                    include_attention_map=self._random.random() < 0.1,
                    heads=self._random.choice([(), (), ("kind",), ("grade", "signs")]),
                )
                self.outcomes["answered"] += 1
        except DeadlineExpiredError:
            self.outcomes["expired"] += 1
        except InvalidRequestError:
            self.outcomes["refused"] += 1
        except LoupeError as error:
            # Refused at once because its time was too short, or a fault.
            self.outcomes["expired" if isinstance(error, OverloadedError) else error.code.name] += 1

    async def _send_and_go_away(self) -> None:
        call = asyncio.create_task(self._client.inspect(self._random.choice(self._photos), task="bread"))
        await asyncio.wait({call}, timeout=self._random.uniform(0, LONGEST_WHIM_S))
        call.cancel()
        [outcome] = await asyncio.gather(call, return_exceptions=True)
        self.outcomes["cancelled" if isinstance(outcome, asyncio.CancelledError) else "answered"] += 1


def _odd_photos(cascade: ToyCascade) -> Iterator[bytes]:
    """Yields larger photos, and other formats."""
    for photo, (size, photo_format) in zip(
        cascade.photos["fast"],
        [((1440, 1080), "JPEG"), ((2560, 1920), "JPEG"), ((800, 600), "PNG"), ((640, 480), "WEBP")],
        strict=False,
    ):
        buffer = io.BytesIO()
        Image.open(io.BytesIO(photo)).resize(size).save(buffer, photo_format)
        yield buffer.getvalue()


async def send_all(caller: Caller, count: int) -> None:
    """Keeps so many in flight until all have ended."""
    left = count

    async def work() -> None:
        nonlocal left
        while left > 0:
            left -= 1
            await caller.send()

    async with asyncio.TaskGroup() as group:
        for _ in range(IN_FLIGHT):
            group.create_task(work())


def show(looks: list[Look], names: dict[Process, str], outcomes: Counter[str]) -> None:
    """Prints a line a look: MiB by kind of process."""
    kinds = {process: name.rpartition("_")[2] for process, name in names.items()}
    table = Table(title=f"memory over {looks[-1].requests} requests, {IN_FLIGHT} in flight; resident MiB by process")
    table.add_column("requests", justify="right")
    columns = sorted(set(kinds.values()), key=lambda kind: (kind != GATEWAY, kind))
    for kind in columns:
        table.add_column(f"{kind} ({list(kinds.values()).count(kind)})", justify="right")
    for column in ("all", "growth", "all, proportional", "growth"):
        table.add_column(column, justify="right")
    for look in looks:
        table.add_row(
            str(look.requests),
            *(
                f"{sum(each.resident for process, each in look.memory.items() if kinds[process] == kind) / MIB:.1f}"
                for kind in columns
            ),
            f"{look.resident / MIB:.1f}",
            f"{(look.resident - looks[0].resident) / MIB:+.1f}",
            f"{look.proportional / MIB:.1f}",
            f"{(look.proportional - looks[0].proportional) / MIB:+.1f}",
        )
    console = Console(width=150)
    console.print(table)
    console.print(f"what became of them: {dict(outcomes)}; growth counts from request {looks[0].requests}")


async def test_fifty_thousand_requests_leave_nothing_behind(tmp_path: Path) -> None:
    """Over gateway, Triton and its stubs, no process having been replaced, memory grows by at most 64 MiB."""
    cascade = write_toy_cascade(tmp_path / "models")
    run_root = tmp_path / "run"
    run_root.mkdir()
    # Every tier is to meet its share of them.
    starting = serving(cascade.model_repository, run_root, escalation_backlog="64")
    gateway = await asyncio.to_thread(starting.__enter__)
    try:
        names = dict(family_of(gateway.process.pid))
        async with gateway.client() as client:
            caller = Caller(client, cascade)
            await send_all(caller, WARM_UP)
            looks = [Look(WARM_UP, {each: memory_of(each) for each in names})]
            for _ in track(range(WARM_UP, REQUESTS, BETWEEN_LOOKS), description="requests", transient=True):
                await send_all(caller, min(BETWEEN_LOOKS, REQUESTS - looks[-1].requests))
                done = min(looks[-1].requests + BETWEEN_LOOKS, REQUESTS)
                looks.append(Look(done, {each: memory_of(each) for each in names}))
            assert await asyncio.to_thread(gateway.requests_inside) == 0
            assert family_of(gateway.process.pid) == names
    finally:
        await asyncio.to_thread(starting.__exit__, None, None, None)
    show(looks, names, caller.outcomes)
    assert set(caller.outcomes) <= {"answered", "cancelled", "expired", "refused"}
    assert caller.outcomes["refused"] > 0.8 * UNDECODABLE * REQUESTS
    assert caller.outcomes["cancelled"] > 0
    assert looks[-1].resident - looks[0].resident <= MOST_GROWTH_BYTES
