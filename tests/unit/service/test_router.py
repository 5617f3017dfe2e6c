"""The router: what it asks of engines, when it stops, what it keeps, and what it promises."""

import asyncio
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from builders import make_meaning, make_release
from fakes import DECODED, Answer, Call, Gate, prediction
from hypothesis import given, settings
from hypothesis import strategies as st
from router_bench import REQUEST, TIERS, Bench

from server.domain.assurance import AttributesAssurance, CategoryAssurance
from server.domain.bands import BandScope, ConfidenceBand
from server.domain.cascade import CascadePolicy, StopReason
from server.domain.conformal import PredictionSets
from server.domain.errors import (
    BackendUnavailableError,
    DeadlineExpiredError,
    DrainingError,
    EngineFailedError,
    InvalidRequestError,
    LoupeError,
    OverloadedError,
    PhotoRefusedError,
    UnknownHeadError,
    UnknownTaskError,
    UnknownTierError,
)
from server.domain.framing import Framing
from server.domain.prediction import CategoryAnswer, Pixels, RawPrediction, Recommendation
from server.domain.release import Release
from server.service.admission import AdmissionLimits
from server.service.inspection import Inspection, InspectionRequest
from server.service.router import RouterOptions
from server.service.tier_runner import TierLimits

UNSURE = prediction(kind=0.5, grade=0.6)
SURE = prediction()


def taking(bench: Bench, seconds: float, raw: RawPrediction) -> Answer:
    """Returns an answer that takes some of the bench's time."""

    async def answer(_: Call) -> RawPrediction:
        bench.clock.advance(seconds)
        return raw

    return answer


async def test_a_sure_tier_answers_alone() -> None:
    """The cheapest tier that is sure enough gives the answer, and the guarantee covers it."""
    bench = Bench(fast=SURE)
    inspection = await bench.inspect()
    assert bench.visited == ["fast"]
    assert inspection.trace.stop_reason is StopReason.CONFIDENT
    assert inspection.trace.guarantee_applies
    assert not inspection.trace.degraded
    assert inspection.recommendation is Recommendation.ACCEPT
    assert bench.ids.is_own(inspection.id)


async def test_what_few_labels_vouch_for_is_not_accepted() -> None:
    """A sure answer whose band reaches below what is likely is likely at most; bands of other heads do not matter."""
    plain = make_release("fast")
    band = ConfidenceBand(BandScope.POINTWISE, 0.95, 30, knots=(0.0, 0.5), lows=(0.1, 0.4), highs=(0.6, 1.0))
    sets = PredictionSets(0.9, class_conditional=False, thresholds=(0.2,) * 3, item_counts=(30,) * 3)
    found = {}
    for head, assurance in {"kind": CategoryAssurance(band, sets), "signs": AttributesAssurance((band, band))}.items():
        tier = replace(plain.tiers[0], meaning=replace(make_meaning(), assurances={head: assurance}))
        found[head] = await Bench(release=Release(plain.task, 1, (tier,)), fast=SURE).inspect()
    assert found["kind"].recommendation is Recommendation.LIKELY
    assert found["signs"].recommendation is Recommendation.ACCEPT


async def test_an_unsure_tier_escalates() -> None:
    """The answer, and all that goes with it, is that of the last tier that ran."""
    bench = Bench(fast=UNSURE, medium=UNSURE, full=prediction(0.7, 0.7, feature_distance=50.0))
    inspection = await bench.inspect(replace(REQUEST, include_attention=True))
    assert bench.visited == list(TIERS)
    assert inspection.trace.stop_reason is StopReason.LAST_TIER
    assert [each.tier.tier for each in inspection.trace.runs] == list(TIERS)
    assert inspection.uncertainty.epistemic == pytest.approx(0.5)
    assert inspection.recommendation is Recommendation.RETAKE_SUGGESTED
    assert inspection.attention is not None
    assert inspection.trace.guarantee_applies


