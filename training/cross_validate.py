"""Cross-validation by specimen: every photo is judged once, by a network that never saw its specimen.

A fold is a dataset of its own, an index over the same photos, so that what trains here is `train` and nothing else.
"""

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold

from server.domain.task import Head, HeadKind, Task
from training.checkpoint import HELD_OUT, load_network, read_checkpoint
from training.dataset import INDEX_NAME, PhotoRecord, read_records
from training.earlier_weights import resolve_start
from training.errors import TrainingError
from training.group_bootstrap import Estimate, FloatArray, IndexArray, auroc, estimate, group_indices
from training.photo_data import label_arrays
from training.report.answers import ask, batches_of, open_some
from training.task_file import Split
from training.train import RunRequest, train

HELD_OUT_OF_LAST: tuple[Split, ...] = ("val_select", *HELD_OUT)
"""Where the last epoch is kept, whatever it is: then val_select chooses nothing, and no photo need be spent on it."""
_SELECTION_PARTS = 8


class TooFewGroupsError(TrainingError):
    """A label is shown by fewer specimens than there are folds."""

    def __init__(self, label: str, *, groups: int, folds: int) -> None:
        """Keeps both counts."""
        super().__init__(
            f"Only {groups} specimens show {label!r}; {folds} folds need one each, and some more to learn from.",
            cure="Ask for fewer --folds, or add specimens.",
        )
        self.label = label
        self.groups = groups


@dataclass(frozen=True, slots=True)
class FoldResult:
    """One fold.

    Attributes:
        number: From 1.
        trained_on: Photos.
        judged: Photos.
        accuracy: On them, in [0, 1].
        aurocs: By label, on them, see `fold_aurocs`.
        duration_s: Of all that it took.
    """

    number: int
    trained_on: int
    judged: int
    accuracy: float
    aurocs: dict[str, float]
    duration_s: float


@dataclass(frozen=True, slots=True)
class CrossValidation:
    """What all folds make together.

    Attributes:
        head: The head that was judged.
        folds: In order.
        records: Photos that have a label of the head, in the order of the index.
        labels: [photo_count] int64. Their true labels.
        chances: [photo_count, label_count] float64. What the network that never saw the specimen says.
    """

    head: Head
    folds: tuple[FoldResult, ...]
    records: tuple[PhotoRecord, ...]
    labels: IndexArray
    chances: FloatArray

    @property
    def duration_s(self) -> float:
        """Seconds of all folds."""
        return sum(fold.duration_s for fold in self.folds)

    @property
    def groups(self) -> IndexArray:
        """[photo_count] int64: photos of one specimen have one number."""
        return group_indices([each.specimen for each in self.records])

    def accuracy(self) -> Estimate:
        """Returns the share of right answers with its interval over specimens."""
        hits = (self.chances.argmax(axis=1) == self.labels).astype(np.float64)
        return estimate(lambda weights: float((weights * hits).sum() / weights.sum()), self.groups)

    def aurocs(self) -> dict[str, Estimate]:
        """Returns, by label, the chance that a photo that has it is given a higher chance of it than one that has not.

        Of two labels only the second is told: the first has the same figure. All folds are ranked together, so that a
        fold whose chances are all higher costs something.
        """
        return {
            self.head.labels[place]: auroc(self.chances[:, place], self.labels == place, self.groups)
            for place in _told_places(self.head)
        }


def split_folds(
    records: Sequence[PhotoRecord],
    labels: IndexArray,
    *,
    folds: int,
    seed: int,
    held_out_splits: tuple[Split, ...] = HELD_OUT,
) -> list[list[Split]]:
    """Returns, for each fold, the split of every record: each specimen is held out in exactly one fold.

    Args:
        records: Photos that have a label.
        labels: [photo_count] int64 indices; kept in like shares in every fold.
        folds: How many.
        seed: Draws them.
        held_out_splits: What is held out stands in these; if val_select is none of them, it gets photos of its own.
    """
    groups = group_indices([each.specimen for each in records])
    outer = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    found = []
    for others, held_out in outer.split(groups, labels, groups):
        splits: list[Split] = ["train"] * len(records)
        if "val_select" not in held_out_splits:
            _, chosen = next(iter(_parts(labels[others], groups[others], seed=seed)))
            for place in others[chosen]:
                splits[place] = "val_select"
        # In turn, so that no split is without photos.
        turns = np.unique(groups[held_out], return_inverse=True)[1] % len(held_out_splits)
        for place, turn in zip(held_out, turns, strict=True):
            splits[place] = held_out_splits[turn]
        found.append(splits)
    return found


