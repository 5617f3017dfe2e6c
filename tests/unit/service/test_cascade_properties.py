"""What holds for every cascade: any confidences, thresholds, limits, deadlines, and anything that engines may do."""

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pytest
from builders import SCALE, TASK, make_tier, platt_of, temperature_of
from fakes import Call, prediction
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st
from router_bench import REQUEST, TIERS, Bench

from build_engines.cascade_solver.fusion import TierFusion
from server.domain.cascade import OWN_PATH, CascadePolicy, StopReason, plan_tiers
from server.domain.errors import (
    BackendUnavailableError,
    DeadlineExpiredError,
    EngineFailedError,
    LoupeError,
    OverloadedError,
    PhotoRefusedError,
)
from server.domain.prediction import AttributesAnswer, CategoryAnswer, RawPrediction
from server.domain.release import Meaning, Release
from server.rpc.convert import inspection_response
from server.service.inspection import Inspection, InspectionRequest

DoubleArray = npt.NDArray[np.float64]

SHARPNESS = {"fast": 2.0, "medium": 0.6, "full": 1.4}
"""By tier, the temperature of its calibrators: none leaves a number as it was, and no two do the same."""


@dataclass(frozen=True)
class Behaviour:
    """What one tier does with a photo.

    Attributes:
        takes_s: How long it takes.
        outcome: What comes of it, if it was given the time.
    """

    takes_s: float
    outcome: RawPrediction | Exception


WEIGHTS = ((0.9,), (0.3, 0.8), (0.2, 0.0, 1.1))
"""How much each tier so far counts, tier by tier, in a release that fuses them."""

Thresholds = Mapping[str, Mapping[str, float]]

UNIT = st.floats(0.34, 0.999)
FAILURES = st.sampled_from(
    [
        BackendUnavailableError("gone"),
        EngineFailedError("x", "y"),
        OverloadedError("x", retry_after_s=1),
        PhotoRefusedError("UNDECODABLE"),
        ZeroDivisionError("a bug"),
    ]
)
BEHAVIOURS = st.fixed_dictionaries(
    {
        tier: st.builds(Behaviour, st.floats(0, 1), st.builds(prediction, UNIT, st.floats(0.51, 0.999)) | FAILURES)
        for tier in TIERS
    }
)
THRESHOLDS = st.fixed_dictionaries(
    {tier: st.fixed_dictionaries(dict.fromkeys(TASK.decision_heads, st.floats(0.3, 1.01))) for tier in TIERS}
)
RAISES = st.fixed_dictionaries(
    {tier: st.fixed_dictionaries(dict.fromkeys(TASK.decision_heads, st.floats(0, 0.5))) for tier in TIERS}
)
LIMITS = st.tuples(st.sampled_from([None, *TIERS]), st.sampled_from([None, *TIERS])).filter(
    lambda limits: None in limits or TIERS.index(limits[0]) <= TIERS.index(limits[1])
)
REQUESTS = st.builds(
    lambda limits, sufficient, device, heads: replace(
        REQUEST, policy=CascadePolicy(*limits, sufficient), device_tier=device, heads=heads
    ),
    LIMITS,
    st.none() | st.floats(0.3, 1),
    st.sampled_from([None, *TIERS]),
    st.sampled_from([(), ("kind",), ("signs", "grade")]),
)
TIMES_S = st.floats(0.01, 5)
IS_FUSED = st.booleans()


def is_own_path(release: Release, request: InspectionRequest) -> bool:
    """Whether nothing in a request changes the release's own path."""
    return (
        plan_tiers(release, request.policy) == plan_tiers(release, OWN_PATH)
        and request.policy.sufficient_confidence is None
        and request.device_tier is None
        and (not request.heads or set(request.heads) >= set(TASK.decision_heads))
    )


def release_with(thresholds: Thresholds, *, is_fused: bool = False) -> Release:
    """Returns a release whose tiers calibrate in ways of their own, each alone or together with those before it."""
    tiers = []
    for tier, weights in zip(TIERS, WEIGHTS, strict=True):
        made = make_tier(tier, thresholds=dict(thresholds[tier]))
        sha256, sharpness = made.engine.sha256, SHARPNESS[tier]
        at_exit, anywhere = (
            Meaning(
                {
                    "kind": temperature_of(sha256, sharpness * share, item_count=50),
                    "grade": temperature_of(sha256, share / sharpness, item_count=70),
                    "signs": platt_of(sha256, sharpness * share, share / sharpness, item_count=90),
                },
                SCALE,
            )
            for share in (0.9, 1.0)
        )
        deciders = {"kind": temperature_of(sha256, sharpness * 1.1, item_count=30)}
        tiers.append(replace(made, meaning=anywhere, meaning_at_exit=at_exit, deciders=deciders))
        if is_fused:
            tiers[-1] = replace(tiers[-1], fusion=dict.fromkeys(TASK.decision_heads, weights))
    return Release(TASK, 1, tuple(tiers))


