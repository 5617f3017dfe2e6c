"""Cross-validation: folds by specimen, and a figure for every photo from a network that never saw its specimen."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from small_dataset import small_task, write_small_dataset

from server.domain.task import Head, HeadKind
from training.checkpoint import HELD_OUT, CheckpointMissingError
from training.cross_validate import HELD_OUT_OF_LAST, TooFewGroupsError, cross_validate, fold_aurocs, split_folds
from training.earlier_weights import NoCommonWeightsError
from training.photo_data import label_arrays
from training.recipe import TierSection, TierTrainingSection
from training.task_file import Split
from training.train import RunRequest, train

FOLDS = 2


@pytest.mark.parametrize("judged_in", [HELD_OUT, HELD_OUT_OF_LAST])
def test_each_specimen_is_held_out_once_and_not_trained_on_then(tmp_path: Path, judged_in: tuple[Split, ...]) -> None:
    """In each fold a specimen stands on one side, and over all folds it is judged exactly once."""
    records = write_small_dataset(tmp_path, photos_a_split={"train": 120})
    labels = label_arrays(records, small_task().to_domain())["product_type"].astype(np.int64)
    held_out: Counter[str] = Counter()
    for splits in split_folds(records, labels, folds=3, seed=1, held_out_splits=judged_in):
        sides = {(each.specimen, split) for each, split in zip(records, splits, strict=True)}
        assert len(sides) == len({each.specimen for each in records})
        assert set(splits) == {"train", "val_select", *HELD_OUT}
        held_out.update({specimen for specimen, split in sides if split in judged_in})
    assert set(held_out.values()) == {1}
    assert len(held_out) == len({each.specimen for each in records})


@pytest.mark.parametrize("kept_epoch", ["best", "last"])
def test_every_photo_is_judged(tmp_path: Path, kept_epoch: str) -> None:
    """All folds together say something of every photo, nothing that saw it helps them, and no run is left behind.

    Where the last epoch is kept, all that is not judged is trained on.
    """
    write_small_dataset(tmp_path / "data", photos_a_split={"train": 96})
    task = small_task(epochs=2)
    recipe = task.training.model_copy(update={"kept_epoch": kept_epoch})
    task = task.model_copy(update={"training": recipe})
    known = TierTrainingSection(teacher="full", start_from=f"{task.id}/fast")
    tier = task.tier("fast").model_copy(update={"training": known})
    taught = task.model_copy(update={"tiers": {"fast": tier}})
    request = RunRequest(taught, "fast", "demo", tmp_path / "data", tmp_path / "runs")
    head = request.task.to_domain().head("product_type")
    told: list[int] = []
    result = cross_validate(request, head=head, folds=FOLDS, on_fold=lambda fold: told.append(fold.number))
    assert told == [1, 2]
    assert np.allclose(result.chances.sum(axis=1), 1)
    assert sum(fold.judged for fold in result.folds) == len(result.records) == 96
    spent_on_choosing = [96 - fold.trained_on - fold.judged for fold in result.folds]
    assert all(each > 0 for each in spent_on_choosing) if kept_epoch == "best" else not any(spent_on_choosing)
    weighted = sum(fold.accuracy * fold.judged for fold in result.folds) / 96
    assert result.accuracy().value == pytest.approx(weighted)
    assert result.accuracy().low <= result.accuracy().value <= result.accuracy().high
    assert set(result.aurocs()) == set(head.labels)
    assert all(set(fold.aurocs) == set(head.labels) for fold in result.folds)
    assert not (tmp_path / "runs").exists()


def test_a_fold_is_ranked_by_itself() -> None:
    """A label that no photo of the fold has cannot be ranked; of two labels only the second is told."""
    head = small_task().to_domain().head("product_type")
    chances = np.full((4, len(head.labels)), 0.1)
    chances[:, 0] = [0.9, 0.8, 0.2, 0.3]
    chances[:, 1] = [0.2, 0.1, 0.1, 0.3]
    ranked = fold_aurocs(head, chances, np.array([0, 0, 1, 1]))
    assert ranked[head.labels[0]] == 1
    assert ranked[head.labels[1]] == pytest.approx(0.625)
    assert np.isnan(ranked[head.labels[2]])
    two = Head(id="surface", title="Surface", kind=HeadKind.CATEGORY, labels=("good", "defect"))
    assert fold_aurocs(two, np.array([[0.9, 0.1], [0.2, 0.8]]), np.array([0, 1])) == {"defect": 1}


def test_too_few_specimens_are_told_before_training(tmp_path: Path) -> None:
    """A label must be in every fold."""
    write_small_dataset(tmp_path, photos_a_split={"train": 12})
    request = RunRequest(small_task(), "fast", "demo", tmp_path, tmp_path / "runs")
    with pytest.raises(TooFewGroupsError, match="fewer --folds"):
        cross_validate(request, head=request.task.to_domain().head("product_type"), folds=5)


def test_weights_of_another_task_are_the_first(tmp_path: Path) -> None:
    """Another task's run has seen none of the photos: it is looked for among the user's runs, and begun with."""
    write_small_dataset(tmp_path / "data")
    task = small_task(epochs=1)
    request = RunRequest(task, "fast", "demo", tmp_path / "data", tmp_path / "runs", start_from="surfaces/fast")
    head = task.to_domain().head("product_type")
    with pytest.raises(CheckpointMissingError, match="surfaces"):
        cross_validate(request, head=head, folds=FOLDS)
    # Weights that fit nothing are the proof that training was handed them.
    network = request.section.model_copy(update={"backbone": "test_resnet"})
    other = task.model_copy(update={"id": "surfaces", "tiers": {"fast": TierSection(demo=network, production=network)}})
    train(replace(request, task=other, start_from=None))
    with pytest.raises(NoCommonWeightsError, match="test_resnet"):
        cross_validate(request, head=head, folds=FOLDS)
