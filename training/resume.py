"""Resuming: what an unfinished run keeps in `unfinished/` of its folder, so that a killed run loses minutes.

`run.json` says what was asked for; `state.ckpt` is Lightning's own state (weights, averaged weights, optimiser,
schedule, callbacks) with the random generators and the place in the epoch; `taught.safetensors` are a teacher's
answers; `best/` holds the best epoch so far. All are written aside and renamed. The folder is removed when the run
is sealed: a run that has it and no `checkpoint.json` can be resumed.
"""

# ruff: noqa: ARG002 -- signatures are Lightning's

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
import torch.distributed
from lightning.fabric.utilities.seed import _collect_rng_states, _set_rng_states
from lightning.pytorch.callbacks import Checkpoint as CheckpointCallback
from pydantic import BaseModel, ConfigDict
from safetensors.numpy import load_file, save_file

from training.batch_order import BatchOrder
from training.checkpoint import CHECKPOINT_NAME, EarlierRun
from training.errors import TrainingError
from training.photo_data import Chances
from training.recipe import NetworkSection, StageSection, TrainingSection, Variant

UNFINISHED_FOLDER = "unfinished"
STATE_NAME = "state.ckpt"
BEST_FOLDER = "best"
_RUN_NAME = "run.json"
_TAUGHT_NAME = "taught.safetensors"
_KEY = "resume_point"

Clock = Callable[[], float]
"""Returns seconds since some fixed moment."""


class NothingToResumeError(TrainingError):
    """No unfinished run is there."""

    def __init__(self, folder: Path, *, task_id: str, tier: str) -> None:
        """Keeps where it was looked for."""
        super().__init__(
            f"{folder} holds no unfinished run.", cure=f"Begin one: loupe-train train {task_id} --tier {tier}"
        )
        self.folder = folder


class OtherRunError(TrainingError):
    """An unfinished run was begun with other data, another recipe or another network than there are now."""

    def __init__(self, folder: Path, *, differences: tuple[str, ...]) -> None:
        """Names what differs."""
        super().__init__(
            f"{folder} was begun with another {', '.join(differences)}.",
            cure="Put the task file and the data back as they were, or begin a new run without --resume.",
        )
        self.folder = folder
        self.differences = differences


class RunRecord(BaseModel):
    """What an unfinished run was asked for.

    Attributes:
        task_id: The task.
        tier: Its tier.
        variant: `demo` or `production`.
        seed: What replaced the recipe's seed, if anything.
        stages: What replaced the recipe's, if anything.
        learning_rate: What replaced the recipe's, if anything.
        by_place: What replaced the recipe's choice whether places count, if anything.
        recipe: With all that was replaced.
        network: The architecture.
        index_sha256: Of the dataset's index.
        command: What the user typed.
        earlier: The runs that it begins from or is taught by, as they were when it began; see `Checkpoint.earlier`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    task_id: str
    tier: str
    variant: Variant
    seed: int | None
    stages: tuple[StageSection, ...] | None = None
    learning_rate: float | None = None
    by_place: bool | None = None
    recipe: TrainingSection
    network: NetworkSection
    index_sha256: str
    command: str
    earlier: dict[str, EarlierRun] = {}

    def differences(self, other: "RunRecord") -> tuple[str, ...]:
        """Returns the names of the fields that decide weights and are not the same."""
        deciding = ("task_id", "tier", "variant", "recipe", "network", "index_sha256")
        return tuple(name for name in deciding if getattr(self, name) != getattr(other, name))


def begin_run(folder: Path, record: RunRecord) -> Path:
    """Marks a run's folder as unfinished; returns the folder of what is kept until it is sealed."""
    unfinished = folder / UNFINISHED_FOLDER
    unfinished.mkdir(parents=True)
    aside = unfinished / f".{_RUN_NAME}"
    aside.write_text(record.model_dump_json(indent=2) + "\n", encoding="utf-8")
    aside.rename(unfinished / _RUN_NAME)
    return unfinished


def read_unfinished(folder: Path, *, task_id: str, tier: str) -> RunRecord:
    """Returns what an unfinished run was asked for.

    Raises:
        NothingToResumeError: The folder holds none.
    """
    path = folder / UNFINISHED_FOLDER / _RUN_NAME
    if not path.is_file() or (folder / CHECKPOINT_NAME).is_file():
        raise NothingToResumeError(folder, task_id=task_id, tier=tier)
    return RunRecord.model_validate_json(path.read_text("utf-8"))


