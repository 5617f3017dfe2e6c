"""What a release must keep before it may be published. Pure: metrics in, a verdict a gate out.

Confidence is promised as DESIGN says: on 2,000 independent items or more, the calibration
error is within what a perfectly calibrated model would show, and the gap between mean
confidence and accuracy is at most 2 points at the upper end of its 95 % interval.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Self

from build_engines.assure import AssuranceMetrics
from build_engines.measure import HeadMetrics, QuestionMetrics

LEAST_ITEMS = 2_000
LARGEST_GAP = 0.02
ATTRIBUTE_SLACK = 0.01
"""What the calibration error of a single attribute may exceed chance by. The promise is about heads; of an attribute it
is asked that nothing be badly off. Within chance would be too much: the errors of fitting a map are no test's chance,
and one of ten honest attributes would fail every few releases."""
MOST_FALSE_ALARMS = 0.05
_UNMEASURED = "the head was not measured"


@dataclass(frozen=True, slots=True)
class Gate:
    """One condition and whether it holds.

    Attributes:
        name: What is asked.
        finding: What was seen, with figures.
        passed: Whether it holds.
    """

    name: str
    finding: str
    passed: bool


@dataclass(frozen=True, slots=True)
class LeastScores:
    """What category heads must reach on val_test, by head id; a head that was not measured fails.

    Attributes:
        accuracies: Shares of right answers, in [0, 1].
        mccs: Matthews correlations, in [-1, 1].
    """

    accuracies: Mapping[str, float] = field(default_factory=dict)
    mccs: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def strictest(cls, limits: Iterable["LeastScores"]) -> Self:
        """Returns the highest limit of each head: the tiers of a release may have been trained for different ones."""
        accuracies: dict[str, float] = {}
        mccs: dict[str, float] = {}
        for each in limits:
            for gathered, told in ((accuracies, each.accuracies), (mccs, each.mccs)):
                gathered.update({head: max(least, gathered.get(head, least)) for head, least in told.items()})
        return cls(accuracies, mccs)


def judge(heads: Iterable[HeadMetrics], least: LeastScores, *, few_labels: bool = False) -> tuple[Gate, ...]:
    """Judges a tier by its metrics on val_test.

    An attributes head is judged by all its attributes pooled; a single one fails only if its calibration error is far
    beyond chance.

    Args:
        heads: Measured.
        least: What they must reach.
        few_labels: Whether too few labels to judge confidences by are accepted: nothing is promised of them then.
    """
    by_id = {each.head: each for each in heads}
    gates = [_accuracy_gate(head, by_id.get(head), limit) for head, limit in least.accuracies.items()]
    gates += [_mcc_gate(head, by_id.get(head), limit) for head, limit in least.mccs.items()]
    for head in by_id.values():
        if head.whole.specimen_count < LEAST_ITEMS:
            name = f"{head.whole.question} confidence"
            gates.append(_too_few(name, head.whole.specimen_count, accepted=few_labels))
            continue
        gates += [_error_gate(head.whole), _gap_gate(head.whole)]
        gates += [_error_gate(each, slack=ATTRIBUTE_SLACK) for each in head.attributes.values()]
    return tuple(gates)


def judge_release(
    heads: Iterable[HeadMetrics],
    exits: Iterable[tuple[str, Iterable[HeadMetrics], Iterable[AssuranceMetrics]]],
    least: LeastScores,
    false_alarm_share: float,
    *,
    few_labels: bool = False,
) -> tuple[Gate, ...]:
    """Judges served answers: all of them together, and those of each tier by themselves.

    A tier that answers too few independent photos of val_test promises nothing by itself, and says so.

    Args:
        heads: Of all served answers.
        exits: By tier, metrics of its answers, and what bands and sets keep there.
        least: What all answers together must reach.
        false_alarm_share: Of photos of val_test that are called out of distribution.
        few_labels: As for `judge`.
    """
    gates = list(judge(heads, least, few_labels=few_labels))
    for tier, own, assurances in exits:
        measured = tuple(own)
        specimens = min((each.whole.specimen_count for each in measured), default=0)
        if specimens < LEAST_ITEMS:
            gates.append(_too_few(f"{tier}: confidence by itself", specimens, accepted=True))
        else:
            judged = (*judge(measured, LeastScores()), *judge_assurances(assurances))
            gates += [replace(gate, name=f"{tier}: {gate.name}") for gate in judged]
    finding = f"{false_alarm_share:.2%} of served answers"
    name = f"out-of-distribution alarms on photos in distribution at most {MOST_FALSE_ALARMS:.0%}"
    gates.append(Gate(name, finding, passed=false_alarm_share <= MOST_FALSE_ALARMS))
    return tuple(gates)


def judge_cascade(losses: Mapping[str, tuple[float, float]], epsilon: float, *, what: str) -> tuple[Gate, ...]:
    """Judges a cascade's promise on photos that had no part in it.

    Args:
        losses: By decision head, what counts against the promise: seen, and the lower end of its 95 % interval.
        epsilon: The promise.
        what: What is counted, e.g. `below the strongest tier`.
    """
    return tuple(
        Gate(f"{head} at most {epsilon * 100:g}% {what}", f"{loss:+.2%}, at least {low:+.2%}", passed=low <= epsilon)
        for head, (loss, low) in losses.items()
    )


def judge_assurances(assurances: Iterable[AssuranceMetrics]) -> tuple[Gate, ...]:
    """Judges bands and sets: what was seen on val_test must be what they may have promised.

    Args:
        assurances: Measured, question by question.
    """
    gates = []
    for each in assurances:
        held = sum(quarter.is_held for quarter in each.quarters)
        gates.append(
            Gate(
                f"{each.question} band holds in every quarter of the confidences",
                f"in {held} of {len(each.quarters)}, mean width {each.band_width:.3f}",
                passed=held == len(each.quarters),
            )
        )
        if each.set_target is not None:
            gates.append(
                Gate(
                    f"{each.question} prediction sets hold the true label in {each.set_target:.0%}",
                    f"{each.set_coverage:.2%}, by chance at least {each.set_least:.2%}, "
                    f"{each.set_size:.2f} labels on average",
                    passed=each.sets_hold,
                )
            )
    return tuple(gates)


def _accuracy_gate(head: str, metrics: HeadMetrics | None, least: float) -> Gate:
    name = f"{head} accuracy at least {least:.1%}"
    if metrics is None:
        return Gate(name, _UNMEASURED, passed=False)
    accuracy = metrics.whole.accuracy
    return Gate(name, f"{accuracy:.2%} of {metrics.whole.photo_count} photos", passed=accuracy >= least)


def _mcc_gate(head: str, metrics: HeadMetrics | None, least: float) -> Gate:
    name = f"{head} Matthews correlation at least {least:.3f}"
    if metrics is None or metrics.whole.mcc is None:
        finding = _UNMEASURED if metrics is None else "a head of attributes has none"
        return Gate(name, finding, passed=False)
    found = metrics.whole.mcc
    return Gate(name, f"{found:.3f} of {metrics.whole.photo_count} photos", passed=found >= least)


def _too_few(name: str, specimens: int, *, accepted: bool) -> Gate:
    seen = f"insufficient labels: {specimens} independent items of {LEAST_ITEMS}"
    return Gate(name, f"{seen}; nothing is promised" if accepted else seen, passed=accepted)


def _error_gate(question: QuestionMetrics, *, slack: float = 0.0) -> Gate:
    bound = f"within {slack * 100:g} point of chance" if slack else "within chance"
    return Gate(
        f"{question.question} calibration error {bound}",
        f"ECE15 {question.calibration_error:.4f}, a perfectly calibrated model stays below "
        f"{question.noise_floor:.4f} in {question.noise_floor_share:.1%} of {question.specimen_count}-item samples",
        passed=question.calibration_error <= question.noise_floor + slack,
    )


def _gap_gate(question: QuestionMetrics) -> Gate:
    gap = question.gap
    return Gate(
        f"{question.question} gap between confidence and accuracy at most {LARGEST_GAP:.0%}",
        f"{gap.estimate:+.2%}, 95 % interval {gap.low:+.2%} to {gap.high:+.2%}",
        passed=gap.worst <= LARGEST_GAP,
    )
