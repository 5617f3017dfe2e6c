"""Measures everything that the evaluation page says."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from server.domain.task import HeadKind, Task
from training.checkpoint import Checkpoint, file_sha256, load_network, read_checkpoint
from training.dataset import INDEX_NAME
from training.evaluate import HeadReport, report_heads
from training.model import InspectionNetwork
from training.photo_cache import Pixels
from training.photo_data import PhotoSplit, spread_places
from training.place_sampling import SamplingSection
from training.processor import use_processor
from training.progress import Follow, unfollowed
from training.recipe import NetworkSection, Views
from training.report.answers import Answers, ask, batches_of, groups_of, open_some, read_folder
from training.report.by_place import PlaceScores, score_by_place
from training.report.doubts import (
    StrangeSet,
    Worsening,
    WrongAnswers,
    rank_wrong_answers,
    tell_strange,
    worsen,
)
from training.report.head_scores import HeadScores, score_head
from training.report.overlays import ChosenPhotos, choose_photos
from training.report.strange_photos import CHANGES, made_strange
from training.task_file import Split

STRANGE_PHOTOS = 500
WORSENED_PHOTOS = 100


@dataclass(frozen=True, slots=True)
class EvaluationRequest:
    """What to evaluate.

    Attributes:
        folder: The checkpoint.
        task: The taxonomy.
        data_folder: The dataset.
        split: Which photos.
        limit: Looks at so many photos, evenly spaced over the split; None for all.
        views: In place of the checkpoint's own; None for its own.
        ood_folder: Photos of no kind that the task has; None for only those that are made.
        targets: Where the network will be used; None if the task does not say.
        command: What the user typed, for the record.
    """

    folder: Path
    task: Task
    data_folder: Path
    split: Split
    limit: int | None = None
    views: Views | None = None
    ood_folder: Path | None = None
    targets: SamplingSection | None = None
    command: str = "loupe-train evaluate"


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What was measured.

    Attributes:
        request: What was asked for.
        checkpoint: Of the network.
        photos: The photos.
        answers: What the network said of them.
        reports: As the terminal shows them, in the task's order.
        heads: As the page shows them, in the task's order.
        by_place: The decision heads, near the targets and far from them.
        wrong_answers: In the task's order.
        strange: Kinds of strange photos.
        worsenings: One a change.
        chosen: Photos to look at.
        index_sha256: Of the dataset's index, as it was read.
    """

    request: EvaluationRequest
    checkpoint: Checkpoint
    photos: PhotoSplit
    answers: Answers
    reports: tuple[HeadReport, ...]
    heads: tuple[HeadScores, ...]
    by_place: tuple[PlaceScores, ...]
    wrong_answers: tuple[WrongAnswers, ...]
    strange: tuple[StrangeSet, ...]
    worsenings: tuple[Worsening, ...]
    chosen: tuple[ChosenPhotos, ...]
    index_sha256: str

    @property
    def specimen_count(self) -> int:
        """How many specimens the photos show."""
        return int(groups_of(self.photos).max()) + 1


