"""The loss: one term a head over noisy logits, and one that ties the predicted noise to the loss that is really seen.

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
from training.recipe import LossSection


class LossTerms(NamedTuple):
    """The loss of a batch and its parts, scalars."""

    total: Tensor
    heads: dict[str, Tensor]
    uncertainty: Tensor


class MultiHeadLoss(nn.Module):
    """Log-loss over sampled logits a head, weighted, plus the uncertainty term.

    Kendall and Gal, "What uncertainties do we need in Bayesian deep learning for computer vision?", 2017: logits
    are drawn from a Gaussian whose variance is predicted. Classification alone leaves that variance loosely
    determined, so the uncertainty term attenuates each photo's own loss by it: `(loss / variance + log variance) / 2`
    is least where the variance equals the loss to expect.

    A teacher's probabilities, where there are any, take a share of each head's term (Hinton, Vinyals, Dean, "Distilling
    the knowledge in a neural network", 2015).
    """

    def __init__(self, section: LossSection, kinds: Mapping[str, HeadKind], *, teacher_share: float = 0.5) -> None:
        """Builds the loss.

        Args:
            section: Weights and the number of draws.
            kinds: By head id, in the task's order.
            teacher_share: In (0, 1). Of a head's term, where a teacher has spoken.
        """
        super().__init__()
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
            labels: By head id. Category: [batch] int64, the label's index. Attributes: [batch, label_count]
                float32, 1 where present, 0 where not. Below 0: missing.
            taught: By head id, [batch, label_count] float32 probabilities of a teacher; NaN where it was not asked.
        """
        taught = taught or {}
        heads: dict[str, Tensor] = {}
        uncertainties = []
        for head, kind in self.kinds.items():
            output = outputs[head]
            losses, is_known = self._photo_losses(kind, output, labels[head])
            heads[head] = _mean_of_known(losses, is_known)
            if head in taught:
                learnt = _mean_of_known(*_taught_losses(kind, output, taught[head]))
                heads[head] = (1 - self.teacher_share) * heads[head] + self.teacher_share * learnt
            attenuated = 0.5 * (losses.detach() * torch.exp(-output.log_variance) + output.log_variance)
            uncertainties.append(_mean_of_known(attenuated, is_known))
        uncertainty = torch.stack(uncertainties).mean()
        weighted = [self.section.head_weights.get(head, 1.0) * loss for head, loss in heads.items()]
        total = torch.stack(weighted).sum() + self.section.uncertainty_weight * uncertainty
        return LossTerms(total, heads, uncertainty)

    def _photo_losses(self, kind: HeadKind, output: HeadOutput, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Returns [batch] float32 losses and [batch] bool, whether the photo has a label."""
        noise = torch.randn(self.section.logit_samples, *output.logits.shape, device=output.logits.device)
        noisy = output.logits + noise * torch.exp(0.5 * output.log_variance).unsqueeze(1)
        if kind is HeadKind.CATEGORY:
            is_known = labels >= 0
            index = labels.clamp_min(0).expand(len(noisy), -1).unsqueeze(2)
            losses = -_log_mean_exp(noisy.log_softmax(dim=2).gather(2, index).squeeze(2))
            return losses, is_known
        known = labels >= 0
        signs = 2 * labels.clamp_min(0) - 1
        each = -_log_mean_exp(nn.functional.logsigmoid(noisy * signs)) * known
        return each.sum(dim=1) / known.sum(dim=1).clamp_min(1), known.any(dim=1)


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
