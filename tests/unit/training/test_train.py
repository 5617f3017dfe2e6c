"""A run, from a dataset to a sealed checkpoint, on a network that takes seconds."""

import json
import time
from dataclasses import replace
from pathlib import Path

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file, save_file
from small_dataset import SIZE_PX, small_task, write_small_dataset
from torch._dynamo.utils import counters

from server.domain.framing import Framing
from training import run_sealing
from training.checkpoint import (
    CheckpointMissingError,
    EarlierRun,
    StaleDensityError,
    latest_run,
    load_network,
    read_checkpoint,
)
from training.dataset import INDEX_NAME
from training.errors import OtherNetworkError
from training.evaluate import evaluate
from training.model import ServedNetwork
from training.photo_data import open_splits
from training.place_sampling import NoTargetPlacesError
from training.recipe import LossSection, StageSection, TierTrainingSection
from training.refit import refit
from training.split_errors import SplitLeakError
from training.teacher import ask_teacher
from training.train import RunRequest, RunResult, train

PHOTOS = {"train": 48, "val_select": 24, "val_calib": 8, "val_test": 8}


@pytest.fixture(scope="module")
def data_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small dataset on disk."""
    folder = tmp_path_factory.mktemp("dataset")
    write_small_dataset(folder, photos_a_split=PHOTOS)  # type: ignore[arg-type]
    return folder


def request(data_folder: Path, runs: Path, *, seed: int = 1, dry_run: bool = False) -> RunRequest:
    """Two epochs of the tiny network."""
    return RunRequest(
        task=small_task(epochs=2),
        tier="fast",
        variant="demo",
        data_folder=data_folder,
        runs_folder=runs,
        seed=seed,
        dry_run=dry_run,
        command="loupe-train train cannabis",
    )


@pytest.fixture(scope="module")
def finished(data_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    """A finished run."""
    return train(request(data_folder, tmp_path_factory.mktemp("runs")))


def test_a_checkpoint_vouches_for_its_files(finished: RunResult) -> None:
    """Best and last weights, program, history and lists are named by digest, and the loop had what it should."""
    assert set(finished.checkpoint.files) == {
        "history.json",
        "last.json",
        "last.safetensors",
        "model.safetensors",
        "program.pt2",
        "range_photos.jsonl",
        "val_calib.jsonl",
        "val_select.jsonl",
        "val_test.jsonl",
    }
    assert finished.checkpoint == read_checkpoint(finished.folder)
    assert {"MovingAverage", "PatienceAtServedSize", "BestAtServedSize"} <= set(finished.callbacks)
    assert finished.checkpoint.attention_grid == (2, 2)
    assert finished.checkpoint.precision == "32-true"
    assert not (finished.folder / "unfinished").exists()


def test_history_has_an_entry_an_epoch(finished: RunResult) -> None:
    """Every epoch says its metrics a head, and the checkpoint repeats those of the epoch that was kept."""
    history = json.loads((finished.folder / "history.json").read_text("utf-8"))
    assert [each["epoch"] for each in history] == [0, 1]
    assert {"train_loss", "val_loss", "val_product_type_mcc", "val_attributes_f1"} <= set(history[0])
    assert finished.checkpoint.metrics == min(history, key=lambda each: each["val_loss"])


def test_weights_and_program_answer_alike(data_folder: Path, finished: RunResult) -> None:
    """The network that is rebuilt from weights and the traced program are the same function."""
    task = small_task().to_domain()
    images = torch.from_numpy(
        np.array(open_splits(data_folder, task, size_px=SIZE_PX, framing=Framing.CENTRE)["val_test"].pixels[:5])
    )
    with torch.no_grad():
        rebuilt = ServedNetwork(load_network(finished.folder, task))(images)
        traced = torch.export.load(finished.folder / "program.pt2").module()(images)
    for each, other in zip(rebuilt, traced, strict=True):
        assert torch.allclose(each, other, atol=1e-4)


def test_saved_weights_are_the_averaged_ones_of_the_best_epoch(data_folder: Path, finished: RunResult) -> None:
    """Evaluating what was saved on val_select repeats the metrics that the loop saw there."""
    task = small_task().to_domain()
    split = open_splits(data_folder, task, size_px=SIZE_PX, framing=Framing.CENTRE)["val_select"]
    report = evaluate(load_network(finished.folder, task), split, task)[0]
    assert report.metrics["accuracy"] == pytest.approx(finished.checkpoint.metrics["val_product_type_accuracy"])
    assert report.best_accuracy == pytest.approx(0.9)


def test_the_same_seed_gives_the_same_weights(data_folder: Path, finished: RunResult, tmp_path: Path) -> None:
    """Twice the same seed: equal weights, bit by bit. Another seed: others."""
    first = load_file(finished.folder / "model.safetensors")
    again = load_file(train(request(data_folder, tmp_path / "again")).folder / "model.safetensors")
    other = load_file(train(request(data_folder, tmp_path / "other", seed=2)).folder / "model.safetensors")
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


def test_compiled_steps_train_the_same_network(data_folder: Path, finished: RunResult, tmp_path: Path) -> None:
    """Compiled, a run ends within rounding of where it ends uncompiled, and twice in the same weights."""
    graphs_before = counters["stats"]["unique_graphs"]
    task = small_task(epochs=2)
    compiled = task.model_copy(update={"training": task.training.model_copy(update={"compiled": True})})
    plain = load_file(finished.folder / "model.safetensors")
    ended = [
        load_file(train(replace(request(data_folder, tmp_path / each), task=compiled)).folder / "model.safetensors")
        for each in ("once", "again")
    ]
    assert counters["stats"]["unique_graphs"] > graphs_before
    assert all(torch.equal(each, ended[1][name]) for name, each in ended[0].items())
    spread = {name: float((each - plain[name]).abs().max()) for name, each in ended[0].items() if "heads" in name}
    assert max(spread.values()) < 0.05, spread


def test_without_a_compiler_steps_are_not_compiled(
    data_folder: Path, finished: RunResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine without a compiler trains all the same, uncompiled."""
    monkeypatch.setattr("shutil.which", lambda _: None)
    task = small_task(epochs=2)
    compiled = task.model_copy(update={"training": task.training.model_copy(update={"compiled": True})})
    graphs_before = counters["stats"]["unique_graphs"]
    ended = load_file(train(replace(request(data_folder, tmp_path), task=compiled)).folder / "model.safetensors")
    assert counters["stats"]["unique_graphs"] == graphs_before
    plain = load_file(finished.folder / "model.safetensors")
    assert all(torch.equal(each, ended[name]) for name, each in plain.items())


