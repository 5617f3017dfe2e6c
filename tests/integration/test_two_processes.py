"""Two processes train one network: those that Lightning forks, or torchrun's."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from small_dataset import write_small_dataset

from training.checkpoint import latest_run, read_checkpoint

PROGRAM = """
import sys
from pathlib import Path

from small_dataset import small_task
from training.train import RunRequest, train

if __name__ == "__main__":
    data, runs, devices = sys.argv[1:]
    task = small_task(epochs=2)
    own = {"warmup_share": 0.5, "devices": devices if devices == "auto" else int(devices)}
    task = task.model_copy(update={"training": task.training.model_copy(update=own)})
    train(RunRequest(task, "fast", "demo", Path(data), Path(runs), seed=1))
"""
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, repository_root: Path) -> dict[str, Path]:
    """Run folders by who made the processes."""
    folder = tmp_path_factory.mktemp("two")
    write_small_dataset(folder / "data", photos_a_split={"train": 96, "val_select": 16, "val_calib": 8, "val_test": 8})
    (folder / "program.py").write_text(PROGRAM, encoding="utf-8")
    paths = f"{repository_root}{os.pathsep}{repository_root / 'tests'}"
    ended = {}
    for name, launcher, devices in (("forked", (), "2"), ("torchrun", TORCHRUN, "auto")):
        command = [sys.executable, *launcher, str(folder / "program.py"), str(folder / "data"), str(folder / name)]
        told = subprocess.run(
            [*command, devices],
            env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert told.returncode == 0, told.stderr[-4000:]
        ended[name] = latest_run(folder / name, task_id="cannabis", tier="fast")
    return ended


def test_two_processes_seal_one_run(runs: dict[str, Path]) -> None:
    """One folder, whole and by itself, with an entry an epoch."""
    for run in runs.values():
        assert [each.name for each in run.parent.iterdir()] == [run.name]
        assert read_checkpoint(run).data.photo_counts["train"] == 96
        assert len(json.loads((run / "history.json").read_text())) == 2


def test_whoever_makes_the_processes_the_network_is_the_same(runs: dict[str, Path]) -> None:
    """Both halve an epoch's steps, and averaging begins after the same share of them."""
    forked, launched = (load_file(run / "model.safetensors") for run in runs.values())
    assert all(torch.equal(each, launched[name]) for name, each in forked.items())
