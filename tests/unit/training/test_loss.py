"""The loss: what it masks, weighs and makes of noise."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small_dataset import small_task

from server.domain.task import HeadKind
from training.class_balance import label_weights
from training.loss import MultiHeadLoss
from training.model import HeadOutput
from training.overconfidence import calibration_error, category_errors
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


def test_a_sure_and_wrong_answer_pulls_its_variance_by_no_more_than_it_costs() -> None:
    """However small the variance is: a batch's gradient, which is clipped as a whole, is not that of one photo."""
    log_variance = torch.full((2,), -6.0, requires_grad=True)
    seen = {"kind": HeadOutput(torch.tensor([[9.0, 0.0, 0.0]] * 2), log_variance)}
    only = MultiHeadLoss(LossSection(head_weights={}, logit_samples=8), {"kind": HeadKind.CATEGORY})
    only(seen, labels([0, 1], [[1, 0], [1, 0]])).uncertainty.backward()
    assert log_variance.grad is not None
    right, wrong = log_variance.grad.tolist()
    assert right > 0
    assert -9 / 4 - 0.1 < wrong < -9 / 4 + 0.1


def test_a_teacher_takes_its_share_of_a_head() -> None:
    """A pupil pays its teacher's doubt, and nothing for a photo that the teacher was not asked about."""
    told = {"kind": torch.tensor([[1.0, 0.0, 0.0], [math.nan] * 3]), "signs": torch.tensor([[1.0, 0.0], [0.5, 0.5]])}
    section = LossSection(head_weights={}, uncertainty_weight=0, logit_samples=64)
    terms = MultiHeadLoss(section, KINDS, teacher_share=0.9)(outputs(), labels([1, 1], [[1, 0], [1, 0]]), told)
    own = (math.log(1 + 2 * math.exp(-4)) + 4 + math.log(3)) / 2
    assert float(terms.heads["kind"]) == pytest.approx(0.1 * own + 0.9 * math.log(1 + 2 * math.exp(-4)), abs=0.02)
    alike = (math.log(1 + math.exp(-4)) + math.log(2)) / 2
    assert float(terms.heads["signs"]) == pytest.approx(alike, abs=0.02)


def test_shares_of_labels_are_paid_by_share() -> None:
    """A mixed photo costs what its labels cost, each by its part; whole shares cost what plain labels cost."""
    torch.manual_seed(0)
    plain = loss()(outputs(), labels([0, 1], [[1, 0], [1, 0]]))
    torch.manual_seed(0)
    shares = {"kind": torch.tensor([[1.0, 0, 0], [0, 1, 0]]), "signs": torch.tensor([[1.0, 0], [1, 0]])}
    whole = loss()(outputs(), shares)
    assert float(whole.total) == pytest.approx(float(plain.total))
    half = loss()(outputs(), {**shares, "kind": torch.tensor([[0.5, 0.5, 0], [-1.0, -1, -1]])})
    assert float(half.heads["kind"]) == pytest.approx(math.log(1 + 2 * math.exp(-4)) + 2, abs=0.05)


def test_the_calibration_error_is_least_where_confidence_is_earned() -> None:
    """Right in three of four: a confidence of 0.75 costs less than 0.99 and less than 0.5."""
    right = torch.tensor([1.0, 1, 1, 0])
    costs = {each: float(calibration_error(torch.full((4,), each), each - right)) for each in (0.5, 0.75, 0.99)}
    assert costs[0.75] < min(costs[0.5], costs[0.99])
    assert costs[0.75] == pytest.approx(0, abs=1e-5)
    assert costs[0.99] == pytest.approx(0.24, abs=1e-3)


def test_confidence_that_is_not_earned_is_pushed_down() -> None:
    """The gradient of the term lowers the likeliest logit of answers that are wrong more often than they say."""
    logits = torch.tensor([[3.0, 0.0], [3.0, 0.0]], requires_grad=True)
    calibration_error(*category_errors(logits, torch.tensor([0, 1]))).backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    assert (logits.grad[:, 0] > 0).all()
    assert math.isfinite(float(logits.grad.sum()))


def test_the_over_confidence_term_enters_by_its_weight() -> None:
    """The total grows by weight times term; at weight 0 nothing changes."""
    terms = []
    for weight in (0.0, 0.5):
        torch.manual_seed(0)
        section = LossSection(head_weights={}, uncertainty_weight=0, logit_samples=8, overconfidence_weight=weight)
        terms.append(MultiHeadLoss(section, KINDS)(outputs(), labels([1, 1], [[0, 1], [1, 0]])))
    assert float(terms[1].overconfidence) > 0
    assert float(terms[1].total - terms[0].total) == pytest.approx(0.5 * float(terms[1].overconfidence))


BALANCES = ("inverse", "effective_number")


@given(st.lists(st.integers(-1, 4), min_size=1, max_size=80), st.sampled_from(BALANCES))
def test_label_weights_average_to_one(kinds: list[int], balance: str) -> None:
    """Over the training photos a head keeps its weight as a whole, and rarer labels never weigh less."""
    task = small_task().to_domain()
    known = [each for each in kinds if each >= 0]
    arrays = {
        "product_type": np.array(kinds),
        "quality_grade": np.full(len(kinds), -1),
        "attributes": np.full((len(kinds), 10), -1, dtype=np.float32),
    }
    section = LossSection(head_weights={}, class_balance=balance, largest_class_weight=1e6)  # type: ignore[arg-type]
    weights = label_weights(arrays, task, section)["product_type"].numpy()  # type: ignore[arg-type]
    if known:
        assert weights[known].mean() == pytest.approx(1, rel=1e-4)
    counts = [known.count(each) for each in range(5)]
    pairs = [(one, other) for one in range(5) for other in range(5) if 0 < counts[one] < counts[other]]
    assert all(weights[one] >= weights[other] - 1e-6 for one, other in pairs)


def test_balance_weighs_present_attributes_and_only_in_training() -> None:
    """A sign that one photo of four has weighs three times as much where present; evaluation weighs all alike."""
    task = small_task().to_domain()
    table = np.zeros((4, 10), dtype=np.float32)
    table[0, 0] = 1
    arrays = {"product_type": np.array([0, 0, 0, 1]), "quality_grade": np.zeros(4, int), "attributes": table}
    section = LossSection(head_weights={}, uncertainty_weight=0, logit_samples=64, class_balance="inverse")
    weights = label_weights(arrays, task, section)  # type: ignore[arg-type]
    assert weights["attributes"][0].tolist() == pytest.approx([2 / 3, 2])
    assert weights["product_type"][:2].tolist() == pytest.approx([2 / 3, 2])
    weighed = MultiHeadLoss(section, {"kind": HeadKind.CATEGORY}, label_weights={"kind": torch.tensor([0.5, 2.0, 1.0])})
    rare = {"kind": torch.tensor([1, 1])}
    torch.manual_seed(0)
    training = float(weighed(outputs(), rare).heads["kind"])
    torch.manual_seed(0)
    assert training == pytest.approx(2 * float(weighed.eval()(outputs(), rare).heads["kind"]))


def test_nothing_is_weighed_unless_asked_for() -> None:
    """The default recipe weighs no label."""
    assert label_weights({}, small_task().to_domain(), LossSection(head_weights={})) == {}
