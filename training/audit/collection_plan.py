"""DATA_COLLECTION_PLAN.md: what to collect, how much of it, and why; and what to mend first."""

from collections import Counter
from collections.abc import Sequence
from itertools import product

from server.domain.task import Task
from training.audit import gaps as rules
from training.audit.findings import DatasetAudit
from training.audit.gaps import Gap
from training.dataset import PhotoRecord
from training.splits import strata_of

PLAN_NAME = "DATA_COLLECTION_PLAN.md"

_LISTED = 25


def combinations_of(records: Sequence[PhotoRecord], task: Task) -> dict[str, int]:
    """Returns specimens by combination of the decision heads' labels, all that there could be.

    A task of one decision head has none: its labels say it all.
    """
    if len(task.decision_heads) < 2:  # noqa: PLR2004 -- a combination is of two
        return {}
    counts = Counter(strata_of(records, task).values())
    names = (" / ".join(each) for each in product(*(task.head(head).labels for head in task.decision_heads)))
    return {name: counts[name] for name in names}


def plan_text(audit: DatasetAudit, gaps: Sequence[Gap]) -> str:
    """Returns the plan as Markdown."""
    return "\n".join([*_head(audit), *_mend_first(audit), *_collect(gaps), *_rule()]) + "\n"


def _head(audit: DatasetAudit) -> list[str]:
    return [
        f"# What to collect for {audit.task}",
        "",
        (
            f"The dataset holds {audit.photo_count:,} photos of {audit.specimen_count:,} specimens"
            f" (index {audit.index_sha256[:12]}); {audit.decoded_count:,} photos were looked at."
        ),
        "",
    ]


def _mend_first(audit: DatasetAudit) -> list[str]:
    faults = [
        (len(audit.leaks), "leaks between splits: import again, so that one specimen stands on one side"),
        (len(audit.conflicts), "label conflicts: look at both photos and settle the label"),
        (len(audit.corrupt), "photos that cannot be read, or are not those that the index names: fetch them anew"),
        (len(audit.copies), "sets of photos with equal bytes: keep one of each"),
        (len(audit.near_duplicates), "groups of specimens that show the same thing: give them one name"),
    ]
    lines = [f"- {count:,} {what}." for count, what in faults if count]
    unknown = [f"{head} {count:,}" for head, count in audit.unlabelled.items() if count]
    if unknown:
        lines.append(f"- Photos without a label, by head: {', '.join(unknown)}. Labelling them costs no new photo.")
    return ["## Mend first", "", *(lines or ["Nothing is wrong with what there is."]), ""]


def _collect(gaps: Sequence[Gap]) -> list[str]:
    if not gaps:
        return ["## Collect", "", "Nothing is missing by the rule below.", ""]
    rows = [
        f"| {rank} | {gap.what} | {gap.missing:,} | {gap.found:,} of {gap.wanted:,} | {gap.why} |"
        for rank, gap in enumerate(gaps[:_LISTED], start=1)
    ]
    more = [f"\n{len(gaps) - _LISTED} smaller gaps follow."] if len(gaps) > _LISTED else []
    return [
        "## Collect",
        "",
        (
            "The most worthwhile first. A specimen counts once, however many photos it has; one specimen may"
            " fill several gaps."
        ),
        "",
        "| | what | collect | there are | why |",
        "| ---: | --- | ---: | ---: | --- |",
        *rows,
        *more,
        "",
    ]


def _rule() -> list[str]:
    return [
        "## The rule",
        "",
        (
            f"- A label is enough if val_test tells its accuracy to ± {rules.LABEL_HALF_WIDTH:.0%}: half the width of a"
            " 95 % Clopper-Pearson interval at the accuracy that the task's gates ask for"
            f" ({rules.USUAL_ACCURACY:.0%} where they ask for nothing)."
        ),
        (
            "- A combination of the deciding labels, a device, a light, a month or a place is enough at"
            f" ± {rules.CONDITION_HALF_WIDTH:.0%}."
        ),
        f"- A promise on confidences wants {rules.PROMISED_SPECIMENS:,} specimens in val_test.",
        "- What is wanted in val_test is wanted in the whole divided by its share.",
        (
            "- Worth is the missing part of what is wanted, times 2 for labels and the promise, 1 for combinations,"
            " ½ for conditions."
        ),
    ]
