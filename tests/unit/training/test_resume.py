"""A killed run goes on where it was, and ends as one that never was killed."""

# ruff: noqa: ARG002 -- signatures are Lightning's

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from small_dataset import small_task, write_small_dataset

from training.batch_order import BatchOrder
from training.checkpoint import CheckpointMissingError, latest_run, read_checkpoint
from training.learner import LossNotFiniteError
from training.place_sampling import SamplingSection
from training.recipe import StageSection
from training.resume import NothingToResumeError, OtherRunError, kept_answers, latest_unfinished
from training.train import RunRequest, RunResult, resume, train

PHOTOS = {"train": 32, "val_select": 16, "val_calib": 4, "val_test": 4}
STAGES = (StageSection(epochs=1, input_share=0.5), StageSection(epochs=2))


class KilledError(Exception):
    """Stands for whatever ends a process."""


class KilledAt(pl.Callback):
    """Ends the process before one batch."""

    def __init__(self, epoch: int, batch: int) -> None:
        self._place = (epoch, batch)

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Ends it."""
        if (trainer.current_epoch, batch_idx) == self._place:
            raise KilledError


class AveragedWeights(pl.Callback):
    """Remembers the weights that the last epoch was judged with."""

    def on_validation_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Copies them."""
        self.weights = {name: each.cpu().clone() for name, each in pl_module.state_dict().items()}