def test_photos_grow_and_only_the_served_size_is_judged(data_folder: Path, tmp_path: Path) -> None:
    """Early epochs see small photos; the epoch that is kept is one of the served size."""
    task = small_task(size_px=64)
    recipe = task.training.model_copy(
        update={"stages": (StageSection(epochs=2, input_share=0.5), StageSection(epochs=1))}
    )
    result = train(replace(request(data_folder, tmp_path), task=task.model_copy(update={"training": recipe})))
    assert recipe.sizes_px(64) == (32, 32, 64)
    assert result.checkpoint.metrics["epoch"] == 2


def test_the_stages_of_a_tier_are_checked_with_the_task_file() -> None:
    """And not when the trained network is read back."""
    with pytest.raises(ValidationError, match="served size"):
        TierTrainingSection.model_validate({"stages": [{"epochs": 1}, {"epochs": 1, "input_share": 0.5}]})


def test_the_last_epoch_may_be_kept(tmp_path: Path) -> None:
    """Who learns what is wrong gets worse on val_select: the best epoch is the first; who asks for the last gets it."""
    records = write_small_dataset(tmp_path, photos_a_split=PHOTOS)  # type: ignore[arg-type]
    kinds = small_task().head("product_type").labels
    for each in records:
        if each.split == "train":
            each.labels["product_type"] = kinds[(kinds.index(str(each.labels["product_type"])) + 1) % len(kinds)]
    index = "".join(f"{each.model_dump_json()}\n" for each in records)
    (tmp_path / INDEX_NAME).write_text(index, encoding="utf-8")
    alone = LossSection(head_weights={"product_type": 1.0, "quality_grade": 0.0, "attributes": 0.0}, logit_samples=2)
    task, kept = small_task(epochs=6), {}
    for which in ("best", "last"):
        recipe = task.training.model_copy(update={"kept_epoch": which, "loss": alone})
        asked = replace(request(tmp_path, tmp_path / which), learning_rate=0.01)
        kept[which] = train(replace(asked, task=task.model_copy(update={"training": recipe}))).checkpoint.metrics
    assert kept["best"]["epoch"] < kept["last"]["epoch"] == 5
    assert kept["best"]["val_loss"] < kept["last"]["val_loss"]


