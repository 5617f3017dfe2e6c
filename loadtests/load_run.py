"""One load test under way: which request leaves next, what it says, and what became of all of them.

Knows nothing of Locust, and needs no thread: its users are greenlets, which give way to each other
only while they wait.
"""

import os
import time
from dataclasses import dataclass

import grpc

from loadtests.load_report import LoadReport, report_of
from loadtests.mix import DrawnRequest, Mix
from loadtests.outcome import UNFINISHED, Outcome, answered, not_answered
from loadtests.photo_kinds import AS_TAKEN, PHOTO_KINDS
from loadtests.photos import PhotoSet
from loadtests.plan import LoadPlan
from loadtests.served import ServedTask
from loupe.options import inspect_request
from loupe.v1 import inspection_service_pb2 as inspection_pb
from loupe.v1.inspection_service_pb2_grpc import InspectionServiceStub

_PHOTOS_OF_A_KIND = 4
"""How many photos are made of each kind that is not sent as it lies."""

_HEAD_START_S = 1.0
"""From the start to the first request: so long Locust takes to make its users."""

_GRACE_S = 15.0
"""How long after the last request answers are waited for: longer than the server's own deadline."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """A request that is ready to leave.

    Attributes:
        drawn: What it says.
        message: How it says it.
        due_s: When it leaves, in the time of `time.perf_counter`.
    """

    drawn: DrawnRequest
    message: inspection_pb.InspectImageRequest
    due_s: float


class LoadRun:
    """Hands out arrivals in order, sends them, and keeps what became of each."""

    def __init__(self, plan: LoadPlan, task: ServedTask, photos: PhotoSet, stub: InspectionServiceStub) -> None:
        """Makes the photos of all kinds, which takes seconds."""
        self._plan = plan
        self._task = task
        self._photos = photos
        self._stub = stub
        self._mix = Mix(plan, task)
        self._made = {
            kind: [PHOTO_KINDS[kind](photos.read(number)) for number in range(_PHOTOS_OF_A_KIND)]
            for kind, share in plan.photos.items()
            if share and kind != AS_TAKEN
        }
        self._next_number = 0
        self._under_way: dict[int, Arrival] = {}
        self._outcomes: list[Outcome] = []
        self._began_s = time.perf_counter()
        self._began_cpu_s = time.process_time()

    def begin(self) -> None:
        """Starts the clock: the first request is due in a moment."""
        self._began_s = time.perf_counter() + _HEAD_START_S
        self._began_cpu_s = time.process_time()

    def take(self) -> Arrival | None:
        """Returns the next request, or None after the last."""
        if self._next_number == self._plan.arrivals.count:
            return None
        number, self._next_number = self._next_number, self._next_number + 1
        drawn = self._mix.draw(number)
        arrival = Arrival(drawn, self._message(drawn), self._began_s + self._plan.arrivals.due_s(number))
        self._under_way[number] = arrival
        return arrival

    def send(self, arrival: Arrival) -> Outcome:
        """Sends a request and waits for what becomes of it."""
        drawn = arrival.drawn
        late_ms = _ms_since(arrival.due_s)
        try:
            answer = self._stub.InspectImage(arrival.message, timeout=drawn.deadline_s)
        except grpc.RpcError as error:
            outcome = not_answered(drawn, error.code().name, latency_ms=_ms_since(arrival.due_s), late_ms=late_ms)
        else:
            outcome = answered(drawn, answer, latency_ms=_ms_since(arrival.due_s), late_ms=late_ms)
        del self._under_way[drawn.number]
        self._outcomes.append(outcome)
        return outcome

    def is_over(self) -> bool:
        """Whether everything has come back, or what has not never will."""
        arrivals = self._plan.arrivals
        ends_s = self._began_s + arrivals.due_s(arrivals.count) + _GRACE_S
        return len(self._outcomes) == arrivals.count or time.perf_counter() > ends_s

    def report(self) -> LoadReport:
        """Returns what the test showed."""
        now_s = time.perf_counter()
        unfinished = [
            not_answered(each.drawn, UNFINISHED, latency_ms=_ms_since(each.due_s), late_ms=0.0)
            for each in self._under_way.values()
            if each.due_s <= now_s
        ]
        return report_of(
            [*self._outcomes, *unfinished],
            self._plan,
            release=self._task.release_name,
            tiers=tuple(each.id for each in self._task.tiers),
            photos=self._photos.description,
            client_cores=(time.process_time() - self._began_cpu_s) / (now_s - self._began_s),
            machine_cores=len(os.sched_getaffinity(0)),
        )

    def _message(self, drawn: DrawnRequest) -> inspection_pb.InspectImageRequest:
        made = self._made.get(drawn.photo_kind)
        photo = self._photos.read(drawn.number) if made is None else made[drawn.number % len(made)]
        policy = inspection_pb.CascadePolicy(max_tier=drawn.max_tier)
        return inspect_request(photo, task=self._task.id, heads=drawn.heads, policy=policy)


def _ms_since(then_s: float) -> float:
    return (time.perf_counter() - then_s) * 1e3
