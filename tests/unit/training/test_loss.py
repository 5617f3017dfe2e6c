"""The loss: what it masks, weighs and makes of noise."""

import math

import pytest
import torch

from server.domain.task import HeadKind
from training.loss import MultiHeadLoss
from training.model import HeadOutput
from training.recipe import LossSection

KINDS = {"kind": HeadKind.CATEGORY, "signs": HeadKind.ATTRIBUTES}
QUIET = -6.0


def outputs(*, log_variance: float = QUIET) -> dict[str, HeadOutput]:
    """Two photos: the first sure of label 0 and of sign 0, the second undecided."""
    variances = torch.full((2,), log_variance)
    return {
        "kind": HeadOutput(torch.tensor([[4.0, 0.0, 0.0], [0.0, 0.0, 0.0]]), variances),
        "signs": HeadOutput(torch.tensor([[4.0, -4.0], [0.0, 0.0]]), variances),
    }


def labels(kind: list[int], signs: list[list[float]]) -> dict[str, torch.Tensor]:
    """Labels of two photos; below 0: missing."""
    return {"kind": torch.tensor(kind), "signs": torch.tensor(signs)}


def loss(weights: dict[str, float] | None = None, *, uncertainty: float = 0.0) -> MultiHeadLoss:
    """A loss with few draws."""
    section = LossSection(head_weights=weights or {}, uncertainty_weight=uncertainty, logit_samples=64)
    return MultiHeadLoss(section, KINDS)


def test_without_noise_it_is_the_log_loss() -> None:
    """Nearly noiseless logits give cross-entropy and binary cross-entropy."""
    terms = loss()(outputs(), labels([0, 1], [[1, 0], [1, 0]]))
    expected = (math.log(1 + 2 * math.exp(-4)) + math.log(3)) / 2
    assert float(terms.heads["kind"]) == pytest.approx(expected, abs=0.02)
    expected = (math.log(1 + math.exp(-4)) + math.log(2)) / 2
    assert float(terms.heads["signs"]) == pytest.approx(expected, abs=0.02)


def test_missing_labels_count_for_nothing() -> None:
    """A photo without a label changes neither value nor gradient of that head."""
    kept = outputs()
    kept["kind"].logits.requires_grad_()
    terms = loss()(kept, labels([0, -1], [[1, -1], [-1, -1]]))
    terms.total.backward()
    assert float(terms.heads["kind"]) == pytest.approx(math.log(1 + 2 * math.exp(-4)), abs=0.02)
    assert float(terms.heads["signs"]) == pytest.approx(math.log(1 + math.exp(-4)), abs=0.02)
    assert kept["kind"].logits.grad is not None
    assert kept["kind"].logits.grad[1].abs().max() == 0


def test_a_head_without_any_label_has_loss_zero() -> None:
    """A batch that lacks a head entirely trains the others, and stays finite."""
    terms = loss(uncertainty=0.2)(outputs(), labels([-1, -1], [[1, 0], [1, 0]]))
    assert float(terms.heads["kind"]) == 0
    assert math.isfinite(float(terms.total))


def test_weights_multiply_heads() -> None:
    """The total is the weighted sum; a head that is not named has weight 1."""
    torch.manual_seed(0)
    terms = loss({"signs": 0.3})(outputs(), labels([0, 1], [[1, 0], [1, 0]]))
    assert float(terms.total) == pytest.approx(float(terms.heads["kind"] + 0.3 * terms.heads["signs"]))


def test_noise_makes_a_wrong_answer_cheaper_and_a_right_one_dearer() -> None:
    """That is what the predicted variance is learnt from."""
    wrong = labels([1, 0], [[0, 1], [0, 1]])
    right = labels([0, 0], [[1, 0], [1, 0]])
    assert float(loss()(outputs(log_variance=2.5), wrong).total) < float(loss()(outputs(), wrong).total)
    assert float(loss()(outputs(log_variance=2.5), right).total) > float(loss()(outputs(), right).total)


def test_the_uncertainty_term_is_least_where_the_variance_is_the_loss() -> None:
    """Around the loss that is seen, both a smaller and a larger variance cost more."""
    target = labels([1, 1], [[0, 1], [0, 1]])
    uncertainty = {}
    for shift in (-1.0, 0.0, 1.0):
        torch.manual_seed(0)
        seen = {"kind": HeadOutput(torch.zeros(2, 3), torch.full((2,), math.log(math.log(3)) + shift))}
        only = MultiHeadLoss(LossSection(head_weights={}, logit_samples=256), {"kind": HeadKind.CATEGORY})
        uncertainty[shift] = float(only(seen, target).uncertainty)
    assert uncertainty[0.0] < min(uncertainty[-1.0], uncertainty[1.0])


def test_a_teacher_takes_its_share_of_a_head() -> None:
    """A pupil pays its teacher's doubt, and nothing for a photo that the teacher was not asked about."""
    told = {"kind": torch.tensor([[1.0, 0.0, 0.0], [math.nan] * 3]), "signs": torch.tensor([[1.0, 0.0], [0.5, 0.5]])}
    section = LossSection(head_weights={}, uncertainty_weight=0, logit_samples=64)
    terms = MultiHeadLoss(section, KINDS, teacher_share=0.9)(outputs(), labels([1, 1], [[1, 0], [1, 0]]), told)
    own = (math.log(1 + 2 * math.exp(-4)) + 4 + math.log(3)) / 2
    assert float(terms.heads["kind"]) == pytest.approx(0.1 * own + 0.9 * math.log(1 + 2 * math.exp(-4)), abs=0.02)
    alike = (math.log(1 + math.exp(-4)) + math.log(2)) / 2
    assert float(terms.heads["signs"]) == pytest.approx(alike, abs=0.02)
