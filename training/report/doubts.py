"""Does the network know when it is wrong, when a photo is none of its kind, and when a photo is a bad one?"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import spearmanr

from server.domain.task import Head, HeadKind, Task
from training.group_bootstrap import Estimate, auroc
from training.model import InspectionNetwork
from training.photo_cache import Pixels
from training.photo_data import PhotoSplit
from training.progress import Follow, unfollowed
from training.report.answers import Answers, ask, batches_of, groups_of
from training.report.head_scores import answered_items
from training.report.strange_photos import CHANGES, changed

FloatArray = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True)
class WrongAnswers:
    """How well three doubts rank a head's wrong answers above its right ones, each an AUROC.

    Attributes:
        head: Its title.
        wrong: Wrong answers.
        answered: All answers.
        by_distance: By epistemic uncertainty.
        by_variance: By the head's aleatoric uncertainty.
        by_confidence: By one less the confidence: what the other two must add to.
    """

    head: str
    wrong: int
    answered: int
    by_distance: Estimate
    by_variance: Estimate
    by_confidence: Estimate


@dataclass(frozen=True, slots=True)
class StrangeSet:
    """Photos of no kind that the task has.

    Attributes:
        name: What they are.
        distances: [photo_count] floating. Their epistemic uncertainties.
        by_distance: AUROC of telling them from the split's photos by epistemic uncertainty.
        by_variance: The same by aleatoric uncertainty.
    """

    name: str
    distances: FloatArray
    by_distance: Estimate
    by_variance: Estimate


@dataclass(frozen=True, slots=True)
class Worsening:
    """What one change of rising strength does.

    Attributes:
        change: `blur` or `noise`.
        strengths: As shares, rising from 0.
        variances: [strength_count, photo_count] floating. Aleatoric uncertainty, the mean over heads.
        accuracies: By title of a category head, the accuracy at each strength.
        within_photo: Rank correlation of strength and aleatoric uncertainty over one photo's copies, averaged over
            photos.
        over_all: The same over all copies of all photos at once.
        log_losses: At each strength, the mean over photos and category heads; NaN without a label.
        with_loss: Rank correlation, over the strengths, of the mean aleatoric uncertainty and the log-loss. It is +1
            also where a little of a change makes photos easier, as blur may that takes a camera's noise away.
    """

    change: str
    strengths: tuple[float, ...]
    variances: FloatArray
    accuracies: Mapping[str, tuple[float, ...]]
    within_photo: float
    over_all: float
    log_losses: tuple[float, ...]
    with_loss: float


def rank_wrong_answers(head: Head, answers: Answers, split: PhotoSplit) -> WrongAnswers:
    """Returns how well each doubt ranks a head's wrong answers."""
    items = answered_items(head, answers, split)
    groups = groups_of(split)[items.photos]
    wrong = ~items.hits
    return WrongAnswers(
        head.title,
        int(wrong.sum()),
        len(wrong),
        by_distance=auroc(answers.feature_distances[items.photos], wrong, groups),
        by_variance=auroc(answers.logit_variances[head.id][items.photos], wrong, groups),
        by_confidence=auroc(1 - items.confidences, wrong, groups),
    )


def tell_strange(name: str, strange: Answers, usual: Answers, split: PhotoSplit) -> StrangeSet:
    """Returns how well strange photos are told from the usual ones, each strange photo being its own group."""
    count = len(strange.feature_distances)
    groups = groups_of(split)
    both = np.concatenate([groups, groups.max() + 1 + np.arange(count)])
    is_strange = np.arange(len(both)) >= len(groups)

    def told(usual_scores: FloatArray, strange_scores: FloatArray) -> Estimate:
        return auroc(np.concatenate([usual_scores, strange_scores]), is_strange, both)

    return StrangeSet(
        name,
        strange.feature_distances,
        by_distance=told(usual.feature_distances, strange.feature_distances),
        by_variance=told(usual.mean_logit_variances, strange.mean_logit_variances),
    )


def worsen(
    network: InspectionNetwork,
    photos: Pixels,
    labels: Mapping[str, npt.NDArray[np.int64]],
    task: Task,
    *,
    change: str,
    on_photo: Follow = unfollowed,
) -> Worsening:
    """Asks a network about ever worse copies of photos.

    Args:
        network: In evaluation mode.
        photos: [photo_count, size, size, 3] uint8.
        labels: By category head id, [photo_count] int64; below 0: missing.
        task: The taxonomy.
        change: A key of `CHANGES`.
        on_photo: Called with (photos done, photos in all).
    """
    strengths = CHANGES[change]
    asked: list[Answers] = []
    for strength in strengths:
        batches = batches_of(changed(photos, change, strength))
        asked.append(ask(network, batches, total=len(photos)))
        on_photo(len(asked) * len(photos), len(strengths) * len(photos))
    variances = np.stack([each.mean_logit_variances for each in asked])
    # Where it does not move at all, it says nothing of the strength.
    within = [float(spearmanr(strengths, each).statistic) if np.ptp(each) else 0.0 for each in variances.T]
    copies = np.repeat(strengths, len(photos))
    heads = [head for head in task.heads if head.kind is HeadKind.CATEGORY and (labels[head.id] >= 0).any()]
    losses = [[_log_loss(each.probabilities(head), labels[head.id]) for head in heads] or [np.nan] for each in asked]
    log_losses = tuple(float(np.mean(each)) for each in losses)
    return Worsening(
        change,
        strengths,
        variances,
        {head.title: tuple(_accuracy(each.logits[head.id], labels[head.id]) for each in asked) for head in heads},
        within_photo=float(np.mean(within)),
        over_all=float(spearmanr(copies, variances.ravel()).statistic),
        log_losses=log_losses,
        with_loss=float(spearmanr(variances.mean(axis=1), log_losses).statistic),
    )


def _log_loss(chances: FloatArray, labels: npt.NDArray[np.int64]) -> float:
    known = np.flatnonzero(labels >= 0)
    given = chances[known, labels[known]].clip(np.finfo(np.float32).tiny)
    return float(-np.log(given).mean())


def _accuracy(logits: FloatArray, labels: npt.NDArray[np.int64]) -> float:
    known = labels >= 0
    return float((logits[known].argmax(axis=1) == labels[known]).mean())
