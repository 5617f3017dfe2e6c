"""What became of one request of a load test."""

from dataclasses import dataclass

import grpc

from loadtests.mix import DrawnRequest
from loupe.v1 import inspection_service_pb2 as inspection_pb
from loupe.v1 import prediction_pb2

OK = grpc.StatusCode.OK.name
REFUSED = grpc.StatusCode.INVALID_ARGUMENT.name
NOT_REFUSED = "OK, where a refusal was due"
UNFINISHED = "unfinished when the test ended"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one request.

    Attributes:
        number: Its place in the order of arrivals, from 0.
        kind: Its kind in the mix.
        has_deadline: Whether the caller set a deadline.
        code: How it ended: a gRPC code's name, `NOT_REFUSED` or `UNFINISHED`.
        failed: Whether this is not what should have happened.
        latency_ms: From when it was due to its end.
        late_ms: From when it was due to when it left.
        tier: The tier that answered; empty without an answer.
        stop_reason: Why the cascade stopped there, e.g. `confident`; empty without an answer.
        degraded: Whether the answer is weaker than the cascade wanted.
    """

    number: int
    kind: str
    has_deadline: bool
    code: str
    failed: bool
    latency_ms: float
    late_ms: float
    tier: str = ""
    stop_reason: str = ""
    degraded: bool = False

    @property
    def is_answer(self) -> bool:
        """Whether an answer came where one was due."""
        return self.code == OK


def answered(
    drawn: DrawnRequest, answer: inspection_pb.InspectImageResponse, *, latency_ms: float, late_ms: float
) -> Outcome:
    """Returns the outcome of a request that was answered."""
    return Outcome(
        number=drawn.number,
        kind=drawn.kind.name,
        has_deadline=drawn.deadline_s is not None,
        code=OK if drawn.is_answerable else NOT_REFUSED,
        failed=not drawn.is_answerable,
        latency_ms=latency_ms,
        late_ms=late_ms,
        tier=answer.trace.tier,
        stop_reason=stop_reason_name(answer.trace),
        degraded=answer.trace.degraded,
    )


def not_answered(drawn: DrawnRequest, code: str, *, latency_ms: float, late_ms: float) -> Outcome:
    """Returns the outcome of a request that was not answered; for a photo that cannot be decoded that may be right."""
    return Outcome(
        number=drawn.number,
        kind=drawn.kind.name,
        has_deadline=drawn.deadline_s is not None,
        code=code,
        failed=drawn.is_answerable or code != REFUSED,
        latency_ms=latency_ms,
        late_ms=late_ms,
    )


def stop_reason_name(trace: prediction_pb2.CascadeTrace) -> str:
    """Returns why a cascade stopped, e.g. `tier_limit`."""
    return prediction_pb2.StopReason.Name(trace.stop_reason).removeprefix("STOP_REASON_").lower()
