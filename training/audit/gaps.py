"""What a dataset lacks, by a stated rule, the most worthwhile first.

- A label of a category head is enough if val_test can tell its accuracy to ± 5 points: the half-width of the 95 %
  interval of Clopper and Pearson ("The use of confidence or fiducial limits illustrated in the case of the binomial",
  1934) at the accuracy that the task's gates ask for, .90 where they ask for nothing.
- A combination of the decision heads' labels, and a device, a light, a month or a place, is enough if it could be told
  to ± 15 points.
- A promise on confidences wants 2,000 specimens in val_test.

A specimen counts once. What is wanted in val_test is wanted in the whole divided by the share of val_test. Worth is the
part of the wanted that is missing, times a weight: 2 for labels and for the promise, 1 for combinations, 0.5 for the
conditions in which photos are taken.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np

from server.domain.binomial import clopper_pearson_high, clopper_pearson_low
from server.domain.task import HeadKind
from training.audit.findings import UNKNOWN, DatasetAudit
from training.task_file import SplitShares, TaskFile

USUAL_ACCURACY = 0.9
LABEL_HALF_WIDTH = 0.05
CONDITION_HALF_WIDTH = 0.15
PROMISED_SPECIMENS = 2_000

_ONE_SIDE = 0.025
_LABEL_WEIGHT, _COMBINATION_WEIGHT, _CONDITION_WEIGHT = 2.0, 1.0, 0.5


@dataclass(frozen=True, slots=True)
class Gap:
    """Something there is too little of.

    Attributes:
        what: In words.
        why: The rule that it falls short of.
        found: Specimens there are.
        wanted: Specimens that are enough.
        weight: How much it matters.
    """

    what: str
    why: str
    found: int
    wanted: int
    weight: float

    @property
    def missing(self) -> int:
        """Specimens to collect."""
        return self.wanted - self.found

    @property
    def worth(self) -> float:
        """What the list is ordered by, in [0, 2]."""
        return self.weight * self.missing / self.wanted


@cache
def items_for(half_width: float, *, accuracy: float) -> int:
    """Returns the least number of items whose 95 % interval is no wider, at this accuracy.

    Args:
        half_width: In (0, 0.5).
        accuracy: In [0, 1].
    """
    counts = np.arange(1, math.ceil(2 / half_width**2) + 10, dtype=np.int64)
    hits = np.rint(accuracy * counts).astype(np.int64)
    widths = clopper_pearson_high(hits, counts, error=_ONE_SIDE) - clopper_pearson_low(hits, counts, error=_ONE_SIDE)
    # The last one that is too wide, so that rounding up and down beside the limit does not matter.
    too_wide = np.flatnonzero(widths > 2 * half_width)
    return int(counts[too_wide[-1]]) + 1


def find_gaps(audit: DatasetAudit, task: TaskFile, *, combinations: Mapping[str, int]) -> tuple[Gap, ...]:
    """Returns what is missing, the most worthwhile first.

    Args:
        audit: What there is.
        task: Its gates and shares.
        combinations: Specimens by combination of the decision heads' labels, all that there could be.
    """
    shares = task.data.splits
    found = [
        *_promise(audit, shares),
        *_labels(audit, task, shares),
        *_combinations(combinations, shares),
        *_conditions(audit),
    ]
    return tuple(
        sorted((gap for gap in found if gap.missing > 0), key=lambda gap: (-gap.worth, -gap.missing, gap.what))
    )


def _promise(audit: DatasetAudit, shares: SplitShares) -> Iterator[Gap]:
    # What is missing in val_test, in specimens of the whole, of which it gets its share.
    missing = max(0, PROMISED_SPECIMENS - audit.splits["val_test"].specimens)
    wanted = audit.specimen_count + math.ceil(missing / shares.val_test)
    yield Gap(
        "specimens of any label, as they come",
        f"a promise on confidences wants {PROMISED_SPECIMENS:,} specimens in val_test, which has"
        f" {audit.splits['val_test'].specimens:,}",
        audit.specimen_count,
        wanted,
        _LABEL_WEIGHT,
    )


def _labels(audit: DatasetAudit, task: TaskFile, shares: SplitShares) -> Iterator[Gap]:
    for head in task.to_domain().heads:
        if head.kind is not HeadKind.CATEGORY:
            continue
        accuracy = task.gates.least_accuracies.get(head.id, USUAL_ACCURACY)
        items = items_for(LABEL_HALF_WIDTH, accuracy=accuracy)
        for label, count in audit.labels[head.id].items():
            yield Gap(
                f"{head.title}: {label}",
                f"its accuracy to ± {LABEL_HALF_WIDTH:.0%} at {accuracy:.0%} wants {items} in val_test",
                count.specimens,
                math.ceil(items / shares.val_test),
                _LABEL_WEIGHT,
            )


def _combinations(combinations: Mapping[str, int], shares: SplitShares) -> Iterator[Gap]:
    items = items_for(CONDITION_HALF_WIDTH, accuracy=USUAL_ACCURACY)
    for name, count in combinations.items():
        yield Gap(
            name,
            f"its accuracy to ± {CONDITION_HALF_WIDTH:.0%} wants {items} in val_test",
            count,
            math.ceil(items / shares.val_test),
            _COMBINATION_WEIGHT,
        )


def _conditions(audit: DatasetAudit) -> Iterator[Gap]:
    items = items_for(CONDITION_HALF_WIDTH, accuracy=USUAL_ACCURACY)
    kinds = {"device": audit.devices, "light": audit.lighting, "month": audit.months, "place near": audit.places}
    for kind, counts in kinds.items():
        for name, count in counts.items():
            if name != UNKNOWN:
                why = f"what it does to accuracy, to ± {CONDITION_HALF_WIDTH:.0%}, wants {items} photos"
                yield Gap(f"{kind} {name}", why, count, items, _CONDITION_WEIGHT)
