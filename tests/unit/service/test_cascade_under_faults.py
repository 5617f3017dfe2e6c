"""The cascade while its strongest tier is ill: minutes of traffic, in virtual time, on a simulated Triton."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

import numpy as np
import pytest
from builders import make_release
from fakes import prediction
from simulated_triton import SimulatedTier, SimulatedTriton
from virtual_time import VirtualClock, run_in_virtual_time

from server.domain.inspection_id import InspectionIds
from server.service.catalog import Catalog
from server.service.deadline import Deadline
from server.service.door import Door
from server.service.inspection import InspectionRequest
from server.service.router import Router
from server.triton.batches import BatchingEngines

TIERS = ("fast", "medium", "full")
SHARES = {"fast": 0.7, "medium": 0.2, "full": 0.1}
PER_S = 25.0
HEALTHY_S, CURED_S = 20.0, 20.0
RUN_S = {"fast": 0.004, "medium": 0.012, "full": 0.05}
SLOWER = 20
SURE, UNSURE = prediction(), prediction(0.5, 0.5)


@dataclass(frozen=True)
class Answered:
    """One answered call.

    Attributes:
        exit: The tier that answers this photo when all are well.
        tier: The tier that answered.
        sent_s: When it was sent.
        ended_s: When it was answered.
    """

    exit: str
    tier: str
    sent_s: float
    ended_s: float


@dataclass(frozen=True)
class Course:
    """What happened before, during and after a fault.

    Attributes:
        answered: In the order of answers.
        fault_s: When the fault came.
        cure_s: When it went.
    """

    answered: list[Answered]
    fault_s: float
    cure_s: float

    def durations_s(self, exit_tier: str, begin_s: float, end_s: float) -> list[float]:
        """How long the calls took that were sent in a stretch of time and exit there."""
        return [
            each.ended_s - each.sent_s
            for each in self.answered
            if each.exit == exit_tier and begin_s <= each.sent_s < end_s
        ]


def slow(tier: SimulatedTier) -> None:
    """Makes a tier twenty times slower, or as it was."""
    tier.run_s = SLOWER * RUN_S["full"] if tier.run_s == RUN_S["full"] else RUN_S["full"]


def kill(tier: SimulatedTier) -> None:
    """Ends a tier's processes, or starts them again."""
    tier.is_dead = not tier.is_dead


def play(fault: Callable[[SimulatedTier], None], *, ill_s: float, time_s: float = 10.0) -> Course:
    """Sends steady traffic, each call with so much time, through a healthy cascade, an ill one, and a cured one."""

    async def main() -> Course:
        photos = {tier: tier.encode() for tier in TIERS}
        tiers = {
            tier: SimulatedTier(
                RUN_S[tier],
                {photos[exit_tier]: SURE if TIERS.index(exit_tier) <= place else UNSURE for exit_tier in TIERS},
            )
            for place, tier in enumerate(TIERS)
        }
        door, catalog, clock = Door(), Catalog(), VirtualClock()
        random = Random(7)  # noqa: S311 -- a repeatable load
        door.open()
        catalog.activate(make_release(*TIERS))
        answered: list[Answered] = []
        async with SimulatedTriton(tiers) as triton:
            router = Router(
                engines=BatchingEngines(triton),
                catalog=catalog,
                door=door,
                ids=InspectionIds(b"k" * 16),
                clock=clock,
            )

            async def call(exit_tier: str) -> None:
                sent_s = clock.monotonic_s()
                request = InspectionRequest("bread", photos[exit_tier])
                inspection = await router.inspect(request, Deadline(sent_s + time_s, clock))
                tier = inspection.trace.runs[-1].tier.tier
                answered.append(Answered(exit_tier, tier, sent_s, clock.monotonic_s()))

            async def send(seconds: float) -> None:
                until_s = clock.monotonic_s() + seconds
                while clock.monotonic_s() < until_s:
                    group.create_task(call(random.choices(list(SHARES), list(SHARES.values()))[0]))
                    await asyncio.sleep(random.expovariate(PER_S))

            async with asyncio.TaskGroup() as group:
                await send(HEALTHY_S)
                fault_s = clock.monotonic_s()
                fault(tiers["full"])
                await send(ill_s)
                cure_s = clock.monotonic_s()
                fault(tiers["full"])
                await send(CURED_S)
        return Course(answered, fault_s, cure_s)

    return run_in_virtual_time(main())


@pytest.mark.parametrize("ill_s", [10.0, 100.0])
@pytest.mark.parametrize("fault", [slow, kill])
def test_an_ill_tier_is_given_up_at_once_and_used_again_when_it_is_well(
    fault: Callable[[SimulatedTier], None], ill_s: float
) -> None:
    """Within 2 s `medium` answers instead, however long; none waits longer; 15 s after the cure all is well."""
    course = play(fault, ill_s=ill_s)
    wanting = [each for each in course.answered if each.exit == "full"]
    ill = [each for each in wanting if course.fault_s + 2 <= each.sent_s and each.ended_s < course.cure_s]
    met = [each for each in wanting if each.ended_s >= course.fault_s and each.sent_s < course.cure_s]
    assert {each.tier for each in ill} == {"medium"}
    assert max(each.ended_s - each.sent_s for each in met) <= 2
    assert all(each.tier == each.exit for each in course.answered if each.exit != "full")
    assert min(each.ended_s for each in wanting if each.sent_s >= course.cure_s and each.tier == "full") <= (
        course.cure_s + 15
    )
    assert {each.tier for each in wanting if each.sent_s > course.cure_s + 15} == {"full"}


@pytest.mark.parametrize("fault", [slow, kill])
def test_who_exits_early_does_not_notice(fault: Callable[[SimulatedTier], None]) -> None:
    """The 99th percentile of `fast` exits and of `medium` exits stays within 15 %."""
    course = play(fault, ill_s=40.0)
    for tier in ("fast", "medium"):
        healthy = np.percentile(course.durations_s(tier, 0, course.fault_s), 99)
        ill = np.percentile(course.durations_s(tier, course.fault_s, course.cure_s), 99)
        assert ill == pytest.approx(healthy, rel=0.15)


@pytest.mark.parametrize("fault", [slow, kill])
def test_callers_in_a_hurry_do_not_bury_an_ill_tier(fault: Callable[[SimulatedTier], None]) -> None:
    """It is given up for them too, though none of them waits for long: else each would wait as long as it can."""
    course = play(fault, ill_s=60.0, time_s=0.25)
    wanting = [each for each in course.answered if each.exit == "full"]
    assert max(each.ended_s - each.sent_s for each in course.answered) <= 0.25
    assert {each.tier for each in wanting if each.sent_s > course.cure_s + 15} == {"full"}
    ill = [each for each in wanting if course.fault_s + 2 <= each.sent_s and each.ended_s < course.cure_s]
    assert np.mean([each.ended_s - each.sent_s for each in ill]) < 0.05