def latest_unfinished(runs: Path, *, task_id: str, tier: str) -> Path:
    """Returns the newest unfinished run of a tier.

    Raises:
        NothingToResumeError: There is none.
    """
    folder = runs / task_id / tier
    begun = sorted(each.parent.parent for each in folder.glob(f"*/{UNFINISHED_FOLDER}/{_RUN_NAME}"))
    unfinished = [each for each in begun if not (each / CHECKPOINT_NAME).is_file()]
    if not unfinished:
        raise NothingToResumeError(folder, task_id=task_id, tier=tier)
    return unfinished[-1]


def read_state(unfinished: Path) -> dict[str, Any]:
    """Returns the last state that `ResumePoint` wrote, on the CPU."""
    state: dict[str, Any] = torch.load(unfinished / STATE_NAME, weights_only=False, map_location="cpu")
    return state


def spent_s(state: Mapping[str, Any]) -> float:
    """Returns the seconds of a run up to a state, those of processes that were killed included."""
    spent: float = state[_KEY]["spent_s"]
    return spent


def kept_answers(unfinished: Path, ask: Callable[[], Chances]) -> Chances:
    """Returns a teacher's answers: asked for once, then kept for a run that resumes."""
    path = unfinished / _TAUGHT_NAME
    if not path.is_file():
        aside = unfinished / f".{_TAUGHT_NAME}"
        save_file(ask(), aside)
        aside.rename(path)
    chances: Chances = load_file(path)
    return chances


class ResumePoint(CheckpointCallback):
    """Writes the whole state at the end of every epoch and now and then inside; puts it back when a run resumes.

    It comes after every other callback: Lightning calls those that write checkpoints last, in their order.
    """

    def __init__(
        self,
        unfinished: Path,
        order: BatchOrder,
        *,
        every_minutes: float,
        every_steps: int | None = None,
        began_s: float,
        clock: Clock = time.monotonic,
    ) -> None:
        """Keeps where and how often.

        Args:
            unfinished: The folder that `begin_run` made.
            order: Is told where to go on.
            every_minutes: Between two states inside an epoch.
            every_steps: Also after so many steps of an epoch, if not None.
            began_s: When the run began, by the clock: before its photos were prepared.
            clock: Tells the time.
        """
        self.path = unfinished / STATE_NAME
        self._order = order
        self._every_minutes = every_minutes
        self._every_steps = every_steps
        self._clock = clock
        self._saved = clock()
        self._began_s = began_s
        self._earlier_s = 0.0
        self._place = (0, 0)
        self._random_states: dict[str, Any] | None = None

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Saves inside an epoch if it is time; the last batch leaves it to the epoch's end."""
        done = batch_idx + 1
        is_due = self._clock() - self._saved >= 60 * self._every_minutes
        if self._every_steps is not None:
            is_due |= done % self._every_steps == 0
        if trainer.strategy.broadcast(is_due) and done < trainer.num_training_batches:
            self._save(trainer, (trainer.current_epoch, done))

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Saves: the next epoch is where to go on."""
        self._save(trainer, (trainer.current_epoch + 1, 0))

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Puts the random generators back, now that nothing but the next batch draws from them."""
        if self._random_states is not None:
            _set_rng_states(self._random_states)
            self._random_states = None

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Adds what Lightning does not keep."""
        checkpoint[_KEY] = {
            "place": self._place,
            "random_states": _of_all_processes(_collect_rng_states()),
            "is_stopped": trainer.should_stop,
            "spent_s": self._earlier_s + self._clock() - self._began_s,
        }

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Reads it back."""
        kept = checkpoint[_KEY]
        epoch, done = kept["place"]
        self._order.resume_at(epoch, batches_done=done)
        self._random_states = kept["random_states"][trainer.global_rank]
        self._earlier_s = kept["spent_s"]
        # A run that had stopped early, and was killed before it was sealed, trains no further.
        trainer.should_stop = kept["is_stopped"]

    def _save(self, trainer: pl.Trainer, place: tuple[int, int]) -> None:
        self._place = place
        aside = self.path.with_name(f".{STATE_NAME}")
        trainer.save_checkpoint(aside, weights_only=False)
        if trainer.is_global_zero:
            aside.replace(self.path)
        self._saved = self._clock()


def _of_all_processes(states: dict[str, Any]) -> list[dict[str, Any]]:
    """Returns the states of every process, in order of rank."""
    if not torch.distributed.is_initialized():
        return [states]
    gathered: list[dict[str, Any]] = [{}] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(gathered, states)
    return gathered
