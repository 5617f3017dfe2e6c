"""What the page says of answers: how right they are, how honest, and what bands and sets keep."""

from collections.abc import Iterable

from build_engines.assure import AssuranceMetrics
from build_engines.gates import ATTRIBUTE_SLACK, LARGEST_GAP, LEAST_ITEMS
from build_engines.markdown import table
from build_engines.measure import NOISE_FLOOR_DRAWS, HeadMetrics, QuestionMetrics
from build_engines.plan import ReleasePlan
from build_engines.served_answers import VerifiedRelease

_ANSWER_COLUMNS = (
    "question",
    "photos",
    "specimens",
    "accuracy",
    "MCC",
    "best possible",
    "log-loss",
    "ECE15",
    "chance",
    "gap",
    "gap's interval",
)


def answers_table(questions: Iterable[QuestionMetrics]) -> str:
    """Returns a table with a row a question."""
    return table(_ANSWER_COLUMNS, (_answers_row(each) for each in questions))


def attributes_part(head: HeadMetrics) -> str:
    """Returns the table of a head of attributes, one by one."""
    return f"### {head.head}, one by one\n\n{answers_table(head.attributes.values())}"


def honesty() -> str:
    """Returns what the columns about confidences mean."""
    return (
        "ECE15 is the calibration error over 15 bins, on one photo a specimen, because photos of one specimen share "
        "their labels. *Chance* is what a perfectly calibrated model would stay below on the same items: the 95th "
        f"percentile of {NOISE_FLOOR_DRAWS:,} draws of the labels from the confidences; for single attributes, the "
        "percentile at which all of them together fail by chance as seldom as one head, and only an error of more than "
        f"{ATTRIBUTE_SLACK * 100:g} point beyond that fails the release. The *gap* is mean confidence "
        "in the answer minus accuracy, over all photos; its 95 % interval treats the photos of one specimen as "
        f"dependent, and may reach {LARGEST_GAP:.0%} on either side. For attributes the gap is promised for all of "
        f"them pooled. With fewer than {LEAST_ITEMS:,} specimens nothing would be promised."
    )


def exits_table(verified: VerifiedRelease) -> str:
    """Returns the table of answers by the tier that gave them."""
    rows = (
        (
            each.tier,
            question.question,
            f"{each.specimen_count:,}",
            f"{question.accuracy:.2%}",
            f"{question.calibration_error:.2%}",
            f"{question.noise_floor:.2%}",
            f"{question.gap.estimate:+.2%}",
            f"{question.gap.low:+.2%} to {question.gap.high:+.2%}",
            "" if each.specimen_count >= LEAST_ITEMS else "insufficient labels",
        )
        for each in verified.exits
        for question in (head.whole for head in each.heads)
    )
    columns = ("tier", "question", "specimens", "accuracy", "ECE15", "chance", "gap", "gap's interval", "promised")
    return table(columns, rows)


def tiers_alone(plan: ReleasePlan, verified: VerifiedRelease) -> str:
    """Returns the table of what each tier says of all photos."""
    rows = (
        (tier, *_answers_row(head.whole)[:6], *_answers_row(head.whole)[7:])
        for tier, each in zip(plan.tier_ids, verified.tiers, strict=True)
        for head in each.heads
    )
    columns = ("tier", *_ANSWER_COLUMNS[:6], *_ANSWER_COLUMNS[7:])
    return (
        "An answer that left the release's own path (a limit on the tier, a confidence of the caller's own, a degraded "
        "answer) has the meaning that was fitted on all photos. On all of val_test, each tier by itself:\n\n"
        f"{table(columns, rows)}"
    )


def assurances_part(tiers: Iterable[tuple[str, tuple[AssuranceMetrics, ...]]]) -> str:
    """Returns what bands and sets are, and their table by exit."""
    rows = (
        (
            tier,
            each.question,
            f"{each.band_width:.3f}",
            f"{sum(quarter.is_held for quarter in each.quarters)} of {len(each.quarters)}",
            "" if each.set_target is None else f"{each.set_target:.0%}",
            "" if each.set_target is None else f"{each.set_coverage:.2%} ({each.set_low:.2%} to {each.set_high:.2%})",
            "" if each.set_target is None else f"{each.set_size:.2f}",
        )
        for tier, assurances in tiers
        for each in assurances
    )
    columns = ("tier", "question", "band's mean width", "quarters held", "sets promise", "sets hold", "labels in a set")
    return (
        "A *band* says where the true probability lies behind a confidence, with 95 % for each answer; a *set* holds "
        "the true label with the chance that it promises. Both were fitted on calibration photos, each under maps that "
        "were fitted without it; the figures are of one photo a specimen. A quarter is held if the share borne "
        "out in it can be what the band says. Sets keep their promise if honest ones would hold as little, or less, in "
        f"2.5 % of all pairs of calibration and test samples or more often.\n\n{table(columns, rows)}"
    )


def uncertainty_part(verified: VerifiedRelease) -> str:
    """Returns how many photos are called out of distribution."""
    alarms = verified.false_alarms
    return (
        f"{alarms.mean:.2%} of the test photos ({alarms.low:.2%} to {alarms.high:.2%}) are called out of distribution "
        f"(set on calibration photos for {verified.tiers[0].calibrated.meaning.uncertainty.false_alarm_rate:.1%})."
    )


def _answers_row(question: QuestionMetrics) -> tuple[str, ...]:
    gap = question.gap
    return (
        question.question,
        str(question.photo_count),
        str(question.specimen_count),
        f"{question.accuracy:.2%}",
        "" if question.mcc is None else f"{question.mcc:.3f}",
        "" if question.best_accuracy is None else f"{question.best_accuracy:.2%}",
        f"{question.log_loss:.4f}",
        f"{question.calibration_error:.2%}",
        f"{question.noise_floor:.2%}",
        f"{gap.estimate:+.2%}",
        f"{gap.low:+.2%} to {gap.high:+.2%}",
    )
