"""From the domain to the contract, one function a message, without a decision of its own.

Messages are filled in place: a message that is made first and then put into another is copied.
"""

from google.protobuf.duration_pb2 import Duration

from loupe.v1 import inspection_service_pb2 as inspection_pb
from loupe.v1 import prediction_pb2 as prediction_pb
from loupe.v1 import task_service_pb2 as task_pb
from server.domain.cascade import StopReason
from server.domain.prediction import CategoryAnswer, ConfidenceInterval, FloatArray, HeadAnswer, Recommendation
from server.domain.release import Release
from server.domain.task import Head, HeadKind
from server.service.inspection import Inspection, TierRun, Trace

STOP_REASONS = {
    StopReason.CONFIDENT: prediction_pb.STOP_REASON_CONFIDENT,
    StopReason.LAST_TIER: prediction_pb.STOP_REASON_LAST_TIER,
    StopReason.TIER_LIMIT: prediction_pb.STOP_REASON_TIER_LIMIT,
    StopReason.DEADLINE: prediction_pb.STOP_REASON_DEADLINE,
    StopReason.TIER_UNAVAILABLE: prediction_pb.STOP_REASON_TIER_UNAVAILABLE,
    StopReason.OVERLOAD: prediction_pb.STOP_REASON_OVERLOAD,
}
RECOMMENDATIONS = {
    Recommendation.ACCEPT: prediction_pb.RECOMMENDATION_ACCEPT,
    Recommendation.LIKELY: prediction_pb.RECOMMENDATION_LIKELY,
    Recommendation.RETAKE_SUGGESTED: prediction_pb.RECOMMENDATION_RETAKE_SUGGESTED,
    Recommendation.RETAKE_REQUIRED: prediction_pb.RECOMMENDATION_RETAKE_REQUIRED,
}
HEAD_KINDS = {
    HeadKind.CATEGORY: task_pb.HEAD_KIND_CATEGORY,
    HeadKind.ATTRIBUTES: task_pb.HEAD_KIND_ATTRIBUTES,
}


def inspection_response(inspection: Inspection, *, alternative_count: int) -> inspection_pb.InspectImageResponse:
    """Returns the answer to `InspectImage`.

    Args:
        inspection: The answered inspection.
        alternative_count: How many labels to name beside the most probable one, in [0, 100].
    """
    response = inspection_pb.InspectImageResponse(
        inspection=f"inspections/{inspection.id}",
        release=inspection.release.name,
        recommendation=RECOMMENDATIONS[inspection.recommendation],
    )
    for each in inspection.answers:
        fill_head_answer(response.answers.add(head=each.head), each, alternative_count=alternative_count)
    uncertainty = inspection.uncertainty
    response.uncertainty.epistemic = uncertainty.epistemic
    response.uncertainty.aleatoric = uncertainty.aleatoric
    response.uncertainty.out_of_distribution = uncertainty.out_of_distribution
    fill_trace(response.trace, inspection.trace)
    if inspection.attention is not None:
        fill_attention_map(response.attention_map, inspection.attention)
    return response


def fill_head_answer(message: prediction_pb.HeadAnswer, answer: HeadAnswer, *, alternative_count: int) -> None:
    """States the answer of one head."""
    if isinstance(answer, CategoryAnswer):
        category = message.category
        category.label = answer.label
        category.confidence = answer.confidence
        category.raw_confidence = answer.raw_confidence
        if answer.interval is not None:
            fill_band(category.band, answer.interval)
        if answer.label_set is not None:
            category.prediction_set.extend(answer.label_set.labels)
            category.prediction_set_coverage = answer.label_set.coverage
        for other in answer.ranking[1 : 1 + alternative_count]:
            category.alternatives.add(label=other.label, confidence=other.confidence)
    else:
        add_attribute = message.attributes.attributes.add
        for each in answer.attributes:
            attribute = add_attribute(attribute=each.attribute, present=each.present, probability=each.probability)
            if each.interval is not None:
                fill_band(attribute.band, each.interval)


def fill_band(message: prediction_pb.ConfidenceBand, interval: ConfidenceInterval) -> None:
    """States where a true probability lies."""
    message.lower = interval.lower
    message.upper = interval.upper
    message.coverage = interval.coverage


def fill_trace(message: prediction_pb.CascadeTrace, trace: Trace) -> None:
    """States how the cascade reached an answer."""
    message.tier = trace.runs[-1].tier.tier
    message.stop_reason = STOP_REASONS[trace.stop_reason]
    message.degraded = trace.degraded
    message.guarantee_applies = trace.guarantee_applies
    for each in trace.runs:
        fill_tier_run(message.tier_runs.add(tier=each.tier.tier), each)
    fill_duration(message.total_duration, trace.duration_s)


def fill_tier_run(message: prediction_pb.TierRun, run: TierRun) -> None:
    """States one run of one tier."""
    engine = run.tier.engine
    message.engine.model = engine.model
    message.engine.precision = engine.precision
    message.engine.sha256 = engine.sha256
    for each in run.decisions:
        message.decisions.add(head=each.head, confidence=each.confidence, threshold=each.threshold)
    fill_duration(message.run_duration, run.duration_s)


def fill_attention_map(message: inspection_pb.AttentionMap, weights: FloatArray) -> None:
    """States where the model looked.

    Args:
        message: To be filled.
        weights: [rows, columns] float32 in [0, 1].
    """
    message.row_count, message.column_count = weights.shape
    message.weights.extend(weights.ravel().tolist())


def fill_duration(message: Duration, seconds: float) -> None:
    """States a duration, to the microsecond."""
    message.seconds, micros = divmod(max(0, round(seconds * 1e6)), 1_000_000)
    message.nanos = micros * 1000


def task(release: Release) -> task_pb.Task:
    """Returns a task and what serves it."""
    taxonomy = release.task
    return task_pb.Task(
        name=f"tasks/{taxonomy.id}",
        title=taxonomy.title,
        heads=[head(each) for each in taxonomy.heads],
        decision_heads=taxonomy.decision_heads,
        tiers=[
            task_pb.Tier(id=each.tier, precision=each.engine.precision, input_size_px=each.engine.input_size_px)
            for each in release.tiers
        ],
        active_release=release.name,
    )


def head(question: Head) -> task_pb.Head:
    """Returns one question of a task."""
    return task_pb.Head(id=question.id, title=question.title, kind=HEAD_KINDS[question.kind], labels=question.labels)
