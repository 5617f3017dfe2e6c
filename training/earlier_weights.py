"""Begins with the weights of an earlier run of ours: what fits of its backbone is loaded, the rest starts anew."""

from pathlib import Path
from typing import NamedTuple

from safetensors.torch import load_file

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
        loaded: Tensors of the backbone that were loaded.
        anew: Tensors of the network that start anew, those of the heads among them.
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


def load_backbone(network: InspectionNetwork, folder: Path) -> LoadedWeights:
    """Loads those weights of the backbone whose names and shapes are the same; the rest of the network starts anew.

    Args:
        network: Changed in place.
        folder: A sealed run; its task and heads do not matter.

    Raises:
        NoCommonWeightsError: None fits.
    """
    own = network.state_dict()
    fitting = {
        name: weight
        for name, weight in load_file(folder / WEIGHTS_NAME).items()
        if name.startswith(_BACKBONE) and name in own and own[name].shape == weight.shape
    }
    if not fitting:
        earlier = read_checkpoint(folder).network.backbone
        raise NoCommonWeightsError(folder, earlier=earlier, wanted=network.section.backbone)
    network.load_state_dict(fitting, strict=False)
    return LoadedWeights(folder, len(fitting), len(own) - len(fitting))