@pytest.mark.parametrize(
    ("request_", "is_own"),
    [
        (REQUEST, True),
        (replace(REQUEST, policy=CascadePolicy(max_tier="fast")), False),
        (replace(REQUEST, device_tier="fast"), False),
        (replace(REQUEST, heads=("kind",)), False),
    ],
)
async def test_the_reported_confidence_is_that_of_photos_that_stop_alike(
    request_: InspectionRequest, *, is_own: bool
) -> None:
    """On the release's own path the meaning at the exit speaks, else the one of any photo; the decision is the same."""
    plain = make_release(*TIERS)
    tiers = tuple(replace(each, meaning_at_exit=make_meaning(temperature=2.0)) for each in plain.tiers)
    bench = Bench(release=Release(plain.task, 1, tiers), fast=SURE, medium=SURE)
    inspection = await bench.inspect(request_)
    [answer] = [each for each in inspection.answers if each.head == "kind"]
    assert isinstance(answer, CategoryAnswer)
    decided = inspection.trace.runs[-1].decisions[0].confidence
    assert (answer.confidence < decided) == is_own
    assert inspection.trace.guarantee_applies == is_own


async def test_a_degraded_answer_has_the_meaning_of_any_photo() -> None:
    """A photo that should have gone further is none of those that stop here."""
    plain = make_release(*TIERS)
    tiers = tuple(replace(each, meaning_at_exit=make_meaning(temperature=2.0)) for each in plain.tiers)
    bench = Bench(
        release=Release(plain.task, 1, tiers), fast=UNSURE, medium=EngineFailedError("bread_r1_medium", "nan")
    )
    inspection = await bench.inspect()
    answer = inspection.answers[0]
    assert isinstance(answer, CategoryAnswer)
    assert inspection.trace.degraded
    assert answer.confidence == inspection.trace.runs[-1].decisions[0].confidence


async def test_heads_are_answered_in_the_tasks_order() -> None:
    """Requested heads come once each, in the task's order; the engine is asked for the decision heads too."""
    bench = Bench(fast=SURE)
    inspection = await bench.inspect(replace(REQUEST, heads=("signs", "kind")))
    assert [each.head for each in inspection.answers] == ["kind", "signs"]
    assert bench.engines.calls[0].wanted.heads == ("kind", "grade", "signs")
    assert [each.head for each in inspection.trace.runs[0].decisions] == ["kind", "grade"]


async def test_an_engine_is_not_asked_for_what_nobody_needs() -> None:
    """Neither unasked attributes nor the attention map are computed for nothing."""
    bench = Bench(fast=SURE)
    await bench.inspect(replace(REQUEST, heads=("kind",)))
    assert bench.engines.calls[0].wanted.heads == ("kind", "grade")
    assert not bench.engines.calls[0].wanted.attention


async def test_a_photo_is_decoded_once() -> None:
    """The first tier gives back what it took, later ones of its input size take that; the last one gives nothing."""
    bench = Bench(fast=UNSURE, medium=UNSURE, full=SURE)
    await bench.inspect()
    first, *later = bench.engines.calls
    assert (first.photo, first.wanted.pixels) == (REQUEST.photo, True)
    assert [each.wanted.pixels for each in later] == [False, False]
    assert all(isinstance(each.photo, Pixels) and bytes(each.photo.content) == DECODED for each in later)


@pytest.mark.parametrize("other", [{"input_size_px": 999}, {"framing": Framing.WHOLE}])
async def test_pixels_go_to_engines_that_see_alike(other: dict[str, Any]) -> None:
    """A tier of another size or framing is sent the photo, and gives its pixels if somebody after it takes them."""
    plain = make_release(*TIERS)
    first, *others = plain.tiers
    large = [replace(each, engine=replace(each.engine, **other)) for each in others]
    bench = Bench(release=Release(plain.task, 1, (first, *large)), fast=UNSURE, medium=UNSURE, full=SURE)
    await bench.inspect()
    assert [each.wanted.pixels for each in bench.engines.calls] == [False, True, False]
    assert [isinstance(each.photo, Pixels) for each in bench.engines.calls] == [False, False, True]


async def test_an_ensemble_that_cannot_give_pixels_is_not_asked() -> None:
    """Those of releases from before are as they were published: each of their tiers decodes the photo."""
    plain = make_release(*TIERS)
    old = tuple(replace(each, engine=replace(each.engine, gives_pixels=False)) for each in plain.tiers)
    bench = Bench(release=Release(plain.task, 1, old), fast=UNSURE, medium=UNSURE, full=SURE)
    await bench.inspect()
    assert [(each.photo, each.wanted.pixels) for each in bench.engines.calls] == [(REQUEST.photo, False)] * 3


