"""Begins with the weights of an earlier run of ours: what fits is loaded, the rest starts anew."""

from pathlib import Path
from typing import NamedTuple

from safetensors.torch import load_file

from server.domain.task import Task
from training.checkpoint import WEIGHTS_NAME, latest_run, read_checkpoint
from training.errors import TrainingError
from training.model import InspectionNetwork

_BACKBONE = "backbone."


class NoCommonWeightsError(TrainingError):
    """An earlier run has no weight that fits the network."""

    def __init__(self, folder: Path, *, earlier: str, wanted: str) -> None:
        """Keeps both backbones."""
        super().__init__(
            f"No weight of {folder} ({earlier}) fits {wanted}.", cure="Start from a run of the same backbone."
        )
        self.folder = folder


class LoadedWeights(NamedTuple):
    """What was taken over.

    Attributes:
        folder: The earlier run.
        loaded: Tensors that were loaded.
        anew: Tensors of the network that start anew.
    """

    folder: Path
    loaded: int
    anew: int


def resolve_start(start_from: str, *, runs_folder: Path) -> Path:
    """Returns the folder of a run: as given, or the newest of `<task>/<tier>`.

    Raises:
        CheckpointMissingError: There is no finished run.
    """
    folder = Path(start_from)
    if not folder.is_dir() and len(folder.parts) == 2:  # noqa: PLR2004 -- task and tier
        folder = latest_run(runs_folder, task_id=folder.parts[0], tier=folder.parts[1])
    read_checkpoint(folder)
    return folder


def load_earlier(network: InspectionNetwork, folder: Path, task: Task) -> LoadedWeights:
    """Loads those weights whose names and shapes are the same; the rest of the network starts anew.

    Args:
        network: Changed in place.
        folder: A sealed run. Of one with other heads only the backbone is taken.
        task: What the network will answer.

    Raises:
        NoCommonWeightsError: No weight of the backbone fits.
    """
    own, earlier = network.state_dict(), read_checkpoint(folder)
    same = earlier.task_id == task.id and [(head.id, head.labels) for head in earlier.heads] == [
        (head.id, head.labels) for head in task.heads
    ]
    wanted = "" if same else _BACKBONE
    fitting = {
        name: weight
        for name, weight in load_file(folder / WEIGHTS_NAME).items()
        if name.startswith(wanted) and name in own and own[name].shape == weight.shape
    }
    # A counter has no shape, and fits everywhere.
    if not any(name.startswith(_BACKBONE) and weight.ndim for name, weight in fitting.items()):
        raise NoCommonWeightsError(folder, earlier=earlier.network.backbone, wanted=network.section.backbone)
    network.load_state_dict(fitting, strict=False)
    return LoadedWeights(folder, len(fitting), len(own) - len(fitting))
