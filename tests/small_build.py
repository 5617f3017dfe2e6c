"""A trained, exported and compiled tiny network, and outputs that it gave without Triton."""

from pathlib import Path

import numpy as np
from small_dataset import SIZE_PX, small_task, write_small_dataset

from build_engines.checkpoint import HeldOutPhotos, open_checkpoint
from build_engines.compile import CompiledEngine
from build_engines.parity import load_images, onnx_runner
from build_engines.plan import TierPlan
from build_engines.served_outputs import ServedOutputs
from server.domain.framing import Framing
from training.recipe import Views
from training.train import RunRequest, train


def small_plan(folder: Path, *, held_out: int = 420) -> TierPlan:
    """Trains the tiny network and plans its release 1; everything lies in the folder."""
    counts = {"train": 48, "val_select": 16, "val_calib": held_out, "val_test": held_out}
    write_small_dataset(folder / "data", photos_a_split=counts)  # type: ignore[arg-type]
    return trained_plan(folder, "fast", size_px=SIZE_PX)


def trained_plan(
    folder: Path, tier: str, *, size_px: int, framing: Framing = Framing.CENTRE, views: Views = 1
) -> TierPlan:
    """Trains the tiny network as some tier, on the dataset that is there."""
    task = small_task(epochs=2, size_px=size_px, framing=framing, views=views)
    request = RunRequest(
        task=task.model_copy(update={"tiers": {tier: task.tier("fast")}}),
        tier=tier,
        variant="demo",
        data_folder=folder / "data",
        runs_folder=folder / "runs",
        command=f"loupe-train train cannabis --tier {tier}",
    )
    return plan_of(train(request).folder, folder)


def plan_of(checkpoint: Path, folder: Path) -> TierPlan:
    """Plans release 1 of a checkpoint."""
    opened = open_checkpoint(checkpoint)
    return TierPlan(opened, 1, folder / "work" / opened.file.tier, folder / "model_repository")


def outputs_without_triton(plan: TierPlan, engine: CompiledEngine, photos: HeldOutPhotos) -> ServedOutputs:
    """What the engine says, taken from onnxruntime directly."""
    network = plan.checkpoint.file.network
    images = load_images(photos.paths, size_px=network.input_size_px, framing=network.framing)
    outputs = onnx_runner(engine.path)(images)
    uncertainty = np.asarray(outputs["uncertainty"])
    logits = {head: np.asarray(outputs[head]) for head in plan.checkpoint.task.head_ids}
    return ServedOutputs(engine.sha256, photos.sha256, logits, uncertainty[:, 0], uncertainty[:, 1])