def engine_of(bench: Bench, behaviour: Behaviour) -> Callable[[Call], Awaitable[RawPrediction]]:
    """Returns an engine that behaves so, on the bench's clock."""

    async def answer(call: Call) -> RawPrediction:
        bench.clock.advance(min(behaviour.takes_s, call.timeout_s))
        if behaviour.takes_s > call.timeout_s:
            raise DeadlineExpiredError("late")
        if isinstance(behaviour.outcome, Exception):
            raise behaviour.outcome
        return behaviour.outcome

    return answer


def play(
    bench: Bench, behaviours: Mapping[str, Behaviour], request: InspectionRequest, time_s: float
) -> tuple[Inspection | Exception, list[str]]:
    """Sends one photo; returns the answer or the error, and the tiers that were asked."""
    bench.engines.answers = {tier: engine_of(bench, each) for tier, each in behaviours.items()}
    asked_before = len(bench.visited)
    outcome: Inspection | Exception
    try:
        outcome = asyncio.run(bench.inspect(request, time_s=time_s))
    except (LoupeError, ZeroDivisionError) as error:
        outcome = error
    return outcome, bench.visited[asked_before:]


def check(
    outcome: Inspection | Exception, visited: list[str], behaviours: Mapping[str, Behaviour], time_s: float
) -> None:
    """In order and once each; the best answer so far; an error only if the first tier failed."""
    assert visited == sorted(set(visited), key=TIERS.index)
    if isinstance(outcome, Exception):
        assert len(visited) == 1
        first = behaviours[visited[0]]
        assert outcome is first.outcome or (isinstance(outcome, DeadlineExpiredError) and first.takes_s > time_s - 1e-9)
        return
    runs = [each.tier.tier for each in outcome.trace.runs]
    assert runs
    assert runs == visited[: len(runs)]
    assert len(visited) - len(runs) in ((0, 1) if outcome.trace.degraded else (0,))
    assert all(isinstance(behaviours[tier].outcome, RawPrediction) for tier in runs)
    assert outcome.trace.duration_s <= time_s + 1e-9


@given(BEHAVIOURS, THRESHOLDS, REQUESTS, TIMES_S, IS_FUSED)
def test_it_ends_in_order_with_the_best_answer_so_far(
    behaviours: Mapping[str, Behaviour],
    thresholds: Thresholds,
    request: InspectionRequest,
    time_s: float,
    is_fused: bool,  # noqa: FBT001 -- hypothesis gives it by place
) -> None:
    """Whatever engines do and callers want: every call ends in time, and only a failed first tier is an error."""
    bench = Bench(release=release_with(thresholds, is_fused=is_fused))
    outcome, visited = play(bench, behaviours, request, time_s)
    check(outcome, visited, behaviours, time_s)


@given(st.lists(st.tuples(BEHAVIOURS, REQUESTS, TIMES_S), min_size=2, max_size=12), THRESHOLDS)
def test_what_happened_before_changes_no_promise(
    history: list[tuple[Mapping[str, Behaviour], InspectionRequest, float]], thresholds: Thresholds
) -> None:
    """Breakers that have opened and latencies that were learnt may cost an answer its strength, and nothing else."""
    bench = Bench(release=release_with(thresholds))
    for behaviours, request, time_s in history:
        outcome, visited = play(bench, behaviours, request, time_s)
        check(outcome, visited, behaviours, time_s)
    assert bench.door.inside == 0
    assert all(each.in_flight == each.waiting == 0 for each in bench.router.loads())