def test_a_pupil_learns_from_the_newest_run_of_its_teacher(data_folder: Path, tmp_path: Path) -> None:
    """The same seed gives other weights with a teacher than without; the checkpoint names the teacher by its content; a
    missing teacher is named with its cure.
    """
    alone = train(request(data_folder, tmp_path))
    task = small_task(epochs=2)
    recipe = task.training.model_copy(update={"teacher": "fast"})
    asked = replace(request(data_folder, tmp_path), task=task.model_copy(update={"training": recipe}))
    pupil = train(asked)
    first, second = (load_file(each.folder / "model.safetensors") for each in (alone, pupil))
    assert not all(torch.equal(first[name], second[name]) for name in first)
    assert alone.checkpoint.earlier == {}
    assert pupil.checkpoint.earlier == {"teacher": EarlierRun.of(alone.folder)}
    with pytest.raises(CheckpointMissingError, match="loupe-train train cannabis --tier fast"):
        train(replace(asked, runs_folder=tmp_path / "none"))


def test_a_teacher_answers_once_for_all_its_pupils(data_folder: Path, tmp_path: Path) -> None:
    """What it said of the photos is kept beside it, and read again by the next pupil; another teacher is asked."""
    teacher, task = train(request(data_folder, tmp_path)).folder, small_task().to_domain()

    def said(folder: Path) -> tuple[dict[str, np.ndarray], list[int]]:
        steps: list[int] = []
        told = ask_teacher(
            folder,
            task,
            data_folder=data_folder,
            split="train",
            limit=None,
            on_photo=lambda done, _: steps.append(done),
        )
        return told, steps

    first, asked = said(teacher)
    second, read = said(teacher)
    assert (len(asked), len(read)) == (3, 1)
    assert all(np.array_equal(each, second[head]) for head, each in first.items())
    other, asked = said(train(request(data_folder, tmp_path, seed=2)).folder)
    assert len(asked) == 3
    assert not all(np.array_equal(each, other[head]) for head, each in first.items())


class _Steps(pl.Callback):
    """Counts the optimiser's steps."""

    count = 0

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        """Keeps their number."""
        self.count = trainer.global_step


def test_a_tiers_epochs_may_see_a_part_of_the_photos(data_folder: Path, tmp_path: Path) -> None:
    """Half of 48 photos are 3 of 6 batches, in each of two epochs."""
    whole, half = _Steps(), _Steps()
    asked = request(data_folder, tmp_path)
    train(asked, callbacks=[whole])
    tier = asked.task.tier("fast").model_copy(update={"training": TierTrainingSection(epoch_share=0.5)})
    train(replace(asked, task=asked.task.model_copy(update={"tiers": {"fast": tier}})), callbacks=[half])
    assert (whole.count, half.count) == (12, 6)


def test_a_refit_changes_the_views_and_no_weight(data_folder: Path, tmp_path: Path) -> None:
    """A new sealed run has the same weights and answers in more views; another network is refused by what differs."""
    asked = request(data_folder, tmp_path)
    first = train(asked)
    tier = asked.task.tier("fast")

    def wanting(**changes: object) -> RunRequest:
        network = tier.demo.model_copy(update=changes)
        tiers = {"fast": tier.model_copy(update={"demo": network})}
        return replace(asked, task=asked.task.model_copy(update={"tiers": tiers}))

    second = refit(wanting(views=4))
    before, after = (load_file(each.folder / "model.safetensors") for each in (first, second))
    changed = [name for name in before if not torch.equal(before[name], after[name])]
    assert changed == ["density.class_means", "density.whitening"]
    assert second.checkpoint.network.views == 4
    photos = torch.from_numpy(
        np.array(
            open_splits(data_folder, asked.task.to_domain(), size_px=SIZE_PX, framing=Framing.CENTRE)[
                "val_test"
            ].pixels[:3]
        )
    )
    program = torch.export.load(second.folder / "program.pt2").module()
    upright, aslant = program(photos)[0], program(photos.rot90(1, dims=(1, 2)))[0]
    assert torch.allclose(upright, aslant, atol=1e-4)
    with pytest.raises(OtherNetworkError, match="head_width 8 in place of 16"):
        refit(wanting(head_width=16))