def measure(
    request: EvaluationRequest, *, on_prepared: Follow = unfollowed, on_asked: Follow = unfollowed
) -> Evaluation:
    """Evaluates a trained network.

    Args:
        request: What to evaluate.
        on_prepared: Follows the photos while their cache is made.
        on_asked: Follows the network through the photos of the split, then through those made from them.

    Raises:
        TrainingError: The checkpoint, the dataset, the split or a folder of photos is missing.
    """
    checkpoint, task = read_checkpoint(request.folder), request.task
    if request.targets is not None:
        # What is wrong with them is said before the network is asked.
        request.targets.all_target_places()
    size_px, framing = checkpoint.network.input_size_px, checkpoint.network.framing
    use_processor(checkpoint.training.threads)
    given = _given_photos(request.ood_folder, checkpoint.network)
    photos = open_some(
        request.data_folder,
        task,
        request.split,
        size_px=size_px,
        framing=framing,
        limit=request.limit,
        on_progress=on_prepared,
    )
    network = load_network(request.folder, task)
    network.views = network.views if request.views is None else request.views
    strange = given | made_strange(np.array(photos.pixels[spread_places(len(photos), STRANGE_PHOTOS)]))
    worsened = spread_places(len(photos), WORSENED_PHOTOS)
    copies = len(worsened) * sum(map(len, CHANGES.values()))
    looks = _Looks(on_asked, total=len(photos) + sum(map(len, strange.values())) + copies)
    answers = ask(network, batches_of(photos.pixels), total=len(photos), on_photo=looks.part(len(photos)))
    return Evaluation(
        request=request,
        checkpoint=checkpoint,
        photos=photos,
        answers=answers,
        reports=report_heads({head: torch.from_numpy(each) for head, each in answers.logits.items()}, photos, task),
        heads=tuple(score_head(head, answers, photos) for head in task.heads),
        by_place=score_by_place([task.head(head) for head in task.decision_heads], answers, photos, request.targets),
        wrong_answers=tuple(rank_wrong_answers(head, answers, photos) for head in task.heads),
        strange=tuple(
            tell_strange(
                name,
                ask(network, batches_of(each), total=len(each), on_photo=looks.part(len(each))),
                answers,
                photos,
            )
            for name, each in strange.items()
        ),
        worsenings=_worsenings(network, photos, worsened, task, looks),
        chosen=choose_photos(answers, photos, task),
        index_sha256=file_sha256(request.data_folder / INDEX_NAME),
    )


def _given_photos(folder: Path | None, network: NetworkSection) -> dict[str, Pixels]:
    """Returns the strange photos of a folder, by what they are called on the page; none without a folder."""
    if folder is None:
        return {}
    return {
        f"photos of {folder.name}": read_folder(
            folder, size_px=network.input_size_px, framing=network.framing, limit=STRANGE_PHOTOS
        )
    }


def _worsenings(
    network: InspectionNetwork, photos: PhotoSplit, places: npt.NDArray[np.int64], task: Task, looks: "_Looks"
) -> tuple[Worsening, ...]:
    """Asks about ever worse copies of some photos, a change at a time."""
    categories = [head.id for head in task.heads if head.kind is HeadKind.CATEGORY]
    labels = {head: photos.labels[head][places].astype(np.int64) for head in categories}
    pixels = np.array(photos.pixels[places])
    return tuple(
        worsen(network, pixels, labels, task, change=change, on_photo=looks.part(len(places) * len(strengths)))
        for change, strengths in CHANGES.items()
    )


def headline_metrics(evaluation: Evaluation) -> Mapping[str, float]:
    """Returns the figures that a tracker keeps, by name, e.g. `val_test/product_type/mcc`; undefined ones left out."""
    split = evaluation.request.split
    parts: list[tuple[str, tuple[HeadScores, ...]]] = [(split, evaluation.heads)]
    parts += [(f"{split}/{each.distance.replace(' ', '_')}", each.heads) for each in evaluation.by_place]
    figures = {
        f"{part}/{each.head.id}/{name}": value.value
        for part, heads in parts
        for each in heads
        for name, value in (("accuracy", each.accuracy), ("macro_f1", each.macro_f1), ("mcc", each.mcc))
    }
    figures |= {f"{split}/ood_auroc/{each.name}": each.by_distance.value for each in evaluation.strange}
    figures |= {f"{split}/rank_correlation/{each.change}": each.within_photo for each in evaluation.worsenings}
    figures |= {f"{split}/rank_correlation_with_loss/{each.change}": each.with_loss for each in evaluation.worsenings}
    return {name: value for name, value in figures.items() if np.isfinite(value)}


class _Looks:
    """Adds up the parts of one long walk of a network through photos."""

    def __init__(self, follow: Follow, *, total: int) -> None:
        self._follow = follow
        self._total = total
        self._before = 0

    def part(self, count: int) -> Follow:
        """Returns the follower of the next part, of so many photos."""
        before, self._before = self._before, self._before + count
        return lambda done, _: self._follow(before + done, self._total)
