"""A load test under way hands out what the plan says, and remembers what became of it."""

import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import grpc
import pytest
from toy_engine import toy_photo

from loadtests.load_run import LoadRun
from loadtests.outcome import UNFINISHED
from loadtests.photos import PhotoSet
from loadtests.plan import DEFAULT_PLAN, read_plan
from loadtests.served import ServedTask, ServedTier
from loupe.v1 import inspection_service_pb2 as inspection_pb
from loupe.v1 import prediction_pb2

TASK = ServedTask("bread", 1, ("kind", "grade"), (ServedTier("fast", "fp32", 64), ServedTier("full", "fp32", 64)))
ANSWER = inspection_pb.InspectImageResponse(
    trace=prediction_pb2.CascadeTrace(tier="fast", stop_reason=prediction_pb2.STOP_REASON_TIER_LIMIT)
)


class Refused(grpc.RpcError):
    """What a stub raises."""

    def code(self) -> grpc.StatusCode:
        """Its code."""
        return grpc.StatusCode.INVALID_ARGUMENT


class FakeStub:
    """Answers as told, and remembers what it was sent."""

    def __init__(self) -> None:
        """Answers everything."""
        self.sent: list[tuple[inspection_pb.InspectImageRequest, float | None]] = []
        self.error: grpc.RpcError | None = None

    def InspectImage(  # noqa: N802 -- as the generated stub has it
        self, request: inspection_pb.InspectImageRequest, timeout: float | None
    ) -> inspection_pb.InspectImageResponse:
        """Answers, or raises."""
        self.sent.append((request, timeout))
        if self.error is not None:
            raise self.error
        return ANSWER


MakeRun = Callable[..., LoadRun]


@pytest.fixture
def stub() -> FakeStub:
    """A gateway in place of the real one."""
    return FakeStub()


@pytest.fixture
def make_run(tmp_path: Path, stub: FakeStub) -> MakeRun:
    """Makes a test of 20 requests, all of one kind of photo."""
    path = tmp_path / "photo.jpg"
    path.write_bytes(toy_photo())

    def make(photo_kind: str = "as_taken") -> LoadRun:
        plan = read_plan(DEFAULT_PLAN, per_second=1_000, seconds=0.02)
        arrivals = plan.arrivals.model_copy(update={"warm_up_seconds": 0.0})
        plan = plan.model_copy(update={"arrivals": arrivals, "photos": {photo_kind: 1.0}})
        run = LoadRun(plan, TASK, PhotoSet((path,), "1 photo"), stub)
        run.begin()
        return run

    return make


def test_arrivals_come_in_order_at_the_rate(make_run: MakeRun) -> None:
    """One each millisecond, and none after the last."""
    run = make_run()
    arrivals = [run.take() for _ in range(21)]
    assert [each.drawn.number for each in arrivals[:-1]] == list(range(20))
    gaps = [later.due_s - earlier.due_s for earlier, later in pairwise(arrivals[:-1])]
    assert gaps == pytest.approx([0.001] * 19, abs=1e-6)
    assert arrivals[-1] is None


def test_a_request_says_what_was_drawn(make_run: MakeRun, stub: FakeStub) -> None:
    """Task, photo, limit, heads and deadline."""
    run = make_run()
    arrivals = [run.take() for _ in range(20)]
    for each in arrivals:
        run.send(each)
    for arrival, (request, timeout) in zip(arrivals, stub.sent, strict=True):
        drawn = arrival.drawn
        assert request.task == "tasks/bread"
        assert request.image.content == toy_photo()
        assert (request.policy.max_tier, tuple(request.heads), timeout) == (
            drawn.max_tier,
            drawn.heads,
            drawn.deadline_s,
        )
    assert run.is_over()


def test_latency_counts_from_when_a_request_was_due(make_run: MakeRun) -> None:
    """Whoever sends late has made the caller wait."""
    run = make_run()
    arrival = run.take()
    time.sleep(max(0.0, arrival.due_s + 0.03 - time.perf_counter()))
    outcome = run.send(arrival)
    assert outcome.latency_ms >= outcome.late_ms >= 30
    assert (outcome.tier, outcome.stop_reason) == ("fast", "tier_limit")


def test_a_refusal_is_right_only_for_a_photo_that_cannot_be_decoded(make_run: MakeRun, stub: FakeStub) -> None:
    """And an answer is wrong for one."""
    stub.error = Refused()
    run, broken = make_run(), make_run("undecodable")
    assert run.send(run.take()).failed
    assert not broken.send(broken.take()).failed
    stub.error = None
    assert broken.send(broken.take()).failed


def test_what_never_came_back_is_a_failure(make_run: MakeRun) -> None:
    """A request that hangs is not forgotten."""
    run = make_run()
    arrivals = [run.take() for _ in range(20)]
    for each in arrivals[1:]:
        run.send(each)
    time.sleep(max(0.0, arrivals[0].due_s - time.perf_counter()))
    assert not run.is_over()
    report = run.report()
    assert (report.sent, report.answered, report.failures) == (20, 19, {UNFINISHED: 1})