async def test_a_single_tier_gives_no_pixels() -> None:
    """Who may not go on asks for nothing that would help to."""
    bench = Bench(fast=UNSURE)
    await bench.inspect(replace(REQUEST, policy=CascadePolicy(max_tier="fast")))
    assert not bench.engines.calls[0].wanted.pixels


async def test_the_guarantee_needs_all_decision_heads() -> None:
    """Who does not ask for every decision head gets no promise."""
    bench = Bench(fast=SURE)
    assert (await bench.inspect(replace(REQUEST, heads=("kind", "grade")))).trace.guarantee_applies
    assert not (await bench.inspect(replace(REQUEST, heads=("kind", "signs")))).trace.guarantee_applies


@pytest.mark.parametrize(
    "policy",
    [CascadePolicy(min_tier="medium"), CascadePolicy(max_tier="medium"), CascadePolicy(sufficient_confidence=0.9)],
)
async def test_an_overriding_policy_voids_the_guarantee(policy: CascadePolicy) -> None:
    """Another path than the release's own is not what was proven."""
    inspection = await Bench(fast=SURE, medium=SURE).inspect(replace(REQUEST, policy=policy))
    assert not inspection.trace.guarantee_applies


async def test_a_policy_that_changes_nothing_keeps_the_guarantee() -> None:
    """Naming the release's own limits is its own path."""
    policy = CascadePolicy(min_tier="fast", max_tier="full")
    assert (await Bench(fast=SURE).inspect(replace(REQUEST, policy=policy))).trace.guarantee_applies


async def test_the_policys_strongest_tier_stops() -> None:
    """Unsure at the limit, the answer goes out as it is."""
    bench = Bench(fast=UNSURE, medium=UNSURE)
    inspection = await bench.inspect(replace(REQUEST, policy=CascadePolicy(max_tier="medium")))
    assert bench.visited == ["fast", "medium"]
    assert inspection.trace.stop_reason is StopReason.TIER_LIMIT
    assert not inspection.trace.degraded


@pytest.mark.parametrize(
    ("device_tier", "policy", "visited"),
    [
        ("fast", CascadePolicy(), ["medium", "full"]),
        ("medium", CascadePolicy(), ["full"]),
        ("full", CascadePolicy(), ["full"]),
        ("medium", CascadePolicy(max_tier="medium"), ["medium"]),
        ("fast", CascadePolicy(min_tier="full"), ["full"]),
    ],
)
async def test_a_device_hint_starts_behind_its_tier(
    device_tier: str, policy: CascadePolicy, visited: list[str]
) -> None:
    """What a device has done is not done again, within the policy; its answer is never the server's."""
    bench = Bench(fast=UNSURE, medium=UNSURE, full=UNSURE)
    inspection = await bench.inspect(replace(REQUEST, device_tier=device_tier, policy=policy))
    assert bench.visited == visited
    assert not inspection.trace.guarantee_applies


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (BackendUnavailableError("gone"), StopReason.TIER_UNAVAILABLE),
        (EngineFailedError("bread_r1_medium", "nan"), StopReason.TIER_UNAVAILABLE),
        (PhotoRefusedError("UNDECODABLE"), StopReason.TIER_UNAVAILABLE),
        (DeadlineExpiredError("late"), StopReason.TIER_UNAVAILABLE),  # it took longer than it should
        (OverloadedError("tier medium", retry_after_s=1), StopReason.OVERLOAD),
        (ZeroDivisionError("a bug"), StopReason.TIER_UNAVAILABLE),
    ],
)
async def test_a_failed_escalation_keeps_the_best_answer(failure: Exception, reason: StopReason) -> None:
    """Whatever happens to a stronger tier, the weaker answer goes out and says that it is degraded."""
    bench = Bench(fast=UNSURE, medium=failure)
    inspection = await bench.inspect()
    answer = inspection.answers[0]
    assert isinstance(answer, CategoryAnswer)
    assert answer.confidence == pytest.approx(0.5, abs=0.01)
    assert inspection.trace.stop_reason is reason
    assert inspection.trace.degraded
    assert not inspection.trace.guarantee_applies
    assert [each.tier.tier for each in inspection.trace.runs] == ["fast"]


@pytest.mark.parametrize(
    "failure",
    [
        BackendUnavailableError("gone"),
        EngineFailedError("bread_r1_fast", "nan"),
        PhotoRefusedError("UNDECODABLE"),
        DeadlineExpiredError("late"),
        ZeroDivisionError("a bug"),
    ],
)
async def test_a_failed_first_tier_is_an_error(failure: Exception) -> None:
    """Without any answer there is nothing to keep."""
    with pytest.raises(type(failure)):
        await Bench(fast=failure).inspect()


