"""From the domain to the contract: pure functions, one a message."""

from google.protobuf.duration_pb2 import Duration

from loupe.v1 import inspection_service_pb2 as inspection_pb
from loupe.v1 import prediction_pb2 as prediction_pb
from loupe.v1 import task_service_pb2 as task_pb
from server.domain.cascade import HeadDecision, StopReason
from server.domain.prediction import CategoryAnswer, FloatArray, HeadAnswer, Recommendation
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
    return inspection_pb.InspectImageResponse(
        inspection=f"inspections/{inspection.id}",
        release=inspection.release.name,
        answers=[head_answer(each, alternative_count=alternative_count) for each in inspection.answers],
        uncertainty=prediction_pb.Uncertainty(
            epistemic=inspection.uncertainty.epistemic,
            aleatoric=inspection.uncertainty.aleatoric,
            out_of_distribution=inspection.uncertainty.out_of_distribution,
        ),
        recommendation=RECOMMENDATIONS[inspection.recommendation],
        trace=cascade_trace(inspection.trace),
        attention_map=None if inspection.attention is None else attention_map(inspection.attention),
    )


def head_answer(answer: HeadAnswer, *, alternative_count: int) -> prediction_pb.HeadAnswer:
    """Returns the answer of one head."""
    if isinstance(answer, CategoryAnswer):
        return prediction_pb.HeadAnswer(
            head=answer.head,
            category=prediction_pb.CategoryAnswer(
                label=answer.label,
                confidence=answer.confidence,
                raw_confidence=answer.raw_confidence,
                alternatives=[
                    prediction_pb.LabelConfidence(label=each.label, confidence=each.confidence)
                    for each in answer.ranking[1 : 1 + alternative_count]
                ],
            ),
        )
    return prediction_pb.HeadAnswer(
        head=answer.head,
        attributes=prediction_pb.AttributesAnswer(
            attributes=[
                prediction_pb.AttributeAnswer(
                    attribute=each.attribute, present=each.present, probability=each.probability
                )
                for each in answer.attributes
            ]
        ),
    )


def cascade_trace(trace: Trace) -> prediction_pb.CascadeTrace:
    """Returns how the cascade reached an answer."""
    return prediction_pb.CascadeTrace(
        tier=trace.runs[-1].tier.tier,
        stop_reason=STOP_REASONS[trace.stop_reason],
        degraded=trace.degraded,
        guarantee_applies=trace.guarantee_applies,
        tier_runs=[tier_run(each) for each in trace.runs],
        total_duration=duration(trace.duration_s),
    )


def tier_run(run: TierRun) -> prediction_pb.TierRun:
    """Returns one run of one tier."""
    engine = run.tier.engine
    return prediction_pb.TierRun(
        tier=run.tier.tier,
        engine=prediction_pb.Engine(model=engine.model, precision=engine.precision, sha256=engine.sha256),
        decisions=[head_decision(each) for each in run.decisions],
        run_duration=duration(run.duration_s),
    )


def head_decision(decision: HeadDecision) -> prediction_pb.HeadDecision:
    """Returns whether one head was sure enough."""
    return prediction_pb.HeadDecision(head=decision.head, confidence=decision.confidence, threshold=decision.threshold)


def attention_map(weights: FloatArray) -> inspection_pb.AttentionMap:
    """Returns an attention map.

    Args:
        weights: [rows, columns] float32 in [0, 1].
    """
    rows, columns = weights.shape
    return inspection_pb.AttentionMap(row_count=rows, column_count=columns, weights=weights.ravel().tolist())


def duration(seconds: float) -> Duration:
    """Returns a duration, to the microsecond."""
    whole, micros = divmod(max(0, round(seconds * 1e6)), 1_000_000)
    return Duration(seconds=whole, nanos=micros * 1000)


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
