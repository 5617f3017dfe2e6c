"""Makes answers of raw engine outputs: calibrated, ranked, and with a recommendation."""

import operator
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from server.domain.assurance import Assurance, AttributesAssurance, CategoryAssurance
from server.domain.bands import ConfidenceBand
from server.domain.calibration.calibrator import Calibrator
from server.domain.calibration.probability import softmax_item
from server.domain.conformal import PredictionSets
from server.domain.prediction import (
    AttributeAnswer,
    AttributesAnswer,
    CategoryAnswer,
    ConfidenceInterval,
    FloatArray,
    HeadAnswer,
    LabelConfidence,
    LabelSet,
    RawPrediction,
    Recommendation,
    Uncertainty,
)
from server.domain.release import Meaning, TierRelease
from server.domain.task import Head, HeadKind, Task

Fused = Mapping[str, Sequence[float]]
"""By decision head id, [label_count] scores of several tiers together; nothing where a tier speaks alone."""

_PRESENT = 0.5
_confidence = operator.itemgetter(1)


@dataclass(frozen=True, slots=True)
class TierAnswer:
    """Everything that one tier says about one photo, calibrated.

    Attributes:
        answers: By head id, for the heads that were asked for.
        uncertainty: What the model does not know.
        attention: `[rows, columns]` float32 weights in [0, 1], or None if not asked for.
    """

    answers: Mapping[str, HeadAnswer]
    uncertainty: Uncertainty
    attention: FloatArray | None

    def decision_confidences(self, task: Task) -> dict[str, float]:
        """Returns the confidence of each decision head that was asked for, by its id."""
        return {each.head: each.confidence for each in self._decisions(task)}

    def decision_lows(self, task: Task) -> dict[str, float]:
        """Returns the low end of the confidence's band of each decision head that has one, by its id."""
        return {each.head: each.interval.lower for each in self._decisions(task) if each.interval is not None}

    def _decisions(self, task: Task) -> Iterator[CategoryAnswer]:
        answers = (self.answers.get(head_id) for head_id in task.decision_heads)
        return (each for each in answers if isinstance(each, CategoryAnswer))


@dataclass(frozen=True, slots=True)
class RecommendationBounds:
    """The confidences from which (inclusive) an answer is accepted, likely, or worth a retake; falling in [0, 1]."""

    accept: float = 0.90
    likely: float = 0.75
    retake_suggested: float = 0.60

    def __post_init__(self) -> None:
        """Raises ValueError unless the bounds fall within [0, 1]."""
        if not 1 >= self.accept >= self.likely >= self.retake_suggested >= 0:
            raise ValueError(f"bounds must fall within [0, 1], got {self}")


def confidences_to_decide(
    task: Task, tier: TierRelease, raw: RawPrediction, fused: Fused = MappingProxyType({})
) -> dict[str, float]:
    """Returns, by decision head, the confidence that is held against the tier's threshold, in (0, 1).

    Args:
        task: The taxonomy.
        tier: The tier that ran.
        raw: Its engine's outputs.
        fused: What it says together with the tiers before it; see `server.domain.fusion`.
    """
    return {
        head: max(
            softmax_item(fused[head]) if head in fused else tier.decider(head).calibrate_item(raw.logits[head].tolist())
        )
        for head in task.decision_heads
    }


def answer_tier(
    task: Task,
    meaning: Meaning,
    raw: RawPrediction,
    heads: Sequence[str],
    fused: Fused = MappingProxyType({}),
) -> TierAnswer:
    """Calibrates one engine's outputs.

    Args:
        task: The taxonomy.
        meaning: Of the tier that ran, on photos like this one.
        raw: The engine's outputs.
        heads: The ids of the heads to answer.
        fused: What the tier says together with those before it, if `meaning` is that of such answers.
    """
    return TierAnswer(
        answers={
            each: answer_head(
                task.head(each),
                meaning.calibrators[each],
                raw.logits[each],
                meaning.assurances.get(each),
                fused.get(each),
            )
            for each in heads
        },
        uncertainty=meaning.uncertainty.measure(raw),
        attention=raw.attention,
    )


def answer_head(
    head: Head,
    calibrator: Calibrator,
    logits: FloatArray,
    assurance: Assurance | None = None,
    fused: Sequence[float] | None = None,
) -> HeadAnswer:
    """Calibrates one head.

    Args:
        head: The question.
        calibrator: Fitted on this head of the engine that ran.
        logits: [label_count] float32. Raw engine outputs.
        assurance: What vouches for the confidences.
        fused: [label_count] scores that are calibrated in place of the engine's own.
    """
    scores = logits.tolist()
    values = calibrator.calibrate_item(scores if fused is None else fused)
    if head.kind is HeadKind.ATTRIBUTES:
        bands = assurance.bands if isinstance(assurance, AttributesAssurance) else (None,) * len(values)
        return AttributesAnswer(
            head.id,
            tuple(
                AttributeAnswer(label, value >= _PRESENT, value, None if band is None else _interval(band, value))
                for label, value, band in zip(head.labels, values, bands, strict=True)
            ),
        )
    # A stable sort: labels of equal confidence stay in the task's order.
    ranking = sorted(zip(head.labels, values, strict=True), key=_confidence, reverse=True)
    label, confidence = ranking[0]
    vouched = assurance if isinstance(assurance, CategoryAssurance) else None
    return CategoryAnswer(
        head=head.id,
        label=label,
        confidence=confidence,
        raw_confidence=softmax_item(scores)[head.labels.index(label)],
        ranking=tuple(LabelConfidence(*each) for each in ranking),
        interval=None if vouched is None else _interval(vouched.band, confidence),
        label_set=None if vouched is None else _label_set(vouched.sets, head, values),
    )


def _interval(band: ConfidenceBand, confidence: float) -> ConfidenceInterval:
    return ConfidenceInterval(*band.interval(confidence), band.coverage)


def _label_set(sets: PredictionSets, head: Head, values: Sequence[float]) -> LabelSet:
    return LabelSet(tuple(head.labels[each] for each in sets.labels_in(values)), sets.coverage)


def recommend(
    confidences: Mapping[str, float],
    uncertainty: Uncertainty,
    bounds: RecommendationBounds,
    lows: Mapping[str, float] = MappingProxyType({}),
) -> Recommendation:
    """Says what to do with an answer: the weakest decision head speaks, and a stranger is never accepted.

    A confidence that few labels vouch for may be far off: an answer is accepted only if it is likely at the low end of
    its band, too.

    Args:
        confidences: By decision head id, calibrated, in [0, 1]; at least one.
        uncertainty: What the model does not know about the photo.
        bounds: The confidences that each recommendation takes.
        lows: By decision head id, the low end of the confidence's band, where there is one.
    """
    weakest = min(confidences.values())
    if uncertainty.out_of_distribution or weakest < bounds.retake_suggested:
        return Recommendation.RETAKE_REQUIRED
    if weakest < bounds.likely:
        return Recommendation.RETAKE_SUGGESTED
    if weakest < bounds.accept or min(lows.values(), default=1.0) < bounds.likely:
        return Recommendation.LIKELY
    return Recommendation.ACCEPT