async def test_no_time_means_no_engine() -> None:
    """A request that arrives late is not run."""
    bench = Bench()
    with pytest.raises(DeadlineExpiredError):
        await bench.inspect(time_s=0.0)
    assert bench.visited == []


async def test_an_engine_gets_the_remaining_time() -> None:
    """The first tier may use all of it; a stronger one leaves enough for the answer to arrive."""
    bench = Bench(options=RouterOptions(tier=TierLimits(answer_reserve_s=0.5, patience_s=9.0)))
    bench.engines.answers = {"fast": taking(bench, 4.0, UNSURE), "medium": SURE}
    await bench.inspect(time_s=10.0)
    assert [each.timeout_s for each in bench.engines.calls] == pytest.approx([10.0, 5.5])


async def test_too_little_time_does_not_escalate() -> None:
    """When only the reserve is left, the answer goes out."""
    bench = Bench(options=RouterOptions(tier=TierLimits(answer_reserve_s=0.5)))
    bench.engines.answers = {"fast": taking(bench, 9.6, UNSURE)}
    inspection = await bench.inspect(time_s=10.0)
    assert bench.visited == ["fast"]
    assert inspection.trace.stop_reason is StopReason.DEADLINE
    assert inspection.trace.duration_s == pytest.approx(9.6)


async def test_a_tier_runs_no_more_at_once_than_admitted() -> None:
    """The rest waits, and everyone is answered."""
    gate = Gate()
    bench = Bench(options=RouterOptions(tier=TierLimits(admission=AdmissionLimits(2, 10))), fast=gate)
    calls = [asyncio.create_task(bench.inspect()) for _ in range(8)]
    await gate.entered.wait()
    gate.open()
    await asyncio.gather(*calls)
    assert bench.engines.most_running == 2


async def test_a_full_first_tier_refuses() -> None:
    """Shed at the door of the first tier, with the time to come back."""
    gate = Gate()
    bench = Bench(options=RouterOptions(tier=TierLimits(admission=AdmissionLimits(1, 0))), fast=gate)
    running = asyncio.create_task(bench.inspect())
    await gate.entered.wait()
    with pytest.raises(OverloadedError, match="tier fast"):
        await bench.inspect()
    gate.open()
    await running


async def test_a_full_stronger_tier_degrades() -> None:
    """Each tier has its own places; a full one costs the answer its strength and not its existence."""
    gate = Gate()
    bench = Bench(options=RouterOptions(tier=TierLimits(admission=AdmissionLimits(1, 0))), fast=UNSURE, medium=gate)
    running = asyncio.create_task(bench.inspect())
    await gate.entered.wait()
    inspection = await bench.inspect()
    assert inspection.trace.stop_reason is StopReason.OVERLOAD
    gate.open()
    assert (await running).trace.stop_reason is StopReason.CONFIDENT


async def test_nobody_is_given_a_better_answer_while_many_have_none() -> None:
    """Beyond the backlog an unsure answer goes out; once fewer wait, photos escalate again."""
    bench = Bench(options=RouterOptions(tier=TierLimits(admission=AdmissionLimits(1, 8)), backlog=1))
    gates = [Gate(UNSURE), Gate(UNSURE), Gate(UNSURE)]
    left = iter(gates)

    async def answer(call: Call) -> RawPrediction:
        return await next(left)(call)

    bench.engines.answers = {"fast": answer, "medium": SURE}
    calls = [asyncio.create_task(bench.inspect()) for _ in gates]
    for gate in gates:
        await gate.entered.wait()
        gate.open()
    first, *others = await asyncio.gather(*calls)
    assert first.trace.stop_reason is StopReason.OVERLOAD
    assert [each.trace.stop_reason for each in others] == [StopReason.CONFIDENT] * 2


async def test_photos_of_streams_do_not_hurry_anybody() -> None:
    """Whoever streams waits for all of them: as many as there are, they are escalated, and so are calls beside them."""
    bench = Bench(options=RouterOptions(backlog=0))
    gate = Gate(UNSURE)
    bench.engines.answers = {"fast": gate, "medium": SURE}
    streamed = replace(REQUEST, in_stream=True)
    calls = [asyncio.create_task(bench.inspect(each)) for each in (REQUEST, *[streamed] * 8)]
    await gate.entered.wait()
    gate.open()
    assert {each.trace.stop_reason for each in await asyncio.gather(*calls)} == {StopReason.CONFIDENT}


