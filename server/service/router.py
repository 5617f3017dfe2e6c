"""The router: applies the cascade to engines. Plan, then for each tier: admit, run, calibrate, decide.

A failed escalation keeps the best answer so far; only a failed first tier is an error.
"""

import logging
import secrets
from collections.abc import Coroutine, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from server.domain.answer import RecommendationBounds, TierAnswer, answer_tier, confidences_to_decide, recommend
from server.domain.cascade import (
    DEGRADED_REASONS,
    OWN_PATH,
    Decision,
    StopReason,
    decide,
    plan_tiers,
    promise_covers,
)
from server.domain.errors import (
    DeadlineExpiredError,
    LoupeError,
    OverloadedError,
    UnknownHeadError,
)
from server.domain.fusion import fuse
from server.domain.inspection_id import ENTROPY_BYTES, InspectionIds
from server.domain.ports import Clock, Engines, Tracer, Untraced
from server.domain.prediction import RawPrediction, Wanted
from server.domain.release import Release, TierRelease
from server.domain.task import Task
from server.service.catalog import Catalog
from server.service.deadline import Deadline
from server.service.door import Door
from server.service.inspection import Inspection, InspectionRequest, TierRun, Trace
from server.service.observer import TierLoad
from server.service.tier_runner import Infer, TierLimits, TierRunner

_LOG = logging.getLogger(__name__)

_Said = list[tuple[TierRelease, RawPrediction]]
"""The tiers that have run, in order, and what their engines said."""

_STOP_REASONS: Mapping[type[LoupeError], StopReason] = {
    DeadlineExpiredError: StopReason.DEADLINE,
    OverloadedError: StopReason.OVERLOAD,
}


@dataclass(frozen=True, slots=True)
class RouterOptions:
    """How requests are routed.

    Attributes:
        bounds: The confidences that each recommendation takes.
        tier: How much work each tier takes, and how long a stronger one is waited for.
        backlog: While more calls than this have no answer yet, streams apart, no photo is escalated; at least 0.
    """

    bounds: RecommendationBounds = field(default_factory=RecommendationBounds)
    tier: TierLimits = field(default_factory=TierLimits)
    backlog: int = 4


@dataclass(frozen=True, slots=True)
class _Plan:
    """What one request will visit.

    Attributes:
        release: What answers it.
        tiers: Cheapest first; never empty.
        heads: What is answered, in the task's order.
        needed_heads: What the engines are asked for: the answered and the decision heads.
        is_own: Whether it is the release's own path, which its guarantee covers.
    """

    release: Release
    tiers: tuple[TierRelease, ...]
    heads: tuple[str, ...]
    needed_heads: tuple[str, ...]
    is_own: bool


