"""The checkpoint: a folder that holds all that is needed to build engines from a trained network, and its origin.

Training and building meet here and nowhere else. `program.pt2` is the traced network, so that
a builder needs none of our model code; the held-out photos are listed, so that it needs none
of our dataset code. `checkpoint.json` is written last: a folder without it is no checkpoint.
"""

import json
import math
import platform
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import file_digest
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict
from safetensors.torch import load_file, save_file

from server.domain.task import Task
from training.dataset import INDEX_NAME, SUMMARY_NAME, DatasetSummary, PhotoRecord
from training.errors import TrainingError
from training.model import HeadShape, InspectionNetwork, ServedNetwork
from training.recipe import NetworkSection, TrainingSection, Variant
from training.task_file import HeadSection, Split

CHECKPOINT_NAME = "checkpoint.json"
WEIGHTS_NAME = "model.safetensors"
PROGRAM_NAME = "program.pt2"
HISTORY_NAME = "history.json"
LAST_WEIGHTS_NAME = "last.safetensors"
LAST_NAME = "last.json"
"""The last epoch beside the best one: its averaged weights before any density was fitted, and its metrics."""
HELD_OUT: tuple[Split, ...] = ("val_calib", "val_test")
"""The splits that training never looks at; their photos are listed for the builder."""
RANGE_PHOTOS_NAME = "range_photos.jsonl"
RANGE_PHOTOS = 256

_VERSIONED = ("lightning", "numpy", "peft", "pillow", "timm", "torch", "torchvision")
_EXPORT_BATCH = 2
_DENSITY = "density."


class CheckpointMissingError(TrainingError):
    """No finished run is there."""

    def __init__(self, folder: Path, *, command: str) -> None:
        """Keeps where it was looked for."""
        super().__init__(f"{folder} holds no finished run.", cure=f"Run: {command}")
        self.folder = folder


class StaleDensityError(TrainingError):
    """A checkpoint's feature density is over other features than networks of this version have."""

    def __init__(self, folder: Path, *, task_id: str, tier: str) -> None:
        """Keeps the checkpoint."""
        super().__init__(
            f"The feature density of {folder} is over features that networks no longer describe photos by.",
            cure=f"Fit it anew, all other weights stay: loupe-train refit {task_id} --tier {tier}",
        )
        self.folder = folder


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DataProvenance(_Part):
    """Which data trained it.

    Attributes:
        folder: The dataset's folder, as given on the command line.
        index_sha256: Of the dataset's index, which holds every photo's SHA-256.
        photo_counts: By split.
        command: Makes the dataset again; None if it is not rendered.
    """

    folder: str
    index_sha256: str
    photo_counts: dict[str, int]
    command: str | None


class EarlierRun(_Part):
    """A finished run that another one learnt from.

    Attributes:
        folder: Where it lay.
        checkpoint_sha256: Of its `checkpoint.json`, which vouches for its weights.
    """

    folder: str
    checkpoint_sha256: str

    @classmethod
    def of(cls, folder: Path) -> "EarlierRun":
        """Names a sealed run by its content."""
        return cls(folder=str(folder), checkpoint_sha256=file_sha256(folder / CHECKPOINT_NAME))


