"""The loss: terms over noisy logits, for the noise that is predicted, and for confidence that is not earned.

A label that is missing (below 0) counts for nothing; a batch without any label of a head
gives that head a loss of 0.
"""

import math
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from server.domain.task import HeadKind
from training.model import HeadOutput
from training.overconfidence import attribute_errors, calibration_error, category_errors
from training.recipe import LossSection


class LossTerms(NamedTuple):
    """The loss of a batch and its parts, scalars."""

    total: Tensor
    heads: dict[str, Tensor]
    uncertainty: Tensor
    overconfidence: Tensor


class MultiHeadLoss(nn.Module):
    """Log-loss over sampled logits a head, weighted, plus the uncertainty term.

    Kendall and Gal, "What uncertainties do we need in Bayesian deep learning for computer vision?", 2017: logits
    are drawn from a Gaussian whose variance is predicted. Classification alone leaves that variance loosely
    determined, so the uncertainty term makes it the loss to expect: `(variance - loss * log variance) / 2`, Poisson's
    deviance, is least in the mean where it is (Gourieroux, Monfort and Trognon, "Pseudo maximum likelihood methods:
    theory", 1984). A Gaussian's term, `(loss / variance + log variance) / 2`, is least there too, but a photo that was
    surely right and is not pulls by its loss over its variance, which may be hundreds of times more: clipped with such
    a gradient, all others hardly count, and variances come out too small (Seitzer et al., "On the pitfalls of
    heteroscedastic uncertainty estimation with probabilistic neural networks", 2022, weigh against the same).

    A teacher's probabilities, where there are any, take a share of each head's term (Hinton, Vinyals, Dean, "Distilling
    the knowledge in a neural network", 2015). Labels weigh alike in evaluation mode: what is watched on val_select is
    the plain log-loss.
    """

    def __init__(
        self,
        section: LossSection,
        kinds: Mapping[str, HeadKind],
        *,
        teacher_share: float = 0.5,
        label_weights: Mapping[str, Tensor] | None = None,
    ) -> None:
        """Builds the loss.

        Args:
            section: Weights and the number of draws.
            kinds: By head id, in the task's order.
            teacher_share: In (0, 1). Of a head's term, where a teacher has spoken.
            label_weights: By head id, how much labels weigh in training mode. Category: [label_count] float32.
                Attributes: [label_count, 2] float32, where absent and where present. A head that is missing: all alike.
        """
        super().__init__()
        for head, weights in (label_weights or {}).items():
            self.register_buffer(_buffer_name(head), weights, persistent=False)
        self.section = section
        self.teacher_share = teacher_share
        self.kinds = dict(kinds)

    def forward(
        self,
        outputs: Mapping[str, HeadOutput],
        labels: Mapping[str, Tensor],
        taught: Mapping[str, Tensor] | None = None,
    ) -> LossTerms:
        """Returns the loss of a batch.

        Args:
            outputs: By head id.
            labels: By head id. Category: [batch] int64, the label's index, or of mixed photos [batch, label_count]
                float32, the share of each label. Attributes: [batch, label_count] float32, 1 where present, 0 where
                not, between for mixed photos. Below 0: missing.
            taught: By head id, [batch, label_count] float32 probabilities of a teacher; NaN where it was not asked.
        """
        taught = taught or {}
        heads: dict[str, Tensor] = {}
        uncertainties, errors = [], []
        for head, kind in self.kinds.items():
            output = outputs[head]
            targets, is_known = _targets(kind, output, labels[head])
            each = self._label_losses(kind, output)
            losses = _photo_losses(kind, each, targets, is_known)
            heads[head] = _mean_of_known(
                self._weighed(head, kind, each, targets, is_known, losses), is_known.any(dim=1)
            )
            if head in taught:
                learnt = _mean_of_known(*_taught_losses(kind, output, taught[head]))
                heads[head] = (1 - self.teacher_share) * heads[head] + self.teacher_share * learnt
            deviances = 0.5 * (torch.exp(output.log_variance) - losses.detach() * output.log_variance)
            uncertainties.append(_mean_of_known(deviances, is_known.any(dim=1)))
            errors.append(_overconfidence(kind, output, targets, is_known))
        uncertainty, overconfidence = torch.stack(uncertainties).mean(), torch.stack(errors).mean()
        weighted = [self.section.head_weights.get(head, 1.0) * loss for head, loss in heads.items()]
        total = (
            torch.stack(weighted).sum()
            + self.section.uncertainty_weight * uncertainty
            + self.section.overconfidence_weight * overconfidence
        )
        return LossTerms(total, heads, uncertainty, overconfidence)

    def _label_losses(self, kind: HeadKind, output: HeadOutput) -> Tensor:
        """Returns what each answer would cost a photo, over the noise.

        Returns:
            Category: [batch, label_count] float32. Attributes: [batch, label_count, 2] float32, absent and present.
        """
        noise = torch.randn(self.section.logit_samples, *output.logits.shape, device=output.logits.device)
        noisy = output.logits + noise * torch.exp(0.5 * output.log_variance).unsqueeze(1)
        if kind is HeadKind.CATEGORY:
            return -_log_mean_exp(noisy.log_softmax(dim=2))
        both = torch.stack([nn.functional.logsigmoid(-noisy), nn.functional.logsigmoid(noisy)], dim=3)
        return -_log_mean_exp(both)

    def _weighed(
        self, head: str, kind: HeadKind, each: Tensor, targets: Tensor, is_known: Tensor, losses: Tensor
    ) -> Tensor:
        """Returns [batch] float32 losses, in which rare labels weigh more in training mode."""
        weights = getattr(self, _buffer_name(head), None)
        if weights is None or not self.training:
            return losses
        return _photo_losses(kind, each * weights, targets, is_known)


