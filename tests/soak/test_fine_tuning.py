"""Adapters in earnest: a ViT that knows surfaces in good light learns those of a dark and blurred camera.

Nothing is downloaded: the first weights are trained here, from nothing, on photos that are drawn here. That takes a ViT
whose first layers are convolutions (Xiao et al., "Early convolutions help transformers see better", 2021): one that
begins with patches learns next to nothing from a few thousand photos.
"""

from pathlib import Path

import pytest
from rich.console import Console
from rich.table import Table
from small_dataset import with_rendering

from server.domain.framing import Framing
from training.checkpoint import load_network
from training.evaluate import evaluate
from training.photo_data import open_splits
from training.recipe import FineTuningMethod, FineTuningSection, NetworkSection, StageSection, TierSection
from training.render import render_dataset
from training.task_file import TaskFile, load_task_file
from training.train import RunRequest, RunResult, train

pytestmark = [pytest.mark.soak, pytest.mark.timeout(5400)]

ADAPTERS: tuple[FineTuningMethod, ...] = ("adalora", "vera", "ia3")
MOST_SHARE = 0.05
LEAST_OF_FULL = 0.95

SIZE_PX = 96
FIRST_SPECIMENS, LATER_SPECIMENS = 3000, 1600
FIRST_EPOCHS, LATER_EPOCHS = 8, 5
FIRST_RATE = 1e-3
LEARNING_RATES = {"full": (2e-4, 6e-4), "frozen_backbone": (2e-3,), "adalora": (2e-3,), "vera": (5e-3,), "ia3": (5e-3,)}
"""What few new weights learn by is more than what all of them bear. Of the two rates of `full` the better one counts:
who is to be reached has the choice."""
HEAD = "condition"

DARK = {
    "exposure_ev": (-2.2, -1.2),
    "temperature": 0.3,
    "blur_probability": 0.9,
    "blur_px": (1.2, 2.4),
    "noise_levels": (6.0, 10.0),
}


def vit_task(*, specimens: int, **bench: object) -> TaskFile:
    """Returns the surface_defect task with a small ViT, and few specimens, perhaps seen by another camera."""
    whole = load_task_file("surface_defect")
    parameters = whole.rendering.parameters
    camera = parameters.bench  # type: ignore[attr-defined]
    seen = type(camera).model_validate({**camera.model_dump(), **bench})
    drawn = with_rendering(
        whole,
        specimen_count=specimens,
        proof_specimen_count=0,
        parameters=parameters.model_copy(update={"bench": seen}),
    )
    vit = NetworkSection(backbone="vit_tiny_r_s16_p8_224", input_size_px=SIZE_PX, feature_width=128, head_width=64)
    recipe = whole.training.model_copy(
        update={"batch_size": 32, "mixed_precision": True, "compiled": False, "teacher": None, "start_from": None}
    )
    return drawn.model_copy(update={"tiers": {"fast": TierSection(demo=vit, production=vit)}, "training": recipe})


def trained(
    task: TaskFile, folder: Path, method: FineTuningMethod, *, epochs: int, rate: float, start: Path | None = None
) -> RunResult:
    """Trains one run on the photos that lie in the folder."""
    recipe = task.training.model_copy(
        update={
            "stages": (StageSection(epochs=epochs),),
            "learning_rate": rate,
            "fine_tuning": FineTuningSection(method=method),
            "start_from": None if start is None else str(start),
        }
    )
    return train(
        RunRequest(
            task.model_copy(update={"training": recipe}),
            "fast",
            "demo",
            data_folder=folder / "data",
            runs_folder=folder / "runs" / method,
            seed=42,
        )
    )


def accuracy(task: TaskFile, data: Path, run: Path) -> float:
    """Returns the share of val_test whose condition a run knows."""
    taxonomy = task.to_domain()
    split = open_splits(data, taxonomy, splits=["val_test"], size_px=SIZE_PX, framing=Framing.CENTRE)["val_test"]
    reports = evaluate(load_network(run, taxonomy), split, taxonomy)
    return next(each.metrics["accuracy"] for each in reports if each.head == HEAD)


def test_adapters_keep_the_score_of_full_fine_tuning(tmp_path: Path) -> None:
    """Each trains at most a twentieth of the weights, and reaches 95 % of the accuracy of training all of them."""
    first, later = vit_task(specimens=FIRST_SPECIMENS), vit_task(specimens=LATER_SPECIMENS, **DARK)
    for name, task in (("first", first), ("later", later)):
        render_dataset(task, folder=tmp_path / name / "data", workers=2)
    known = trained(first, tmp_path / "first", "full", epochs=FIRST_EPOCHS, rate=FIRST_RATE)
    data = tmp_path / "later" / "data"
    untouched = accuracy(later, data, known.folder)
    table = Table("trained", "of the weights", f"accuracy of {HEAD}", "of full", title="A dark and blurred camera")
    at_home = accuracy(first, tmp_path / "first" / "data", known.folder)
    table.add_row("before, in good light", "", f"{at_home:.1%}", "")
    table.add_row("before", "0 %", f"{untouched:.1%}", "")
    found: dict[str, tuple[float, float]] = {}
    methods: tuple[FineTuningMethod, ...] = ("full", "frozen_backbone", *ADAPTERS)
    for method in methods:
        runs = [
            trained(later, tmp_path / "later", method, epochs=LATER_EPOCHS, rate=rate, start=known.folder)
            for rate in LEARNING_RATES[method]
        ]
        share = runs[0].checkpoint.trained_share if runs[0].checkpoint.trained_share is not None else 1.0
        found[method] = share, max(accuracy(later, data, run.folder) for run in runs)
        table.add_row(method, f"{share:.1%}", f"{found[method][1]:.1%}", f"{found[method][1] / found['full'][1]:.3f}")
    Console(width=100).print(table)
    full = found["full"][1]
    assert full > untouched + 0.05, "there is nothing to be learnt: the test says nothing"
    for method in ADAPTERS:
        share, reached = found[method]
        assert share <= MOST_SHARE
        assert reached >= LEAST_OF_FULL * full