class Router:
    """Answers inspections, many at once, in one event loop."""

    def __init__(
        self,
        *,
        engines: Engines,
        catalog: Catalog,
        door: Door,
        ids: InspectionIds,
        clock: Clock,
        options: RouterOptions | None = None,
        tracer: Tracer | None = None,
    ) -> None:
        """Routes to `engines` what `door` lets in.

        Args:
            engines: Runs compiled models.
            catalog: Which release answers for a task.
            door: Counts the requests inside.
            ids: Issues the ids of inspections.
            clock: What time it is.
            options: How requests are routed.
            tracer: Surrounds each run of a tier.
        """
        self._tracer = tracer or Untraced()
        self._engines = engines
        self._catalog = catalog
        self._door = door
        self._ids = ids
        self._clock = clock
        self._options = options or RouterOptions()
        self._runners: dict[str, TierRunner] = {}
        self._unanswered = 0

    async def inspect(self, request: InspectionRequest, deadline: Deadline) -> Inspection:
        """Answers one photo.

        Raises:
            UnknownTaskError: No release of the task is being served.
            UnknownHeadError: The task has no such head.
            UnknownTierError: The release has no such tier.
            InvalidRequestError: The policy's cheapest tier is stronger than its strongest.
            PhotoRefusedError: The photo cannot be decoded.
            OverloadedError: The first tier is too busy.
            DeadlineExpiredError: The time was not enough for the first tier.
            BackendUnavailableError: The backend is lost, starting or restarting.
            DrainingError: The gateway is shutting down.
            EngineFailedError: The first tier failed.
        """
        with self._door:
            began_s = self._clock.monotonic_s()
            plan = self._plan(request)
            said, runs, stop_reason = await self._climb(request, plan, deadline)
            is_own_exit = plan.is_own and stop_reason not in DEGRADED_REASONS
            guarantee_applies = is_own_exit and promise_covers(runs[-1].tier, stop_reason)
            best = _answer(plan, said, is_own_exit=is_own_exit)
            task = plan.release.task
            now_s = self._clock.monotonic_s()
            trace = Trace(tuple(runs), stop_reason, guarantee_applies, duration_s=now_s - began_s)
            return Inspection(
                id=self._ids.issue(self._clock.utc_s(), secrets.token_bytes(ENTROPY_BYTES)),
                release=plan.release,
                answers=tuple(best.answers[head] for head in plan.heads),
                uncertainty=best.uncertainty,
                recommendation=recommend(
                    best.decision_confidences(task), best.uncertainty, self._options.bounds, best.decision_lows(task)
                ),
                trace=trace,
                attention=best.attention,
            )

    def loads(self) -> Iterator[TierLoad]:
        """Yields how busy each tier is that has run since the start."""
        for model, runner in tuple(self._runners.items()):
            yield TierLoad(model, runner.name, runner.in_flight, runner.waiting, runner.is_given_up)

    def _plan(self, request: InspectionRequest) -> _Plan:
        release = self._catalog.active(request.task)
        task = release.task
        heads = _requested_heads(task, request.heads)
        tiers = plan_tiers(release, request.policy)
        if request.device_tier is not None:
            tiers = _behind(release, tiers, request.device_tier)
        return _Plan(
            release=release,
            tiers=tiers,
            heads=heads,
            needed_heads=tuple(each for each in task.head_ids if each in heads or each in task.decision_heads),
            is_own=tiers == plan_tiers(release, OWN_PATH)
            and request.policy.sufficient_confidence is None
            and request.device_tier is None
            and set(heads).issuperset(task.decision_heads),
        )

    async def _climb(
        self, request: InspectionRequest, plan: _Plan, deadline: Deadline
    ) -> tuple[_Said, list[TierRun], StopReason]:
        """Visits the plan's tiers until one is sure enough, or until the next one fails."""
        runs: list[TierRun] = []
        said: _Said = []
        for tier in plan.tiers:
            try:
                decision, run = await self._run(request, plan, tier, deadline, said)
            except Exception as error:
                if not said:
                    raise
                return said, runs, _stop_reason_of(error, tier)
            runs.append(run)
            if decision.stop_reason is not None:
                return said, runs, decision.stop_reason
        raise AssertionError("decide() stops at the last tier of every plan")

    async def _run(
        self, request: InspectionRequest, plan: _Plan, tier: TierRelease, deadline: Deadline, said: _Said
    ) -> tuple[Decision, TierRun]:
        """Runs a tier, adds what it says to `said`, and decides."""
        began_s = self._clock.monotonic_s()
        runner = self._runner_of(tier)
        later = plan.tiers[len(said) + 1 :]
        seen = (raw.pixels for earlier, raw in said if earlier.engine.sees_as(tier.engine))
        pixels = next((each for each in seen if each is not None), None)
        is_of_use = tier.engine.gives_pixels and any(each.engine.sees_as(tier.engine) for each in later)
        wanted = Wanted(plan.needed_heads, request.include_attention, pixels is None and is_of_use)
        photo = request.photo if pixels is None else pixels

        def infer(timeout_s: float) -> Coroutine[Any, Any, RawPrediction]:
            return self._engines.infer(tier.engine, photo, wanted, timeout_s=timeout_s)

        with self._tracer.step(f"tier {tier.tier}"):
            if said:
                raw = await self._better(runner, infer, deadline)
            else:
                raw = await self._first(runner, infer, deadline, in_stream=request.in_stream)
        so_far = [*said, (tier, raw)]
        confidences = confidences_to_decide(plan.release.task, tier, raw, fuse(so_far) if plan.is_own else {})
        decision = decide(plan.release, tier, request.policy, confidences)
        # Only now: what cannot be given a meaning was not said.
        said.append((tier, raw))
        return decision, TierRun(tier, decision.heads, self._clock.monotonic_s() - began_s)

    async def _first(self, runner: TierRunner, infer: Infer, deadline: Deadline, *, in_stream: bool) -> RawPrediction:
        """Gets a photo its first answer; see `TierRunner.run`."""
        self._unanswered += not in_stream
        try:
            return await runner.run(infer, deadline)
        finally:
            self._unanswered -= not in_stream

    async def _better(self, runner: TierRunner, infer: Infer, deadline: Deadline) -> RawPrediction:
        """Betters an answer, but not while many callers have none: tiers share a machine; see `TierRunner.escalate`."""
        if self._unanswered > self._options.backlog:
            raise OverloadedError("the gateway", retry_after_s=0.0)
        return await runner.escalate(infer, deadline)

    def _runner_of(self, tier: TierRelease) -> TierRunner:
        model = tier.engine.model
        runner = self._runners.get(model)
        if runner is None:
            runner = self._runners[model] = TierRunner(tier.tier, self._options.tier, self._clock)
        return runner


def _answer(plan: _Plan, said: _Said, *, is_own_exit: bool) -> TierAnswer:
    """Returns what the last tier's word means: on the release's own path, together with that of those before it."""
    tier, raw = said[-1]
    fused = fuse(said) if is_own_exit else {}
    return answer_tier(plan.release.task, tier.meaning_of(is_own_exit=is_own_exit), raw, plan.needed_heads, fused)


def _requested_heads(task: Task, wanted: tuple[str, ...]) -> tuple[str, ...]:
    """Returns the wanted heads in the task's order; all if none is named."""
    known = task.head_ids
    for head in wanted:
        if head not in known:
            raise UnknownHeadError(head, known=known)
    return tuple(each for each in known if each in wanted) if wanted else known


def _behind(release: Release, tiers: tuple[TierRelease, ...], device_tier: str) -> tuple[TierRelease, ...]:
    """Returns the tiers that are stronger than the device's; the strongest one if none is."""
    order = release.tier_ids
    reached = order.index(release.tier(device_tier).tier)
    return tuple(each for each in tiers if order.index(each.tier) > reached) or tiers[-1:]


def _stop_reason_of(error: Exception, tier: TierRelease) -> StopReason:
    """Says why an escalation failed; what nobody foresaw is logged as such."""
    if isinstance(error, LoupeError):
        _LOG.info("no escalation to %s: %s", tier.tier, error)
        return _STOP_REASONS.get(type(error), StopReason.TIER_UNAVAILABLE)
    _LOG.error("the escalation to %s failed", tier.tier, exc_info=error)
    return StopReason.TIER_UNAVAILABLE