def _buffer_name(head: str) -> str:
    return f"weights_of_{head}"


def _targets(kind: HeadKind, output: HeadOutput, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Returns [batch, label_count] float32 shares of each label, and [batch, label_count] bool, whether it is known."""
    if kind is HeadKind.CATEGORY and labels.ndim == 1:
        known = (labels >= 0).unsqueeze(1).expand_as(output.logits)
        return nn.functional.one_hot(labels.clamp_min(0), output.logits.shape[1]).to(output.logits), known
    return labels.to(output.logits).clamp_min(0), labels >= 0


def _photo_losses(kind: HeadKind, each: Tensor, targets: Tensor, is_known: Tensor) -> Tensor:
    """Returns [batch] float32: what the photos' own labels cost; 0 where none is known."""
    if kind is HeadKind.CATEGORY:
        # Not a product: a label that is out of the question may cost infinitely much.
        return torch.where((targets > 0) & is_known, targets * each, 0.0).sum(dim=1)
    of_label = (1 - targets) * each[..., 0] + targets * each[..., 1]
    return (of_label * is_known).sum(dim=1) / is_known.sum(dim=1).clamp_min(1)


def _overconfidence(kind: HeadKind, output: HeadOutput, targets: Tensor, is_known: Tensor) -> Tensor:
    """Returns the calibration error of a head's answers, a scalar; mixed photos have no right answer and stay out."""
    logits = output.effective_logits
    is_whole = is_known & ((targets == 0) | (targets == 1))
    if kind is HeadKind.CATEGORY:
        chosen = is_whole.all(dim=1)
        return calibration_error(*category_errors(logits[chosen], targets[chosen].argmax(dim=1)))
    return calibration_error(*attribute_errors(logits[is_whole], targets[is_whole]))


def _taught_losses(kind: HeadKind, output: HeadOutput, chances: Tensor) -> tuple[Tensor, Tensor]:
    """Returns [batch] float32 cross-entropies to a teacher's probabilities, and [batch] bool, whether it was asked."""
    is_known = chances.isfinite().all(dim=1)
    chances = chances.nan_to_num(0.5)
    logits = output.effective_logits
    if kind is HeadKind.CATEGORY:
        return nn.functional.cross_entropy(logits, chances, reduction="none"), is_known
    each = nn.functional.binary_cross_entropy_with_logits(logits, chances, reduction="none")
    return each.mean(dim=1), is_known


def _log_mean_exp(values: Tensor) -> Tensor:
    """Returns the log of the mean of exp(values) over the first dimension."""
    return values.logsumexp(dim=0) - math.log(len(values))


def _mean_of_known(values: Tensor, is_known: Tensor) -> Tensor:
    return (values * is_known).sum() / is_known.sum().clamp_min(1)
