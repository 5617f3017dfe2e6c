"""Several processes that train one network: under torchrun each is a program of its own, and one of them leads.

The leader alone makes folders, prepares photos and seals; the others wait and find it done.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from training.errors import TrainingError
from training.recipe import TrainingSection


class ThawingDevicesError(TrainingError):
    """A backbone is to be thawed in a run on several devices, which share only what is trained from the start."""

    def __init__(self, *, devices: int) -> None:
        """Keeps how many there are."""
        super().__init__(
            f"fine_tuning.unfreeze_after_epochs does not work on {devices} devices.",
            cure="Set devices = 1; or train with frozen_backbone, then once more with start_from and method = full.",
        )
        self.devices = devices


def mixes_precision(recipe: TrainingSection) -> bool:
    """Returns whether the recipe's mixed precision is used here.

    A CPU without a unit that multiplies matrices of bfloat16 (AMX) loses more by converting than it gains.

    Args:
        recipe: Asks for it, or not.
    """
    if not recipe.mixed_precision:
        return False
    return torch.cuda.is_available() or bool(torch.cpu.get_capabilities().get("amx_bf16"))


def join_processes() -> None:
    """Makes torchrun's processes know each other; without torchrun there is only this one."""
    if not dist.is_torchelastic_launched() or dist.is_initialized():
        return
    if torch.cuda.is_available():
        torch.cuda.set_device(dist.get_node_local_rank())
    dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")


def is_leader() -> bool:
    """Returns whether this process is the first, or the only one."""
    return not dist.is_initialized() or dist.get_rank() == 0


def agreed_folder(folder: Path | None) -> Path:
    """Returns the leader's folder to every process.

    Args:
        folder: What the leader chose; None in the others.
    """
    chosen = [folder]
    if dist.is_initialized():
        dist.broadcast_object_list(chosen)
    if chosen[0] is None:
        raise ValueError("the leader chose no folder")
    return chosen[0]


@contextmanager
def leader_first() -> Iterator[None]:
    """Lets the leader go through a block before the others do."""
    if dist.is_initialized() and not is_leader():
        dist.barrier()
    yield
    if dist.is_initialized() and is_leader():
        dist.barrier()


def process_count(recipe: TrainingSection) -> int:
    """Returns how many processes will train, which share an epoch's batches; those that are forked are yet to come."""
    if dist.is_initialized():
        return dist.get_world_size()
    return 1 if recipe.devices == "auto" else recipe.devices


def trainer_devices(recipe: TrainingSection) -> dict[str, Any]:
    """Returns what Lightning is told of devices: one, as many as the recipe says, or torchrun's."""
    if dist.is_torchelastic_launched():
        local = max(1, dist.get_world_size() // _node_count())
        return {"devices": local, "num_nodes": _node_count(), "strategy": recipe.strategy}
    count = 1 if recipe.devices == "auto" else recipe.devices
    # Forked processes share the memory-mapped photos, and leave this one to seal the run.
    strategy = "ddp_fork" if count > 1 and recipe.strategy == "auto" else recipe.strategy
    return {"devices": count, "strategy": strategy}


def _node_count() -> int:
    """Returns over how many machines torchrun's processes are spread."""
    names: list[int] = [0] * dist.get_world_size()
    dist.all_gather_object(names, dist.get_node_local_rank())
    return names.count(0)
