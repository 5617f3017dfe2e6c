"""What the solver knows: for every item, how sure each tier was of each decision head, and whether it was right."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from build_engines.errors import BuildError

DoubleArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
IndexArray = npt.NDArray[np.int64]

NO_LABEL = -1


class CascadeEvidenceError(BuildError):
    """The evidence is malformed, or too little to solve a cascade."""

    def __init__(self, *findings: str) -> None:
        """Keeps all findings."""
        super().__init__(
            f"No cascade can be solved: {'; '.join(findings)}.",
            cure="Bring answers of every tier on the same items, enough of them labelled, in both parts.",
        )
        self.findings = findings


@dataclass(frozen=True, slots=True, eq=False)
class CascadeEvidence:
    """Answers of all tiers on the same items, and what they cost.

    Attributes:
        tiers: Ids, cheapest first; at least one.
        heads: Ids of the decision heads; at least one.
        costs_ms: One a tier: the measured milliseconds of one item, above 0. Any other unit will do, if it is one.
        confidences: [tier_count, head_count, item_count] float64 in [0, 1]. Calibrated.
        right: [tier_count, head_count, item_count] int8: 1 right, 0 wrong, `NO_LABEL` unknown.
        agrees: [tier_count, head_count, item_count] bool. Whether the answer is the strongest tier's.
        groups: [item_count] int64. Items of one group (photos of one specimen) may depend on each other.
        is_test: [item_count] bool. Whether the item belongs to *test*; the others belong to *frontier*. A group
            lies in one part.
        unfused: What each tier answers on its own, if the answers here are fused over the tiers seen so far; else None.
            Of the same items. Fused answers need every tier before them, so none is skipped.
        entry_ms: What an item costs besides, once, whichever tiers it visits: what they share. At least 0.
    """

    tiers: tuple[str, ...]
    heads: tuple[str, ...]
    costs_ms: tuple[float, ...]
    confidences: DoubleArray
    right: npt.NDArray[np.int8]
    agrees: BoolArray
    groups: IndexArray
    is_test: BoolArray
    unfused: "CascadeEvidence | None" = None
    entry_ms: float = 0.0

    def __post_init__(self) -> None:
        """Raises CascadeEvidenceError, with all findings, for what does not fit together."""
        shape = (len(self.tiers), len(self.heads), len(self.groups))
        findings = [
            f"{name} has the shape {array.shape} in place of {shape}"
            for name, array in (("confidences", self.confidences), ("right", self.right), ("agrees", self.agrees))
            if array.shape != shape
        ]
        if min(shape[:2]) < 1 or len(set(self.tiers)) < shape[0] or len(set(self.heads)) < shape[1]:
            findings.append(f"tiers {self.tiers} and heads {self.heads} must be named, each once")
        if len(self.costs_ms) != shape[0] or not all(np.isfinite(each) and each > 0 for each in self.costs_ms):
            findings.append(f"the costs {self.costs_ms} are not one number above 0 for each tier")
        if not (np.isfinite(self.entry_ms) and self.entry_ms >= 0):
            findings.append(f"the entry cost {self.entry_ms} is not a number of at least 0")
        if self.groups.ndim != 1 or self.is_test.shape != self.groups.shape:
            findings.append(f"groups {self.groups.shape} and is_test {self.is_test.shape} must be one an item")
        if not findings:
            findings += self._value_findings()
        if findings:
            raise CascadeEvidenceError(*findings)

    def _value_findings(self) -> list[str]:
        findings = []
        if not ((self.confidences >= 0) & (self.confidences <= 1)).all():
            findings.append("a confidence is not in [0, 1]")
        if not np.isin(self.right, (NO_LABEL, 0, 1)).all():
            findings.append(f"right is not 0, 1 or {NO_LABEL} everywhere")
        if self.unfused is None and not self.agrees[-1].all():
            findings.append("the strongest tier does not agree with itself")
        if self.unfused is not None and self.unfused.right.shape != self.right.shape:
            findings.append("the tiers' own answers are not on the same items")
        if np.intersect1d(self.groups[self.is_test], self.groups[~self.is_test]).size:
            findings.append("a group lies in both parts")
        return findings

    @property
    def is_labelled(self) -> BoolArray:
        """[item_count] bool. Whether every tier and head of the item is known to be right or wrong."""
        labelled: BoolArray = (self.right != NO_LABEL).all(axis=(0, 1))
        return labelled

    @property
    def own(self) -> "CascadeEvidence":
        """What each tier answers on its own."""
        return self if self.unfused is None else self.unfused

    def select(self, items: BoolArray | IndexArray) -> "CascadeEvidence":
        """Returns the evidence on some of the items, by mask or by index."""
        return dataclasses.replace(
            self,
            confidences=self.confidences[:, :, items],
            right=self.right[:, :, items],
            agrees=self.agrees[:, :, items],
            groups=self.groups[items],
            is_test=self.is_test[items],
            unfused=None if self.unfused is None else self.unfused.select(items),
        )


@dataclass(frozen=True, slots=True, eq=False)
class FusedAnswers:
    """What each tier answers together with those before it.

    Attributes:
        confidences: [tier_count, head_count, item_count] float64 in [0, 1]. Calibrated.
        answers: [tier_count, head_count, item_count] int64.
    """

    confidences: DoubleArray
    answers: IndexArray


def evidence_from_answers(
    *,
    tiers: Sequence[str],
    heads: Sequence[str],
    costs_ms: Sequence[float],
    confidences: DoubleArray,
    answers: IndexArray,
    labels: IndexArray,
    groups: IndexArray,
    is_test: BoolArray,
    fused: FusedAnswers | None = None,
    entry_ms: float = 0.0,
) -> CascadeEvidence:
    """Returns the evidence on answers that are label indices; see `CascadeEvidence`.

    Args:
        tiers: Ids, cheapest first.
        heads: Ids of the decision heads.
        costs_ms: One a tier.
        confidences: [tier_count, head_count, item_count] float64 in [0, 1].
        answers: [tier_count, head_count, item_count] int64. What each tier says.
        labels: [head_count, item_count] int64. The truth; below 0 if unknown.
        groups: [item_count] int64.
        is_test: [item_count] bool.
        fused: What is served in place of the tiers' own answers, for a task that fuses its tiers; else None.
        entry_ms: What an item costs besides.

    Raises:
        CascadeEvidenceError: The parts do not fit together.
    """
    if answers.ndim != 3 or labels.shape != answers.shape[1:]:  # noqa: PLR2004  # tier, head, item
        raise CascadeEvidenceError(f"answers {answers.shape} do not match labels {labels.shape}")
    own = CascadeEvidence(
        tuple(tiers),
        tuple(heads),
        tuple(costs_ms),
        confidences,
        np.where(labels < 0, NO_LABEL, answers == labels).astype(np.int8),
        answers == answers[-1:],
        groups,
        is_test,
        entry_ms=entry_ms,
    )
    if fused is None:
        return own
    return dataclasses.replace(
        own,
        confidences=fused.confidences,
        right=np.where(labels < 0, NO_LABEL, fused.answers == labels).astype(np.int8),
        agrees=fused.answers == answers[-1:],
        unfused=own,
    )


def draw_test_items(groups: IndexArray, *, test_share: float, random: np.random.Generator) -> BoolArray:
    """Draws the items of *test* by whole groups.

    Args:
        groups: [item_count] int64.
        test_share: Of the groups, in (0, 1).
        random: Draws the groups.

    Returns:
        [item_count] bool.
    """
    names = np.unique(groups)
    chosen = random.permutation(names)[: round(test_share * len(names))]
    drawn: BoolArray = np.isin(groups, chosen)
    return drawn