def test_a_network_in_several_views_is_asked_about_fewer_photos(
    data_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 48 training photos and 24 of val_select, four views of 5 each fill the 20 views that are allowed here."""
    monkeypatch.setattr(run_sealing, "_MOST_VIEWS", 20)
    monkeypatch.setattr(run_sealing, "fit_density", lambda *_: None)
    asked = request(data_folder, tmp_path)
    tier = asked.task.tier("fast")
    wanted = tier.model_copy(update={"demo": tier.demo.model_copy(update={"views": 4})})
    totals: list[int] = []
    train(
        replace(asked, task=asked.task.model_copy(update={"tiers": {"fast": wanted}})),
        on_photos=lambda done, total: totals.append(total) if done == total else None,
    )
    assert totals[-2:] == [5, 5]


def test_a_run_lasts_from_its_first_photo_to_its_seal(tmp_path: Path) -> None:
    """What is prepared before the loop and what is asked after it count as well, here two seconds each."""
    write_small_dataset(tmp_path, photos_a_split=PHOTOS)  # type: ignore[arg-type]
    slept: list[int] = []

    def slowly(done: int, total: int) -> None:
        if done == total:
            slept.append(total)
            time.sleep(2)

    started = time.monotonic()
    result = train(request(tmp_path, tmp_path), on_photos=slowly)
    took_s = time.monotonic() - started
    assert slept == [48, 24, 48]
    assert took_s - 2 < result.checkpoint.duration_s <= took_s


def test_a_density_of_an_earlier_version_is_fitted_anew(data_folder: Path, tmp_path: Path) -> None:
    """Its network cannot be evaluated, and the error says how to mend that; then it can."""
    asked = request(data_folder, tmp_path)
    folder, task = train(asked).folder, asked.task.to_domain()
    path = folder / "model.safetensors"
    weights = load_file(path)
    renamed = {("density.means" if "class_means" in name else name): each for name, each in weights.items()}
    narrower = weights | {"density.class_means": weights["density.class_means"][:, 1:].contiguous()}
    for stale in (renamed, narrower):
        save_file(stale, path)
        with pytest.raises(StaleDensityError, match=f"loupe-train refit {task.id} --tier fast"):
            load_network(folder, task)
    mended = load_network(refit(asked).folder, task).state_dict()
    assert all(torch.equal(mended[name], weight) for name, weight in weights.items() if "density" not in name)


def test_a_dataset_that_leaks_is_not_trained_on(tmp_path: Path) -> None:
    """Somebody moved a photo of a training specimen to the test photos: it is named, and no run begins."""
    records = write_small_dataset(tmp_path / "data", photos_a_split=PHOTOS)  # type: ignore[arg-type]
    moved = next(each for each in records if each.split == "train")
    lines = [each.model_copy(update={"split": "val_test"}) if each is moved else each for each in records]
    (tmp_path / "data" / INDEX_NAME).write_text("".join(f"{each.model_dump_json()}\n" for each in lines))
    with pytest.raises(SplitLeakError, match=moved.specimen):
        train(request(tmp_path / "data", tmp_path / "runs"))
    assert not (tmp_path / "runs").exists()


def test_places_count_only_where_targets_are_named(data_folder: Path, tmp_path: Path) -> None:
    """No run begins without them."""
    with pytest.raises(NoTargetPlacesError):
        train(replace(request(data_folder, tmp_path / "runs"), by_place=True))
    assert not (tmp_path / "runs").exists()


def test_a_dry_run_keeps_nothing(data_folder: Path, tmp_path: Path) -> None:
    """Everything runs once, and no run folder is left."""
    result = train(request(data_folder, tmp_path, dry_run=True))
    assert result.callbacks
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_is_missing_is_named_with_its_cure(tmp_path: Path) -> None:
    """Whoever evaluates before training is told what to type."""
    with pytest.raises(CheckpointMissingError, match="loupe-train train cannabis --tier fast"):
        latest_run(tmp_path, task_id="cannabis", tier="fast")
