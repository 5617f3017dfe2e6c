"""`InspectImage`: what an answer holds."""

import pytest
from fakes import prediction

from loupe.v1 import inspection_service_pb2 as pb
from loupe.v1 import prediction_pb2

from .conftest import Gateway, StartGateway


async def test_an_answer_holds_everything(gateway: Gateway, request_message: pb.InspectImageRequest) -> None:
    """Answers in the task's order, calibrated; the release; uncertainty; a recommendation; the trace."""
    answer = await gateway.client.inspect_image(request_message)
    assert answer.inspection.startswith("inspections/")
    assert answer.release == "tasks/bread/releases/1"
    assert [each.head for each in answer.answers] == ["kind", "grade", "signs"]
    kind = answer.answers[0].category
    assert kind.label == "rye"
    assert kind.confidence == pytest.approx(0.97, abs=1e-3)
    assert kind.raw_confidence == pytest.approx(0.97, abs=1e-6)
    assert not kind.alternatives
    assert [each.present for each in answer.answers[2].attributes.attributes] == [True, False]
    assert answer.uncertainty.epistemic == pytest.approx(0.1)
    assert answer.recommendation == prediction_pb2.RECOMMENDATION_ACCEPT
    assert not answer.HasField("attention_map")
    assert not answer.recorded


async def test_the_trace_tells_the_way(start_gateway: StartGateway, request_message: pb.InspectImageRequest) -> None:
    """Each tier that ran, its engine by digest, what was decided, and how long it took."""
    gateway = await start_gateway("fast", "full")
    gateway.engines.answers = {"fast": prediction(0.5, 0.95)}
    trace = (await gateway.client.inspect_image(request_message)).trace
    assert [each.tier for each in trace.tier_runs] == ["fast", "full"]
    assert (trace.tier, trace.stop_reason) == ("full", prediction_pb2.STOP_REASON_LAST_TIER)
    assert trace.guarantee_applies
    assert not trace.degraded
    first = trace.tier_runs[0]
    assert (first.engine.model, first.engine.precision, first.engine.sha256) == ("bread_r1_fast", "fp32", "a" * 64)
    assert [(each.head, round(each.threshold, 3)) for each in first.decisions] == [("kind", 0.9), ("grade", 0.8)]
    assert [each.confidence for each in first.decisions] == pytest.approx([0.5, 0.95], abs=1e-3)
    assert trace.total_duration.ToMicroseconds() >= first.run_duration.ToMicroseconds() > 0


@pytest.mark.parametrize(("count", "expected"), [(0, []), (1, ["wheat"]), (100, ["wheat", "spelt"])])
async def test_alternatives_are_as_many_as_asked_for(
    gateway: Gateway, request_message: pb.InspectImageRequest, count: int, expected: list[str]
) -> None:
    """By falling confidence, without the answer itself."""
    request_message.alternative_count = count
    answer = await gateway.client.inspect_image(request_message)
    assert [each.label for each in answer.answers[0].category.alternatives] == expected


async def test_an_attention_map_comes_if_asked_for(gateway: Gateway, request_message: pb.InspectImageRequest) -> None:
    """Row by row, with its size."""
    request_message.include_attention_map = True
    attention = (await gateway.client.inspect_image(request_message)).attention_map
    assert (attention.row_count, attention.column_count) == (4, 4)
    assert list(attention.weights) == pytest.approx([each / 15 for each in range(16)])


async def test_a_policy_limits_the_tiers(start_gateway: StartGateway, request_message: pb.InspectImageRequest) -> None:
    """The caller's limits and its own threshold hold, the threshold inclusive and as it was written."""
    gateway = await start_gateway("fast", "medium", "full")
    gateway.engines.default = prediction(0.5, 0.5)
    request_message.policy.min_tier = "medium"
    request_message.policy.max_tier = "medium"
    request_message.policy.sufficient_confidence = 0.9
    trace = (await gateway.client.inspect_image(request_message)).trace
    assert (trace.tier, trace.stop_reason) == ("medium", prediction_pb2.STOP_REASON_TIER_LIMIT)
    assert not trace.guarantee_applies
    assert trace.tier_runs[0].decisions[0].threshold == pytest.approx(0.9)


async def test_a_device_prediction_is_a_hint(
    start_gateway: StartGateway, request_message: pb.InspectImageRequest
) -> None:
    """The cascade starts behind the device's tier, and the guarantee is off."""
    gateway = await start_gateway("fast", "full")
    request_message.device_prediction.tier = "fast"
    request_message.device_prediction.release = "tasks/bread/releases/1"
    request_message.device_prediction.outputs.add(head="kind", probabilities=[0.2, 0.3, 0.5])
    trace = (await gateway.client.inspect_image(request_message)).trace
    assert [each.tier for each in trace.tier_runs] == ["full"]
    assert not trace.guarantee_applies


async def test_the_photo_reaches_the_engine_as_it_was_sent(
    gateway: Gateway, request_message: pb.InspectImageRequest
) -> None:
    """Byte for byte."""
    await gateway.client.inspect_image(request_message)
    assert gateway.engines.calls[0].photo == request_message.image.content


@pytest.mark.parametrize(
    ("confidence", "recommendation"),
    [
        (0.95, prediction_pb2.RECOMMENDATION_ACCEPT),
        (0.85, prediction_pb2.RECOMMENDATION_LIKELY),
        (0.65, prediction_pb2.RECOMMENDATION_RETAKE_SUGGESTED),
        (0.5, prediction_pb2.RECOMMENDATION_RETAKE_REQUIRED),
    ],
)
async def test_the_weakest_decision_head_recommends(
    gateway: Gateway,
    request_message: pb.InspectImageRequest,
    confidence: float,
    recommendation: prediction_pb2.Recommendation,
) -> None:
    """Above .90, .75 and .60."""
    gateway.engines.default = prediction(0.99, confidence)
    assert (await gateway.client.inspect_image(request_message)).recommendation == recommendation