class Checkpoint(_Part):
    """What `checkpoint.json` holds.

    Attributes:
        schema_version: 1.
        task_id: The task.
        task_title: What people read.
        heads: In the order of the outputs.
        decision_heads: Ids of heads.
        least_accuracies: By category head id, what a release must reach on val_test.
        least_mccs: The same of Matthews correlations.
        tier: The tier that this is for.
        variant: `demo` or `production`.
        network: The architecture.
        training: The recipe.
        attention_grid: Rows and columns of the attention map.
        metrics: On val_select, of the epoch that was kept.
        data: Which data trained it.
        files: By name, the SHA-256 of every other file of the folder that it vouches for.
        versions: Of the libraries that had a part in it.
        git_commit: The commit of the checkout; with `-dirty` if something was changed; None outside of one.
        command: Trains it again.
        created_utc: ISO 8601.
        duration_s: Of the whole run, in seconds: photos prepared, a teacher asked, the loop, and what comes after it.
        trained_share: Of the network's weights, how many were trained, those of adapters counted too; None if unknown.
        precision: In which it was trained, as Lightning names it: `bf16-mixed` only if the recipe asks for mixed
            precision and the machine gains by it, else `32-true`; None if unknown.
        earlier: By the recipe's field that asks for it, `start_from` or `teacher`, the run that had a part in it.
    """

    schema_version: int = 1
    task_id: str
    task_title: str
    heads: tuple[HeadSection, ...]
    decision_heads: tuple[str, ...]
    least_accuracies: dict[str, float]
    least_mccs: dict[str, float] = {}
    tier: str
    variant: Variant
    network: NetworkSection
    training: TrainingSection
    attention_grid: tuple[int, int]
    metrics: dict[str, float]
    data: DataProvenance
    files: dict[str, str]
    versions: dict[str, str]
    git_commit: str | None
    command: str
    created_utc: str
    duration_s: float
    trained_share: float | None = None
    precision: str | None = None
    earlier: dict[str, EarlierRun] = {}


def save_program(network: InspectionNetwork, path: Path) -> tuple[int, int]:
    """Traces the served network for any batch size and writes it; returns rows and columns of its attention map."""
    served = ServedNetwork(network).eval().to(memory_format=torch.contiguous_format)
    size = network.section.input_size_px
    image = torch.zeros(_EXPORT_BATCH, size, size, 3, dtype=torch.uint8)
    with torch.no_grad():
        *_, attention = served(image)
        program = torch.export.export(served, (image,), dynamic_shapes={"image": {0: torch.export.Dim.DYNAMIC}})
    torch.export.save(program, path)
    return attention.shape[1], attention.shape[2]


def save_weights(network: InspectionNetwork, path: Path) -> None:
    """Writes the weights as safetensors."""
    save_file({name: value.contiguous() for name, value in network.state_dict().items()}, path)


def save_last_weights(network: InspectionNetwork, folder: Path, *, metrics: Mapping[str, float]) -> None:
    """Writes the weights of the last epoch and its metrics."""
    save_weights(network, folder / LAST_WEIGHTS_NAME)
    told = {"weights": LAST_WEIGHTS_NAME, "metrics": dict(metrics)}
    (folder / LAST_NAME).write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")