@given(BEHAVIOURS, THRESHOLDS, RAISES, REQUESTS, TIMES_S, IS_FUSED)
def test_raising_a_threshold_never_stops_earlier(
    behaviours: Mapping[str, Behaviour],
    thresholds: Thresholds,
    raises: Thresholds,
    request: InspectionRequest,
    time_s: float,
    is_fused: bool,  # noqa: FBT001 -- hypothesis gives it by place
) -> None:
    """Who is harder to satisfy comes as far, or further, also where engines fail and time runs out.

    The tiers on the way are the same, unless one cannot stop any more: it is passed over.
    """
    raised = {
        tier: {head: value + raises[tier][head] for head, value in each.items()} for tier, each in thresholds.items()
    }
    policy = replace(request.policy, sufficient_confidence=None)
    request = replace(request, policy=policy)
    plain, harder = (release_with(each, is_fused=is_fused) for each in (thresholds, raised))
    _, asked = play(Bench(release=plain), behaviours, request, time_s)
    _, asked_more = play(Bench(release=harder), behaviours, request, time_s)
    assert TIERS.index(asked_more[-1]) >= TIERS.index(asked[-1])
    if is_fused or [each.may_stop for each in plain.tiers] == [each.may_stop for each in harder.tiers]:
        assert asked_more[: len(asked)] == asked


def scores_of(
    outcome: Inspection, behaviours: Mapping[str, Behaviour], head: str, *, run_count: int, together: bool
) -> DoubleArray:
    """Returns what a tier says of a head, alone or together with those before it, by the builder's own fusion."""
    said = []
    for run in outcome.trace.runs[:run_count]:
        raw = behaviours[run.tier.tier].outcome
        assert isinstance(raw, RawPrediction)
        said.append((run.tier, raw.logits[head]))
    if not together:
        return np.asarray(said[-1][1], dtype=np.float64)
    alone = np.array([[tier.decider(head).calibrate(logits)] for tier, logits in said])
    return np.asarray(np.log(TierFusion(WEIGHTS[:run_count]).fuse(alone)[-1, 0]), dtype=np.float64)


@given(BEHAVIOURS, THRESHOLDS, REQUESTS, TIMES_S, IS_FUSED)
def test_no_path_returns_an_uncalibrated_number(
    behaviours: Mapping[str, Behaviour],
    thresholds: Thresholds,
    request: InspectionRequest,
    time_s: float,
    is_fused: bool,  # noqa: FBT001 -- hypothesis gives it by place
) -> None:
    """Every confidence and probability of the response went through the calibrator of its head and of its own tier.

    On the path of a release that fuses its tiers, decision heads are answered by all tiers so far; off it by one.
    """
    release = release_with(thresholds, is_fused=is_fused)
    outcome, _ = play(Bench(release=release), behaviours, request, time_s)
    if isinstance(outcome, Exception):
        return
    answering, count = outcome.trace.runs[-1].tier, len(outcome.trace.runs)
    is_unsure_end = outcome.trace.stop_reason is StopReason.LAST_TIER and is_own_path(release, request)
    is_own_exit = outcome.trace.guarantee_applies or is_unsure_end
    spoken = answering.meaning_of(is_own_exit=is_own_exit)
    stated = set()
    for answer in outcome.answers:
        together = is_fused and is_own_exit and answer.head in TASK.decision_heads
        scores = scores_of(outcome, behaviours, answer.head, run_count=count, together=together)
        expected = spoken.calibrators[answer.head].calibrate(scores).tolist()
        stated |= {round(each, 5) for each in expected}
        labels = TASK.head(answer.head).labels
        if isinstance(answer, CategoryAnswer):
            assert {each.label: each.confidence for each in answer.ranking} == pytest.approx(
                dict(zip(labels, expected, strict=True))
            )
        else:
            assert isinstance(answer, AttributesAnswer)
            assert [each.probability for each in answer.attributes] == pytest.approx(expected)
    together = is_fused and is_own_path(release, request)
    for number, run in enumerate(outcome.trace.runs, start=1):
        for decision in run.decisions:
            scores = scores_of(outcome, behaviours, decision.head, run_count=number, together=together)
            calibrated = np.exp(scores) if together else run.tier.decider(decision.head).calibrate(scores)
            assert decision.confidence == pytest.approx(calibrated.max())
            stated.add(round(decision.confidence, 5))
    response = inspection_response(outcome, alternative_count=100)
    sent = [*numbers_of(response, "confidence"), *numbers_of(response, "probability")]
    assert sent
    assert all(any(math.isclose(each, known, abs_tol=1e-5) for known in stated) for each in sent)


def numbers_of(message: Message, name: str) -> list[float]:
    """Returns the values of all fields of this name in a message and in those that it holds."""
    found: list[float] = []
    for field, value in message.ListFields():
        if field.name == name:
            found.append(value)
        elif field.type == field.TYPE_MESSAGE:
            for each in value if field.is_repeated else [value]:
                found += numbers_of(each, name)
    return found
