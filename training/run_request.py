"""What a run is asked for, and what it leaves behind."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from training.checkpoint import Checkpoint
from training.place_sampling import SamplingSection
from training.recipe import NetworkSection, StageSection, TrainingSection, Variant
from training.task_file import TaskFile


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What to train.

    Attributes:
        task: The task file.
        tier: A tier of the task.
        variant: Its architecture.
        data_folder: The dataset.
        runs_folder: The run's folder is made in `<task>/<tier>/` of it.
        seed: Replaces the recipe's seed if not None.
        stages: Replace the recipe's if not None.
        learning_rate: Replaces the recipe's if not None.
        start_from: Replaces the recipe's first weights if not None.
        by_place: Whether photos from near the target places are favoured, if not None.
        dry_run: Two batches of everything, in a folder that is thrown away.
        command: What the user typed, for the record.
    """

    task: TaskFile
    tier: str
    variant: Variant
    data_folder: Path
    runs_folder: Path
    seed: int | None = None
    stages: tuple[StageSection, ...] | None = None
    learning_rate: float | None = None
    start_from: str | None = None
    by_place: bool | None = None
    dry_run: bool = False
    command: str = "loupe-train train"

    @property
    def section(self) -> NetworkSection:
        """The architecture."""
        return self.task.tier(self.tier).network(self.variant)

    @property
    def runs_of_tier(self) -> Path:
        """The folder of the tier's runs."""
        return self.runs_folder / self.task.id / self.tier

    @property
    def recipe(self) -> TrainingSection:
        """The tier's recipe with what this request does differently."""
        recipe = self.task.recipe(self.tier, self.variant)
        own = {
            "seed": self.seed,
            "stages": (StageSection(epochs=1),) if self.dry_run else self.stages,
            "learning_rate": self.learning_rate,
            "start_from": self.start_from,
            "sampling": self._sampling(recipe),
        }
        return recipe.model_copy(update={name: value for name, value in own.items() if value is not None})

    def _sampling(self, recipe: TrainingSection) -> SamplingSection | None:
        return None if self.by_place is None else recipe.sampling.model_copy(update={"by_place": self.by_place})


@dataclass(frozen=True, slots=True)
class RunResult:
    """What a run left behind.

    Attributes:
        folder: The sealed folder; gone by now after a dry run.
        checkpoint: What it says.
        callbacks: By name, what each of the loop's callbacks does, in order.
    """

    folder: Path
    checkpoint: Checkpoint
    callbacks: Mapping[str, str]


def new_run_folder(request: RunRequest) -> Path:
    """Makes a folder named by the time."""
    folder = request.runs_of_tier / datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    folder.mkdir(parents=True)
    return folder
