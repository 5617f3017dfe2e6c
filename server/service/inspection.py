"""What goes into the router and what comes out: one request, and one answered inspection."""

from dataclasses import dataclass

from server.domain.cascade import DEGRADED_REASONS, OWN_PATH, CascadePolicy, HeadDecision, StopReason
from server.domain.prediction import FloatArray, HeadAnswer, Recommendation, Uncertainty
from server.domain.release import Release, TierRelease


@dataclass(frozen=True, slots=True)
class InspectionRequest:
    """A request whose form is sound; whether task, heads and tiers exist is still to be seen.

    Attributes:
        task: The task's id.
        photo: The encoded bytes, whose header has been read.
        heads: The ids of the heads to answer, without duplicates; all heads of the task if empty.
        policy: The caller's limits on the cascade.
        device_tier: The tier that ran on the caller's device, if any: the cascade starts behind it.
        include_attention: Whether the attention map is wanted.
        in_stream: Whether it is one of a stream's photos, whose caller waits for all of them and for none alone.
    """

    task: str
    photo: bytes
    heads: tuple[str, ...] = ()
    policy: CascadePolicy = OWN_PATH
    device_tier: str | None = None
    include_attention: bool = False
    in_stream: bool = False


@dataclass(frozen=True, slots=True)
class TierRun:
    """One run of one tier.

    Attributes:
        tier: What ran.
        decisions: One entry a decision head of the task.
        duration_s: From dispatch to answer, queueing included.
    """

    tier: TierRelease
    decisions: tuple[HeadDecision, ...]
    duration_s: float


@dataclass(frozen=True, slots=True)
class Trace:
    """How the cascade reached an answer.

    Attributes:
        runs: One entry a tier that answered, in order; the last one gave the answer. Never empty.
        stop_reason: Why the cascade stopped there.
        guarantee_applies: Whether the release's accuracy guarantee covers the answer.
        duration_s: From the arrival of the request to the answer.
    """

    runs: tuple[TierRun, ...]
    stop_reason: StopReason
    guarantee_applies: bool
    duration_s: float

    @property
    def degraded(self) -> bool:
        """Whether the answer is weaker than the cascade wanted."""
        return self.stop_reason in DEGRADED_REASONS


@dataclass(frozen=True, slots=True)
class Inspection:
    """One answered request.

    Attributes:
        id: What feedback refers to.
        release: What answered.
        answers: One a requested head, in the task's order.
        uncertainty: What the model does not know about the photo.
        recommendation: What to do with the answer.
        trace: How the cascade reached it.
        attention: `[rows, columns]` float32 weights in [0, 1], or None if not asked for.
    """

    id: str
    release: Release
    answers: tuple[HeadAnswer, ...]
    uncertainty: Uncertainty
    recommendation: Recommendation
    trace: Trace
    attention: FloatArray | None