def cross_validate(
    request: RunRequest,
    *,
    head: Head,
    folds: int,
    on_fold: Callable[[FoldResult], None] = lambda _fold: None,
) -> CrossValidation:
    """Trains a network a fold, anew, and judges each photo by the one that never saw its specimen.

    What a fold holds out stands in val_calib and val_test, which training does not look at; where the last epoch is
    kept, some of it is val_select.

    Args:
        request: What to train; its dataset's own splits do not matter, and no run folder is left behind. A teacher that
            the task file names is left out, and so are first weights of this same task: both have seen photos that a
            fold holds out.
        head: A category head; photos without a label of it are left out.
        folds: At least 2.
        on_fold: Called with each finished fold.

    Raises:
        TooFewGroupsError: A label is shown by too few specimens.
        CheckpointMissingError: The run to start from is not there.
        TrainingError: As for `train`.
    """
    task = request.task.to_domain()
    records = read_records(request.data_folder, task_id=task.id)
    labels = label_arrays(records, task)[head.id].astype(np.int64)
    records = [each for each, label in zip(records, labels, strict=True) if label >= 0]
    labels = labels[labels >= 0]
    _check(records, labels, head, folds=folds)
    alone = _without_knowledge(request)
    chances = np.full((len(records), len(head.labels)), np.nan)
    finished = []
    is_chosen = request.recipe.kept_epoch == "best"
    judged_in = HELD_OUT if is_chosen else HELD_OUT_OF_LAST
    drawn = split_folds(records, labels, folds=folds, seed=request.recipe.seed, held_out_splits=judged_in)
    for number, splits in enumerate(drawn, start=1):
        started = time.monotonic()
        with tempfile.TemporaryDirectory() as passing:
            _write_fold(Path(passing), request.data_folder, records, splits)
            fold = replace(alone, data_folder=Path(passing), runs_folder=Path(passing) / "runs")
            _judge(fold, task, head, chances, splits, judged_in)
        held_out = np.array([each in judged_in for each in splits])
        result = FoldResult(
            number,
            splits.count("train"),
            int(held_out.sum()),
            float((chances[held_out].argmax(axis=1) == labels[held_out]).mean()),
            fold_aurocs(head, chances[held_out], labels[held_out]),
            time.monotonic() - started,
        )
        finished.append(result)
        on_fold(result)
    return CrossValidation(head, tuple(finished), tuple(records), labels, chances)


def _told_places(head: Head) -> tuple[int, ...]:
    """Returns the places of the labels whose ranking is told: of two only the second, else all."""
    count = len(head.labels)
    return tuple(range(1 if count == 2 else 0, count))  # noqa: PLR2004


def fold_aurocs(head: Head, chances: FloatArray, labels: IndexArray) -> dict[str, float]:
    """Returns, by label, how well its chances rank the photos of one fold.

    Args:
        head: Of two labels only the second is told.
        chances: [photo_count, label_count] floating.
        labels: [photo_count] int64.

    Returns:
        AUROCs in [0, 1]; NaN if all photos have a label, or none.
    """
    return {
        head.labels[place]: float(roc_auc_score(labels == place, chances[:, place]))
        if 0 < (labels == place).sum() < len(labels)
        else np.nan
        for place in _told_places(head)
    }


def _without_knowledge(request: RunRequest) -> RunRequest:
    """Returns the request with neither a teacher nor weights of its own task; those of another task are looked up."""
    alone = {"teacher": None, "start_from": None}
    tiers = {
        name: tier.model_copy(
            update={
                "training": tier.training.model_copy(update=alone),
                "production_training": tier.production_training.model_copy(update=alone),
            }
        )
        for name, tier in request.task.tiers.items()
    }
    task = request.task.model_copy(update={"training": request.task.training.model_copy(update=alone), "tiers": tiers})
    return replace(request, task=task, start_from=_foreign_start(request))


def _foreign_start(request: RunRequest) -> str | None:
    """Returns the folder of the run whose weights are the first, if that is of another task."""
    named = request.recipe.start_from
    if not named or Path(named).parts[0] == request.task.id:
        return None
    start = resolve_start(named, runs_folder=request.runs_folder)
    return None if read_checkpoint(start).task_id == request.task.id else str(start.resolve())


def _check(records: Sequence[PhotoRecord], labels: IndexArray, head: Head, *, folds: int) -> None:
    if head.kind is not HeadKind.CATEGORY:
        raise ValueError("cross-validation judges a category head")
    for place, label in enumerate(head.labels):
        groups = len({each.specimen for each, own in zip(records, labels, strict=True) if own == place})
        if groups <= folds:
            raise TooFewGroupsError(label, groups=groups, folds=folds)


def _parts(
    labels: IndexArray, groups: IndexArray, *, seed: int
) -> Sequence[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    """Returns parts of what is left for training; one of them chooses the epoch."""
    parts = StratifiedGroupKFold(_SELECTION_PARTS, shuffle=True, random_state=seed)
    return list(parts.split(groups, labels, groups))


def _write_fold(folder: Path, data_folder: Path, records: Sequence[PhotoRecord], splits: Sequence[Split]) -> None:
    """Writes an index over the same photos."""
    lines = (
        each.model_copy(update={"split": split, "photo": str((data_folder / each.photo).resolve())}).model_dump_json()
        for each, split in zip(records, splits, strict=True)
    )
    (folder / INDEX_NAME).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _judge(
    request: RunRequest,
    task: Task,
    head: Head,
    chances: FloatArray,
    splits: Sequence[Split],
    judged_in: tuple[Split, ...],
) -> None:
    """Trains a fold's network, and fills in what it says of the photos that were held out."""
    trained = train(request).folder
    network, section = load_network(trained, task), read_checkpoint(trained).network
    for split in judged_in:
        photos = open_some(
            request.data_folder, task, split, size_px=section.input_size_px, framing=section.framing, limit=None
        )
        answers = ask(network, batches_of(photos.pixels), total=len(photos))
        chances[[each == split for each in splits]] = answers.probabilities(head)
