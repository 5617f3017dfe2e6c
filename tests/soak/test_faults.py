"""The strongest tier falls ill, in a real Triton under a steady load: who notices, for how long, and who does not.

Healthy and faulty windows take turns in one run, so that a drifting machine drifts under both.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from gateway_process import Served, serving
from mixed_load import Call, Mix, seen, steady_load
from paced_triton import PacedTriton, paced_triton
from process_memory import family_of
from rich.console import Console
from rich.table import Table
from toy_cascade import ToyCascade, write_toy_cascade

from loadtests.pairs import estimate
from loupe.client import AsyncLoupeClient

pytestmark = [pytest.mark.soak, pytest.mark.integration, pytest.mark.timeout(1800)]

PAIRS = 10
WINDOW_S = 8.0
PER_S = 100.0
SHARES = {"fast": 0.7, "medium": 0.2, "full": 0.1}
MEDIUM_S, FULL_S = 0.01, 0.05
SLOWER = 20
SETTLED_S = 1.0
KILLS = 5

HEALTH_EVERY_S = 0.2

DEGRADED_WITHIN_S = 2.0
IN_USE_WITHIN_S = 15.0
SAME_P99 = 0.15
KNOWN_P99 = 2.0
"""What a dead tier may cost on two cores, where the limit is missed: 1.24 to 1.50 were seen."""


@dataclass(frozen=True)
class Round:
    """A healthy window, a faulty one, and the cure.

    Attributes:
        healthy: The calls that were due in the healthy window.
        faulty: The calls that were due in the faulty window, and ended there.
        in_flight: The calls that were under way when the fault came.
        at_cure: The calls that were under way when the cure came: a scout among them may meet either.
        fault_s: When the fault came.
        in_use_s: From the cure to the first answer of `full`.
        served: Whether the gateway said all the while that it serves.
    """

    healthy: list[Call]
    faulty: list[Call]
    in_flight: list[Call]
    at_cure: list[Call]
    fault_s: float
    in_use_s: float
    served: bool

    @property
    def degraded_s(self) -> float:
        """From the fault to the last answer of a call that was kept waiting by what it did not know yet.

        Until then some answers may still come from `full`, or late; from then on every call that wants
        `full` is answered by `medium`.
        """
        wanting = [each for each in self.in_flight + self.faulty if each.exit == "full"]
        first = min(each.ended_s for each in wanting if each.degraded)
        last_full = max((each.ended_s for each in wanting if each.tier == "full"), default=first)
        return max(first, last_full) - self.fault_s

    @property
    def longest_wait_s(self) -> float:
        """Of the calls that met the fault and wanted `full`, scouts included."""
        return max(each.took_s for each in self.in_flight + self.faulty if each.exit == "full")

    @property
    def p99_ratio(self) -> float:
        """Of those that exit at `fast`: faulty to healthy."""
        return p99_ms(self.faulty, "fast") / p99_ms(self.healthy, "fast")


def p99_ms(calls: list[Call], exit_tier: str) -> float:
    """The 99th percentile of the calls that exit there."""
    return float(np.percentile([each.took_s for each in calls if each.exit == exit_tier], 99)) * 1e3


@pytest.fixture
def cascade(tmp_path: Path) -> ToyCascade:
    """Three tiers."""
    return write_toy_cascade(tmp_path / "models")


@pytest.fixture
async def paced(cascade: ToyCascade, tmp_path: Path) -> AsyncIterator[PacedTriton]:
    """A Triton that runs without the gateway."""
    folder = tmp_path / "paces"
    folder.mkdir()
    async with paced_triton(cascade, folder, medium=MEDIUM_S, full=FULL_S) as triton:
        yield triton


@pytest.fixture
async def gateway(cascade: ToyCascade, paced: PacedTriton, tmp_path: Path) -> AsyncIterator[Served]:
    """A gateway on that Triton; a moment in which many wait is no fault of a tier."""
    run_root = tmp_path / "run"
    run_root.mkdir()
    starting = serving(cascade.model_repository, run_root, triton_address=paced.triton.address, escalation_backlog="64")
    yield await asyncio.to_thread(starting.__enter__)
    await asyncio.to_thread(starting.__exit__, None, None, None)


async def play(
    gateway: Served, mix: Mix, *, fault: Callable[[], None], cure: Callable[[], Awaitable[None]]
) -> list[Round]:
    """Plays all rounds under one steady load."""
    rounds = []
    async with (
        gateway.client() as client,
        steady_load(client, mix, per_s=PER_S) as calls,
        health_watched(client) as healths,
    ):
        await asyncio.sleep(2 * SETTLED_S)
        for _ in range(PAIRS):
            healthy_s = time.monotonic()
            await asyncio.sleep(WINDOW_S)
            fault_s = time.monotonic()
            fault()
            await asyncio.sleep(WINDOW_S)
            cure_s = time.monotonic()
            await cure()
            back = await seen(
                calls, lambda each, cure_s=cure_s: each.tier == "full" and each.sent_s > cure_s, within_s=60
            )
            await asyncio.sleep(SETTLED_S)
            rounds.append(
                Round(
                    healthy=[each for each in calls if healthy_s <= each.sent_s and each.ended_s < fault_s],
                    in_flight=[each for each in calls if each.sent_s < fault_s <= each.ended_s],
                    at_cure=[each for each in calls if fault_s <= each.sent_s < cure_s <= each.ended_s],
                    faulty=[each for each in calls if fault_s <= each.sent_s and each.ended_s < cure_s],
                    fault_s=fault_s,
                    in_use_s=back.ended_s - cure_s,
                    served=all(healths),
                )
            )
            calls.clear()
            healths.clear()
    return rounds


@asynccontextmanager
async def health_watched(client: AsyncLoupeClient) -> AsyncIterator[list[bool]]:
    """Asks again and again whether the gateway serves; yields the answers, in a list that grows."""
    answers: list[bool] = []

    async def ask() -> None:
        while True:
            answers.append(await client.is_serving())
            await asyncio.sleep(HEALTH_EVERY_S)

    asking = asyncio.create_task(ask())
    try:
        yield answers
    finally:
        asking.cancel()


def show(title: str, rounds: list[Round]) -> None:
    """Prints a line a round, and what they come to."""
    table = Table(title=title)
    for column in (
        *("round", "calls", "failed", "fast p99 ms, healthy", "faulty", "medium p99 ms, healthy", "faulty"),
        *("degraded after s", "longest wait s", "full in use s after the cure"),
    ):
        table.add_column(column, justify="right")
    for number, each in enumerate(rounds, 1):
        calls = each.healthy + each.in_flight + each.faulty + each.at_cure
        table.add_row(
            *(str(number), str(len(calls)), str(sum(call.code != "OK" for call in calls))),
            *(f"{p99_ms(window, tier):.1f}" for tier in ("fast", "medium") for window in (each.healthy, each.faulty)),
            *(f"{value:.2f}" for value in (each.degraded_s, each.longest_wait_s, each.in_use_s)),
        )
    console = Console(width=160)
    console.print(table)
    console.print(f"fast p99, faulty to healthy: {estimate([each.p99_ratio for each in rounds])}, limit 1 ± {SAME_P99}")
    console.print(
        f"degraded after at most {max(each.degraded_s for each in rounds):.2f} s, limit {DEGRADED_WITHIN_S:g} s; "
        f"full in use {max(each.in_use_s for each in rounds):.2f} s after the cure, limit {IN_USE_WITHIN_S:g} s"
    )


def judge(rounds: list[Round]) -> None:
    """Holds the rounds against the limits."""
    for each in rounds:
        calls = each.healthy + each.in_flight + each.faulty + each.at_cure
        assert {call.code for call in calls} == {"OK"}
        assert each.degraded_s <= DEGRADED_WITHIN_S
        assert each.longest_wait_s <= DEGRADED_WITHIN_S
        late = [call for call in each.faulty if call.sent_s > each.fault_s + DEGRADED_WITHIN_S and call.exit == "full"]
        assert late
        assert {call.tier for call in late} == {"medium"}
        assert {call.tier for call in calls if call.exit == "fast"} == {"fast"}
        assert each.served
        assert each.in_use_s <= IN_USE_WITHIN_S


def keeps_p99(rounds: list[Round]) -> bool:
    """Whether fast exits keep their 99th percentile."""
    return abs(estimate([each.p99_ratio for each in rounds]).median - 1) <= SAME_P99


async def test_a_slow_tier_is_given_up_and_used_again(cascade: ToyCascade, paced: PacedTriton, gateway: Served) -> None:
    """Twenty times slower: `medium` answers within 2 s, `fast` notices nothing, and `full` is used after the cure."""

    async def cure() -> None:
        paced.pace("full", FULL_S)

    rounds = await play(
        gateway, Mix(cascade.photos, SHARES), fault=lambda: paced.pace("full", SLOWER * FULL_S), cure=cure
    )
    show(f"full {SLOWER}x slower", rounds)
    judge(rounds)
    assert keeps_p99(rounds)


async def test_a_killed_tier_is_given_up_and_used_again(
    cascade: ToyCascade, paced: PacedTriton, gateway: Served
) -> None:
    """All its processes killed: the same; and the gateway says that it serves all the while."""
    rounds = await play(
        gateway, Mix(cascade.photos, SHARES), fault=lambda: paced.kill("full"), cure=lambda: paced.revive("full")
    )
    show("full killed", rounds)
    judge(rounds)
    if not keeps_p99(rounds):
        # Triton starts the dead processes again, in vain, on the cores that `fast` runs on.
        assert estimate([each.p99_ratio for each in rounds]).median <= KNOWN_P99
        pytest.xfail("on two cores the restarts of a dead tier cost fast exits more than 15 % of their p99")


async def test_a_killed_tier_of_the_gateways_own_triton_comes_back_by_itself(
    cascade: ToyCascade, tmp_path: Path
) -> None:
    """Nobody else is told to stay away meanwhile, and no call fails.

    What the new processes cost the others while they start is printed and not judged: it is the
    machine's cores that they share.
    """
    run_root = tmp_path / "run"
    run_root.mkdir()
    table = Table(title="all processes of full killed, in the gateway's own Triton")
    for column in (
        "kill",
        "calls",
        "degraded after s",
        "longest wait s",
        "full in use after s",
        "fast p99 ms",
        "before",
    ):
        table.add_column(column, justify="right")
    starting = serving(cascade.model_repository, run_root)
    gateway = await asyncio.to_thread(starting.__enter__)
    try:
        async with (
            gateway.client() as client,
            steady_load(client, Mix(cascade.photos, SHARES), per_s=PER_S) as calls,
            health_watched(client) as healths,
        ):
            for number in range(1, KILLS + 1):
                calls.clear()
                await asyncio.sleep(WINDOW_S)
                before = list(calls)
                calls.clear()
                fault_s = time.monotonic()
                for process, name in family_of(gateway.process.pid).items():
                    if "_full_" in name:
                        process.end()
                degraded = await seen(calls, lambda each: each.exit == "full" and each.degraded, within_s=60)
                back = await seen(
                    calls,
                    lambda each, since_s=degraded.ended_s: each.tier == "full" and each.sent_s > since_s,
                    within_s=60,
                )
                degraded_s, back_s = degraded.ended_s - fault_s, back.ended_s - fault_s
                longest_s = max(each.took_s for each in calls if each.exit == "full")
                table.add_row(
                    *(str(number), str(len(calls)), f"{degraded_s:.2f}", f"{longest_s:.2f}", f"{back_s:.2f}"),
                    *(f"{p99_ms(window, 'fast'):.1f}" for window in (calls, before)),
                )
                assert {each.code for each in before + calls} == {"OK"}
                assert {each.tier for each in calls if each.exit == "fast"} == {"fast"}
                assert degraded_s <= DEGRADED_WITHIN_S
                assert longest_s <= DEGRADED_WITHIN_S
                assert back_s <= IN_USE_WITHIN_S
            assert all(healths)
    finally:
        Console(width=120).print(table)
        await asyncio.to_thread(starting.__exit__, None, None, None)