def write_photo_lists(folder: Path, records: Mapping[Split, tuple[PhotoRecord, ...]]) -> None:
    """Lists the photos that a builder needs, one JSON object a line.

    Those of the three validation splits with path, SHA-256, group, labels and, if known, posteriors; and some of those
    that were trained on, for the ranges of numbers in an engine.
    """
    for split in ("val_select", *HELD_OUT):
        lines = (
            json.dumps(
                {
                    "photo": each.photo,
                    "sha256": each.sha256,
                    "group": each.specimen,
                    "labels": each.labels,
                    "posteriors": {
                        head: [round(chance, 6) for chance in table] for head, table in each.posteriors.items()
                    }
                    or None,
                }
            )
            for each in records[split]
        )
        (folder / f"{split}.jsonl").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    trained_on = records["train"]
    some = [trained_on[place] for place in range(0, len(trained_on), max(1, len(trained_on) // RANGE_PHOTOS))]
    lines = (json.dumps({"photo": each.photo, "sha256": each.sha256}) for each in some[:RANGE_PHOTOS])
    (folder / RANGE_PHOTOS_NAME).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def seal(folder: Path, facts: Mapping[str, Any]) -> Checkpoint:
    """Writes `checkpoint.json` over all files of the folder.

    Args:
        folder: Holds the other files already.
        facts: The fields of `Checkpoint` that this function does not find out by itself.
    """
    checkpoint = Checkpoint.model_validate(
        {
            **facts,
            "files": {each.name: file_sha256(each) for each in sorted(folder.iterdir()) if each.is_file()},
            "versions": {"python": platform.python_version(), **{each: version(each) for each in _VERSIONED}},
            "git_commit": git_commit(),
            "created_utc": datetime.now(UTC).isoformat(timespec="seconds"),
        }
    )
    aside = folder / f".{CHECKPOINT_NAME}"
    aside.write_text(checkpoint.model_dump_json(indent=2) + "\n", encoding="utf-8")
    aside.rename(folder / CHECKPOINT_NAME)
    return checkpoint


def read_checkpoint(folder: Path) -> Checkpoint:
    """Reads what `seal` wrote.

    Raises:
        CheckpointMissingError: The folder is no checkpoint.
    """
    path = folder / CHECKPOINT_NAME
    if not path.is_file():
        raise CheckpointMissingError(folder, command="loupe-train train")
    return Checkpoint.model_validate_json(path.read_text(encoding="utf-8"))


def latest_run(runs: Path, *, task_id: str, tier: str) -> Path:
    """Returns the newest finished run of a tier.

    Raises:
        CheckpointMissingError: There is none.
    """
    folder = runs / task_id / tier
    finished = sorted(each.parent for each in folder.glob(f"*/{CHECKPOINT_NAME}"))
    if not finished:
        raise CheckpointMissingError(folder, command=f"loupe-train train {task_id} --tier {tier}")
    return finished[-1]


def build_network(section: NetworkSection, task: Task) -> InspectionNetwork:
    """Returns a fresh network for a task, laid out in memory as CPUs and GPUs like it best."""
    shapes = [HeadShape(head.id, len(head.labels)) for head in task.heads]
    class_count = math.prod(len(task.head(each).labels) for each in task.decision_heads)
    network = InspectionNetwork(section, shapes, density_class_count=class_count)
    return network.to(memory_format=torch.channels_last)


def load_network(folder: Path, task: Task, *, with_density: bool = True) -> InspectionNetwork:
    """Builds the network of a checkpoint, with its weights, ready to evaluate.

    Args:
        folder: The checkpoint.
        task: The taxonomy that it was trained for.
        with_density: Also takes its feature density; without, it is still to be fitted.

    Raises:
        StaleDensityError: The density was fitted on features that networks of this version do not have.
    """
    checkpoint, weights = read_checkpoint(folder), load_file(folder / WEIGHTS_NAME)
    network = build_network(checkpoint.network.model_copy(update={"pretrained": False}), task)
    fresh = {name: value for name, value in network.state_dict().items() if name.startswith(_DENSITY)}
    if not with_density:
        weights = {name: value for name, value in weights.items() if not name.startswith(_DENSITY)} | fresh
    elif any(name not in weights or weights[name].shape != value.shape for name, value in fresh.items()):
        raise StaleDensityError(folder, task_id=checkpoint.task_id, tier=checkpoint.tier)
    network.load_state_dict(weights)
    return network.eval()


def describe_data(folder: Path, records: Mapping[Split, tuple[PhotoRecord, ...]]) -> DataProvenance:
    """Says which data a dataset's folder holds."""
    summary = folder / SUMMARY_NAME
    command = DatasetSummary.model_validate_json(summary.read_text("utf-8")).command if summary.is_file() else None
    return DataProvenance(
        folder=str(folder),
        index_sha256=file_sha256(folder / INDEX_NAME),
        photo_counts={split: len(part) for split, part in records.items()},
        command=command,
    )


def file_sha256(path: Path) -> str:
    """Returns the SHA-256 of a file, 64 hexadecimal digits."""
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def git_commit() -> str | None:
    """Returns the checkout's commit, `-dirty` if a tracked file is changed; None outside of a checkout."""
    here = Path(__file__).parent
    found = subprocess.run(["git", "rev-parse", "HEAD"], cwd=here, capture_output=True, text=True, check=False)
    if found.returncode != 0:
        return None
    changed = subprocess.run(
        ["git", "status", "--porcelain", "--untracked-files=no"], cwd=here, capture_output=True, text=True, check=False
    )
    return found.stdout.strip() + ("-dirty" if changed.stdout.strip() else "")