@pytest.fixture(scope="module")
def data_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small dataset on disk."""
    folder = tmp_path_factory.mktemp("dataset")
    write_small_dataset(folder, photos_a_split=PHOTOS)  # type: ignore[arg-type]
    return folder


def request(data_folder: Path, runs: Path, **changes: Any) -> RunRequest:
    """Three epochs of the tiny network, the first on small photos, with a state after every second step."""
    task = small_task(size_px=64)
    recipe = task.training.model_copy(update={"stages": STAGES, "state_every_steps": 2, **changes})
    return RunRequest(
        task=task.model_copy(update={"training": recipe}),
        tier="fast",
        variant="demo",
        data_folder=data_folder,
        runs_folder=runs,
        seed=1,
    )


@pytest.fixture(scope="module")
def judged_with() -> AveragedWeights:
    """What the uninterrupted run was judged with."""
    return AveragedWeights()


@pytest.fixture(scope="module")
def uninterrupted(
    data_folder: Path, judged_with: AveragedWeights, tmp_path_factory: pytest.TempPathFactory
) -> RunResult:
    """A run that nobody killed."""
    return train(request(data_folder, tmp_path_factory.mktemp("runs")), callbacks=[judged_with])


def killed(asked: RunRequest, *, epoch: int, batch: int) -> Path:
    """Returns the folder of a run that was killed before this batch."""
    with pytest.raises(KilledError):
        train(asked, callbacks=[KilledAt(epoch, batch)])
    return latest_unfinished(asked.runs_folder, task_id="cannabis", tier="fast")


def same_weights(first: Path, second: Path) -> bool:
    """Whether two files hold the same weights, bit by bit."""
    one, other = load_file(first), load_file(second)
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize(("epoch", "batch"), [(1, 3), (2, 0)])
def test_a_killed_run_ends_like_one_that_was_not(
    data_folder: Path, uninterrupted: RunResult, tmp_path: Path, epoch: int, batch: int
) -> None:
    """Killed inside an epoch or between two: equal best and last weights, history and metrics."""
    asked = request(data_folder, tmp_path)
    # Whoever resumes need not repeat the seed: it is the run's own.
    resumed = resume(killed(asked, epoch=epoch, batch=batch), replace(asked, seed=None))
    for name in ("model.safetensors", "last.safetensors"):
        assert same_weights(resumed.folder / name, uninterrupted.folder / name)
    for name in ("history.json", "last.json"):
        assert json.loads((resumed.folder / name).read_text()) == json.loads((uninterrupted.folder / name).read_text())
    assert resumed.checkpoint.metrics == uninterrupted.checkpoint.metrics
    assert not (resumed.folder / "unfinished").exists()


def test_the_last_weights_are_those_that_were_judged(uninterrupted: RunResult, judged_with: AveragedWeights) -> None:
    """What is saved are the averaged weights, with which the metrics were found; not those that training moved last."""
    saved = load_file(uninterrupted.folder / "last.safetensors")
    for name, weight in saved.items():
        if not name.startswith("density."):
            assert torch.equal(weight, judged_with.weights[f"network.{name}"]), name


def test_an_unfinished_run_is_no_checkpoint(data_folder: Path, tmp_path: Path) -> None:
    """Nobody takes it for a finished one; with another seed it is another run, and other data are refused by name."""
    asked = request(data_folder, tmp_path)
    folder = killed(asked, epoch=0, batch=1)
    with pytest.raises(CheckpointMissingError):
        latest_run(tmp_path, task_id="cannabis", tier="fast")
    with pytest.raises(CheckpointMissingError):
        read_checkpoint(folder)
    with pytest.raises(OtherRunError, match="recipe"):
        resume(folder, request(data_folder, tmp_path, learning_rate=0.5))


def test_what_replaced_the_recipe_is_the_run_s_own(data_folder: Path, tmp_path: Path) -> None:
    """Whoever resumes need not repeat the learning rate, nor whether places count."""
    targets = SamplingSection(target_places=((35.68, 139.76),))
    asked = request(data_folder, tmp_path, sampling=targets)
    folder = killed(replace(asked, learning_rate=3e-4, by_place=True), epoch=0, batch=1)
    recipe = resume(folder, asked).checkpoint.training
    assert recipe.learning_rate == 3e-4
    assert recipe.sampling == targets.model_copy(update={"by_place": True})


def test_a_finished_run_cannot_be_resumed(uninterrupted: RunResult, data_folder: Path) -> None:
    """There is nothing to go on with, and the error says how to begin."""
    asked = request(data_folder, uninterrupted.folder.parent)
    with pytest.raises(NothingToResumeError, match="loupe-train train cannabis --tier fast"):
        resume(uninterrupted.folder, asked)
    with pytest.raises(NothingToResumeError):
        latest_unfinished(uninterrupted.folder.parents[2], task_id="cannabis", tier="fast")


def test_a_loss_that_is_no_number_names_the_step(data_folder: Path, tmp_path: Path) -> None:
    """Training stops with the epoch, the step and what to do, and leaves a state to go on from."""

    class Spoilt(pl.Callback):
        def on_train_batch_start(
            self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
        ) -> None:
            if trainer.global_step == 3:
                next(iter(pl_module.parameters())).data.fill_(torch.nan)

    with pytest.raises(LossNotFiniteError, match=r"step 3 .*\n.*learning_rate") as caught:
        train(request(data_folder, tmp_path), callbacks=[Spoilt()])
    assert caught.value.failed
    assert (latest_unfinished(tmp_path, task_id="cannabis", tier="fast") / "unfinished" / "state.ckpt").is_file()


def test_a_teacher_is_asked_once(tmp_path: Path) -> None:
    """Its answers are kept, those it was not asked for too."""
    asked: list[int] = []

    def ask() -> dict[str, np.ndarray[Any, Any]]:
        asked.append(1)
        return {"kind": np.array([[0.25, 0.75], [np.nan, np.nan]], dtype=np.float32)}

    first, second = kept_answers(tmp_path, ask), kept_answers(tmp_path, ask)
    assert asked == [1]
    assert np.array_equal(first["kind"], second["kind"], equal_nan=True)


@given(
    count=st.integers(1, 60),
    size=st.integers(1, 9),
    epoch=st.integers(0, 4),
    done=st.integers(0, 5),
    seed=st.integers(0),
    share=st.floats(0.01, 1),
)
def test_an_order_goes_on_where_it_was(count: int, size: int, epoch: int, done: int, seed: int, share: float) -> None:
    """Whatever was seen of an epoch, the rest follows; no photo comes twice, and other epochs are whole."""

    def order(prepare: Callable[[BatchOrder], None] = lambda _: None) -> list[list[int]]:
        made = BatchOrder(count, batch_size=size, seed=seed, epoch_share=share)
        prepare(made)
        made.set_epoch(epoch)
        return list(made)

    whole = order()
    assert order(lambda made: made.resume_at(epoch, batches_done=done)) == whole[done:]
    assert order(lambda made: made.resume_at(epoch + 1, batches_done=done)) == whole
    seen = [photo for batch in whole for photo in batch]
    assert len(set(seen)) == len(seen)
    assert len(whole) == max(1, int(count * share) // size)


def test_each_epoch_draws_its_own_share() -> None:
    """A quarter an epoch: no photo is left out for ever, and none comes much more often than others."""
    made = BatchOrder(40, batch_size=5, seed=3, epoch_share=0.25)
    counts = np.zeros(40)
    for epoch in range(200):
        made.set_epoch(epoch)
        for batch in made:
            counts[batch] += 1
    assert counts.sum() == 200 * 10
    assert counts.min() > 25
    assert counts.max() < 75


def test_weights_draw_some_photos_more_often() -> None:
    """A photo of weight 3 comes three times as often as one of weight 1, and one of weight 0 never."""
    made = BatchOrder(3, batch_size=1, seed=5, weights=np.array([3.0, 1.0, 0.0]))
    counts = np.zeros(3)
    for epoch in range(800):
        made.set_epoch(epoch)
        for batch in made:
            counts[batch] += 1
    assert counts[2] == 0
    assert counts[0] / counts[1] == pytest.approx(3, rel=0.15)
