"""Evidence that does not fit together is refused, with all findings."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_evidence import made_evidence

from build_engines.cascade_solver import NO_LABEL, CascadeEvidenceError, draw_test_items, evidence_from_answers


def test_every_finding_is_named() -> None:
    """Confidences above 1, a right of 7 and a group in both parts are all said at once."""
    sound = made_evidence(20)
    right = sound.right.copy()
    right[0, 0, 0] = 7
    with pytest.raises(CascadeEvidenceError) as caught:
        dataclasses.replace(sound, confidences=sound.confidences + 1, right=right, groups=np.zeros(20, dtype=np.int64))
    assert len(caught.value.findings) == 3


@pytest.mark.parametrize(
    "change",
    [
        {"costs_ms": (1.0, 2.0)},
        {"costs_ms": (1.0, -2.0, 3.0)},
        {"entry_ms": -1.0},
        {"entry_ms": float("nan")},
        {"tiers": ("fast", "fast", "full")},
        {"right": np.zeros((3, 2, 5), dtype=np.int8)},
        {"is_test": np.zeros(3, dtype=np.bool_)},
        {"agrees": np.zeros((3, 2, 20), dtype=np.bool_)},
        {"confidences": np.full((3, 2, 20), np.nan)},
    ],
)
def test_malformed_parts_are_refused(change: dict[str, object]) -> None:
    """Costs, names and arrays must fit, and hold what they may hold."""
    with pytest.raises(CascadeEvidenceError):
        dataclasses.replace(made_evidence(20), **change)  # type: ignore[arg-type]


def test_an_unknown_label_is_neither_right_nor_wrong() -> None:
    """Labels below 0 leave every tier's answer unjudged, and the item unlabelled."""
    evidence = evidence_from_answers(
        tiers=("fast", "full"),
        heads=("grade",),
        costs_ms=(1.0, 2.0),
        confidences=np.full((2, 1, 3), 0.5),
        answers=np.array([[[0, 1, 1]], [[0, 0, 1]]]),
        labels=np.array([[0, -1, 1]]),
        groups=np.arange(3),
        is_test=np.array([False, False, True]),
    )
    assert evidence.right[:, 0].tolist() == [[1, NO_LABEL, 1], [1, NO_LABEL, 1]]
    assert evidence.is_labelled.tolist() == [True, False, True]
    assert evidence.agrees[0, 0].tolist() == [True, False, True]


def test_answers_and_labels_must_match() -> None:
    """Labels of another number of items are refused."""
    with pytest.raises(CascadeEvidenceError, match="do not match"):
        evidence_from_answers(
            tiers=("full",),
            heads=("grade",),
            costs_ms=(1.0,),
            confidences=np.ones((1, 1, 3)),
            answers=np.zeros((1, 1, 3), dtype=np.int64),
            labels=np.zeros((1, 2), dtype=np.int64),
            groups=np.arange(3),
            is_test=np.zeros(3, dtype=np.bool_),
        )


@given(seed=st.integers(0, 1000), share=st.floats(0.1, 0.9))
def test_groups_are_drawn_whole(seed: int, share: float) -> None:
    """No group straddles the parts, and *test* gets its share of groups."""
    random = np.random.default_rng(seed)
    groups = random.integers(0, 30, 100)
    drawn = draw_test_items(groups, test_share=share, random=random)
    assert not np.intersect1d(groups[drawn], groups[~drawn]).size
    assert len(np.unique(groups[drawn])) == round(share * len(np.unique(groups)))
