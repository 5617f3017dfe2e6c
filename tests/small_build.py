"""A trained, exported and compiled tiny network, and outputs that it gave without Triton."""

from pathlib import Path

import numpy as np
from small_dataset import small_task, write_small_dataset

from build_engines.checkpoint import HeldOutPhotos, open_checkpoint
from build_engines.compile import CompiledEngine
from build_engines.parity import load_images, onnx_runner
from build_engines.plan import BuildPlan
from build_engines.served_outputs import ServedOutputs
from training.train import RunRequest, train


def small_plan(folder: Path, *, held_out: int = 420) -> BuildPlan:
    """Trains the tiny network and plans its release 1; everything lies in the folder."""
    counts = {"train": 48, "val_select": 16, "val_calib": held_out, "val_test": held_out}
    write_small_dataset(folder / "data", photos_a_split=counts)  # type: ignore[arg-type]
    request = RunRequest(
        task=small_task(epochs=2),
        tier="fast",
        variant="demo",
        data_folder=folder / "data",
        runs_folder=folder / "runs",
        command="loupe-train train cannabis",
    )
    return plan_of(train(request).folder, folder)


def plan_of(checkpoint: Path, folder: Path) -> BuildPlan:
    """Plans release 1 of a checkpoint."""
    return BuildPlan(open_checkpoint(checkpoint), 1, folder / "work", folder / "model_repository")


def outputs_without_triton(plan: BuildPlan, engine: CompiledEngine, photos: HeldOutPhotos) -> ServedOutputs:
    """What the engine says, taken from onnxruntime directly."""
    images = load_images(photos.paths, size_px=plan.checkpoint.file.network.input_size_px)
    outputs = onnx_runner(engine.path)(images)
    uncertainty = np.asarray(outputs["uncertainty"])
    logits = {head: np.asarray(outputs[head]) for head in plan.checkpoint.task.head_ids}
    return ServedOutputs(engine.sha256, photos.sha256, logits, uncertainty[:, 0], uncertainty[:, 1])
