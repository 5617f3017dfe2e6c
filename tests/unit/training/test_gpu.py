"""Training on a GPU. Where there is one, the other suites of training run on it too; these here are skipped elsewhere.

That a killed run resumes to the same bits is shown in `test_resume`, there as here.
"""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from small_dataset import small_task, write_small_dataset

from training.asking import said_of
from training.checkpoint import load_network
from training.photo_data import PhotoSplit, open_splits
from training.recipe import StageSection
from training.report.answers import Answers, ask, batches_of
from training.run_request import RunRequest, RunResult
from training.task_file import TaskFile
from training.train import train

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")

PHOTOS = {"train": 128, "val_select": 32, "val_calib": 4, "val_test": 32}
STAGES = (StageSection(epochs=1, input_share=0.5), StageSection(epochs=2))


@pytest.fixture(scope="module")
def data_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small dataset on disk."""
    folder = tmp_path_factory.mktemp("dataset")
    write_small_dataset(folder, photos_a_split=PHOTOS)  # type: ignore[arg-type]
    return folder


def real_task() -> TaskFile:
    """A real backbone, compiled and in mixed precision, in two views."""
    task = small_task(size_px=128, feature_width=32, views=2)
    network = task.tiers["fast"].demo.model_copy(update={"backbone": "regnetx_002"})
    tier = task.tiers["fast"].model_copy(update={"demo": network})
    recipe = task.training.model_copy(update={"stages": STAGES, "mixed_precision": True, "compiled": True})
    return task.model_copy(update={"tiers": {"fast": tier}, "training": recipe})


def trained(data_folder: Path, runs: Path) -> RunResult:
    """Trains it."""
    asked = RunRequest(task=real_task(), tier="fast", variant="demo", data_folder=data_folder, runs_folder=runs, seed=1)
    return train(asked)


@pytest.fixture(scope="module")
def run(data_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    """A run on the GPU."""
    return trained(data_folder, tmp_path_factory.mktemp("runs"))


def test_the_same_seed_gives_the_same_weights(run: RunResult, data_folder: Path, tmp_path: Path) -> None:
    """Bit by bit, in bfloat16 and compiled."""
    assert run.checkpoint.precision == "bf16-mixed"
    again = trained(data_folder, tmp_path)
    one, other = (load_file(each.folder / "model.safetensors") for each in (run, again))
    assert one.keys() == other.keys()
    assert [name for name in one if not torch.equal(one[name], other[name])] == []


def asked(run: RunResult, photos: PhotoSplit) -> Answers:
    """Returns what the trained network says."""
    network = load_network(run.folder, real_task().to_domain())
    return ask(network, batches_of(photos.pixels), total=len(photos))


def test_a_gpu_says_what_the_cpu_says(run: RunResult, data_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A network that was measured on one is served on the other."""
    section, task = run.checkpoint.network, real_task().to_domain()
    splits = open_splits(data_folder, task, splits=["val_test"], size_px=section.input_size_px, framing=section.framing)
    here = asked(run, splits["val_test"])
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    there = asked(run, splits["val_test"])
    for head in task.heads:
        np.testing.assert_allclose(here.probabilities(head), there.probabilities(head), atol=1e-3)
    np.testing.assert_allclose(here.feature_distances, there.feature_distances, atol=1e-2)


def test_a_network_that_is_asked_no_further_is_back(run: RunResult) -> None:
    """On the CPU, also where one stops in the middle, or a batch is refused."""
    network = load_network(run.folder, real_task().to_domain())
    photos = torch.zeros(2, 128, 128, 3, dtype=torch.uint8)
    for _ in said_of(network, [photos, photos]):
        break
    assert {each.device.type for each in network.parameters()} == {"cpu"}
    with pytest.raises(RuntimeError):
        list(said_of(network, [photos[..., :2]]))
    assert {each.device.type for each in network.parameters()} == {"cpu"}
