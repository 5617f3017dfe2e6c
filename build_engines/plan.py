"""What is being built, and where each step finds and leaves its artefacts.

Paths and commands are spelt here and nowhere else.
"""

import shlex
from dataclasses import dataclass
from pathlib import Path

from build_engines.cascade_solver import GapPromise, Promise, SelectivePromise, kind_of
from build_engines.checkpoint import Checkpoint
from build_engines.errors import MixedTiersError
from server.domain.task import Task


@dataclass(frozen=True, slots=True)
class TierPlan:
    """One tier of a release.

    Attributes:
        checkpoint: What is built.
        number: The release's number, at least 1.
        work_folder: Where the steps leave their artefacts.
        model_repository: What is published into.
        data_folder: Where the photos lie; where training found them if None.
        options: What else a person typed that every step wants again, e.g. `("--runs", "elsewhere")`.
        is_named: Whether a person named the checkpoint; else it is the newest of its tier.
    """

    checkpoint: Checkpoint
    number: int
    work_folder: Path
    model_repository: Path
    data_folder: Path | None = None
    options: tuple[str, ...] = ()
    is_named: bool = False

    @property
    def task_id(self) -> str:
        """The task."""
        return self.checkpoint.task.id

    @property
    def tier(self) -> str:
        """The tier."""
        return self.checkpoint.file.tier

    @property
    def model(self) -> str:
        """The Triton ensemble's name, e.g. `cannabis_r1_fast`."""
        return f"{self.task_id}_r{self.number}_{self.tier}"

    @property
    def exported_path(self) -> Path:
        """The ONNX file as exported."""
        return self.work_folder / "exported.onnx"

    @property
    def engine_path(self) -> Path:
        """The engine's file."""
        return self.work_folder / "engine.onnx"

    @property
    def known_photo_path(self) -> Path:
        """Where the photo of the known answer will lie, relative to the model repository."""
        return Path("releases") / self.task_id / str(self.number) / f"known_answer_{self.tier}.jpg"

    @property
    def triton_folder(self) -> Path:
        """What Triton is pointed at in NVIDIA's container."""
        return self.model_repository / "triton"

    def command(self, step: str) -> str:
        """What a person types to do a step again."""
        numbered = ("--number", str(self.number), *self.options)
        return shlex.join(["loupe-build", step, self.task_id, *self.chosen, *numbered])

    @property
    def chosen(self) -> tuple[str, str]:
        """The option that chooses this tier."""
        return ("--checkpoint", str(self.checkpoint.folder)) if self.is_named else ("--tier", self.tier)


USUAL_PROMISE = GapPromise(epsilon=0.02, delta=0.1)
"""What a cascade keeps unless something else is asked for."""


@dataclass(frozen=True, slots=True)
class ReleasePlan:
    """One release of one task.

    Attributes:
        tiers: Cheapest first; at least one, all of one task and one number.
        promise: What the cascade is to keep.
        may_skip: Whether the solver may leave out a tier that does not pay.
        fuse: Whether a tier answers together with those before it; none is then left out.
        few_labels: Whether it is published though val_test has too few labels to judge confidences by.
    """

    tiers: tuple[TierPlan, ...]
    promise: Promise = USUAL_PROMISE
    may_skip: bool = True
    fuse: bool = False
    few_labels: bool = False

    def __post_init__(self) -> None:
        """Raises MixedTiersError unless all tiers answer the same questions."""
        for tier in self.tiers[1:]:
            if tier.checkpoint.task != self.task:
                raise MixedTiersError(self.tiers[0].tier, tier.tier)

    @property
    def task(self) -> Task:
        """The taxonomy."""
        return self.tiers[0].checkpoint.task

    @property
    def number(self) -> int:
        """The release's number, at least 1."""
        return self.tiers[0].number

    @property
    def tier_ids(self) -> tuple[str, ...]:
        """The tiers, cheapest first."""
        return tuple(each.tier for each in self.tiers)

    @property
    def release_name(self) -> str:
        """What people call it, e.g. `cannabis/1`."""
        return f"{self.task.id}/{self.number}"

    @property
    def model_repository(self) -> Path:
        """What is published into."""
        return self.tiers[0].model_repository

    @property
    def work_folder(self) -> Path:
        """Where the steps about all tiers leave their artefacts."""
        return self.tiers[0].work_folder.parent

    @property
    def release_folder(self) -> Path:
        """Where the published release's own files lie."""
        return self.model_repository / "releases" / self.task.id / str(self.number)

    def command(self, step: str) -> str:
        """What a person types to do a step again."""
        tiers = [option for each in self.tiers for option in each.chosen]
        asked = {"--no-skip": not self.may_skip, "--fuse": self.fuse, "--few-labels": self.few_labels}
        ways = [name for name, is_asked in asked.items() if is_asked]
        numbered = ["--number", str(self.number), *self.tiers[0].options]
        return shlex.join(["loupe-build", step, self.task.id, *tiers, *numbered, *self._promise_options, *ways])

    @property
    def _promise_options(self) -> list[str]:
        promise = self.promise
        if promise == USUAL_PROMISE:
            return []
        person = ["--person-ms", f"{promise.unanswered_cost_ms:g}"] if isinstance(promise, SelectivePromise) else []
        named = ["--promise", kind_of(promise).value]
        return [*named, "--epsilon", f"{promise.limit:g}", "--delta", f"{promise.delta:g}", *person]