async def test_a_caller_that_goes_away_frees_its_place() -> None:
    """A cancelled request is cancelled at the engine, and the next one runs."""
    gate = Gate()
    bench = Bench(options=RouterOptions(tier=TierLimits(admission=AdmissionLimits(1, 0))), fast=gate)
    running = asyncio.create_task(bench.inspect())
    await gate.entered.wait()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert bench.engines.cancelled == 1
    assert bench.door.inside == 0
    gate.open()
    await bench.inspect()


async def test_what_does_not_exist_is_said_by_name() -> None:
    """Unknown tasks, heads and tiers are errors of their own, before any engine runs."""
    bench = Bench()
    with pytest.raises(UnknownTaskError, match="cheese"):
        await bench.inspect(replace(REQUEST, task="cheese"))
    with pytest.raises(UnknownHeadError, match="size"):
        await bench.inspect(replace(REQUEST, heads=("kind", "size")))
    with pytest.raises(UnknownTierError, match="huge"):
        await bench.inspect(replace(REQUEST, policy=CascadePolicy(max_tier="huge")))
    with pytest.raises(UnknownTierError, match="tiny"):
        await bench.inspect(replace(REQUEST, device_tier="tiny"))
    with pytest.raises(InvalidRequestError, match="stronger"):
        await bench.inspect(replace(REQUEST, policy=CascadePolicy(min_tier="full", max_tier="fast")))
    assert bench.visited == []


async def test_a_draining_gateway_takes_no_new_request() -> None:
    """Those inside finish; new ones are refused."""
    gate = Gate()
    bench = Bench(fast=gate)
    running = asyncio.create_task(bench.inspect())
    await gate.entered.wait()
    bench.door.shut()
    with pytest.raises(DrainingError):
        await bench.inspect()
    gate.open()
    await running
    await bench.door.wait_empty()


OUTCOMES = st.sampled_from(
    [
        SURE,
        UNSURE,
        prediction(0.95, 0.5),
        prediction(0.89, 0.99),
        BackendUnavailableError("gone"),
        EngineFailedError("x", "y"),
        DeadlineExpiredError("late"),
        OverloadedError("x", retry_after_s=1),
        PhotoRefusedError("UNDECODABLE"),
    ]
)
LIMITS = st.sampled_from([None, *TIERS])


@settings(deadline=None)
@given(st.tuples(OUTCOMES, OUTCOMES, OUTCOMES), LIMITS, LIMITS, LIMITS)
def test_the_cascade_always_ends_and_never_loses_an_answer(
    outcomes: tuple[Answer, Answer, Answer], min_tier: str | None, max_tier: str | None, device_tier: str | None
) -> None:
    """For any behaviour of engines: tiers in order and once each, the best answer so far, calibrated."""
    order = {tier: index for index, tier in enumerate(TIERS)}
    if min_tier and max_tier and order[min_tier] > order[max_tier]:
        return

    async def play() -> None:
        bench = Bench(**dict(zip(TIERS, outcomes, strict=True)))
        policy = CascadePolicy(min_tier, max_tier)
        request = replace(REQUEST, policy=policy, device_tier=device_tier)
        [outcome] = await asyncio.gather(bench.inspect(request), return_exceptions=True)
        if isinstance(outcome, LoupeError):
            assert outcome is bench.engines.answers[bench.visited[0]]
            assert len(bench.visited) == 1
            return
        assert isinstance(outcome, Inspection)
        inspection = outcome
        visits = [order[each] for each in bench.visited]
        assert visits == sorted(set(visits))
        runs = [each.tier.tier for each in inspection.trace.runs]
        assert runs == bench.visited[: len(runs)]
        assert len(bench.visited) - len(runs) == int(inspection.trace.degraded)
        raw = bench.engines.answers[runs[-1]]
        assert isinstance(raw, RawPrediction)
        answer = inspection.answers[0]
        assert isinstance(answer, CategoryAnswer)
        tier = inspection.trace.runs[-1].tier
        expected = tier.meaning.calibrators["kind"].calibrate(np.asarray(raw.logits["kind"]))
        assert answer.confidence == pytest.approx(float(expected.max()))

    asyncio.run(play())
