"""Reads task files.

What a file states is checked here once: its schema, and that its difficulty is the one fixed by digest.
"""

import math
import tomllib
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializeAsAny,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from server.domain.framing import Framing
from server.domain.task import Head, HeadKind, Task
from training.errors import (
    NothingToRenderError,
    RendererParametersChangedError,
    TaskFileRefusedError,
    UnknownTaskFileError,
    UnknownTierSectionError,
)
from training.recipe import GatesSection, TierSection, TrainingSection, Variant
from training.renderers.parameters import RendererParameters
from training.renderers.registry import RENDERERS

TASKS_FOLDER = Path(__file__).parent / "tasks"

Split = Literal["train", "val_select", "val_calib", "val_test"]
SPLITS: tuple[Split, ...] = ("train", "val_select", "val_calib", "val_test")


class Section(BaseModel):
    """Base of all sections: immutable, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class HeadSection(Section):
    """One head: its id, title, kind and ordered labels."""

    id: str
    title: str
    kind: Literal["category", "attributes"]
    labels: tuple[str, ...]

    def to_domain(self) -> Head:
        """Returns the head as the taxonomy has it."""
        return Head(self.id, self.title, HeadKind(self.kind), self.labels)


class SplitShares(Section):
    """Shares of specimens in each split; they sum to 1."""

    train: float = Field(gt=0, lt=1)
    val_select: float = Field(gt=0, lt=1)
    val_calib: float = Field(gt=0, lt=1)
    val_test: float = Field(gt=0, lt=1)

    @model_validator(mode="after")
    def _sum_to_one(self) -> Self:
        if not math.isclose(sum(self.of(split) for split in SPLITS), 1):
            raise ValueError("the shares of the splits must sum to 1")
        return self

    def of(self, split: Split) -> float:
        """Returns the share of one split."""
        shares = {
            "train": self.train,
            "val_select": self.val_select,
            "val_calib": self.val_calib,
            "val_test": self.val_test,
        }
        return shares[split]

    def split_at(self, place: float) -> Split:
        """Returns the split of a place in [0, 1)."""
        for split in SPLITS[:-1]:
            place -= self.of(split)
            if place < 0:
                return split
        return SPLITS[-1]


class DifficultySection(Section):
    """How hard a head must be, seen from outside: hard for a linear model, and possible."""

    measure: Literal["accuracy", "mcc"] = Field(
        default="accuracy", description="What is limited; of attributes, the mean over labels."
    )
    linear_limit: float = Field(
        default=0.70, description="Most that a linear model may reach for the head to be worth a deep model."
    )
    best_possible_range: tuple[float, float] = Field(
        default=(0.97, 0.99), description="Where one must end who knows the posteriors; inclusive."
    )


class RenderingSection(Section):
    """What the renderer is to draw, if the photos are drawn."""

    renderer: str
    specimen_count: int = Field(gt=0, description="Specimens that are shared out among the four splits.")
    proof_specimen_count: int = Field(
        default=0, ge=0, description="Specimens after those, half for val_calib and half for val_test."
    )
    parameters_sha256: str
    parameters: SerializeAsAny[RendererParameters] = Field(description="Of the kind that the renderer wants.")

    @field_validator("renderer")
    @classmethod
    def _renderer_is_known(cls, name: str) -> str:
        if name not in RENDERERS:
            raise ValueError(f"there is no renderer {name!r}; known: {', '.join(RENDERERS)}")
        return name

    @field_validator("parameters", mode="before")
    @classmethod
    def _parameters_of_the_renderer(cls, stated: Any, info: ValidationInfo) -> Any:
        kind = RENDERERS.get(info.data.get("renderer", ""))
        return stated if kind is None else kind.parameters.model_validate(stated)

    @property
    def all_specimen_count(self) -> int:
        """Specimens of all splits."""
        return self.specimen_count + self.proof_specimen_count


class DataSection(Section):
    """How photos are shared out, and where they come from."""

    one_class_label: str | None = Field(
        default=None, description="The label of what is normal, for a model that learns from such photos alone."
    )
    splits: SplitShares
    rendering: RenderingSection | None = Field(
        default=None, description="How the photos are drawn; nothing for a task whose photos are imported."
    )


class TaskFile(Section):
    """One task: its taxonomy and its data."""

    id: str
    title: str
    decision_heads: tuple[str, ...]
    heads: tuple[HeadSection, ...]
    tiers: dict[str, TierSection] = Field(min_length=1, description="By id, cheapest first.")
    training: TrainingSection
    gates: GatesSection = GatesSection()
    difficulty: dict[str, DifficultySection] = Field(
        default={}, description="By head id, of rendered photos; a head of gates.least_accuracies has the usual limits."
    )
    data: DataSection

    @model_validator(mode="after")
    def _taxonomy_holds(self) -> Self:
        self.to_domain()
        normal = self.data.one_class_label
        if normal is not None and not any(normal in head.labels for head in self.heads if head.kind == "category"):
            raise ValueError(f"data.one_class_label {normal!r} is no label of a category head")
        gates = self.gates
        named = {*self.training.loss.head_weights, *gates.least_accuracies, *gates.least_mccs, *self.difficulty}
        strangers = named - {head.id for head in self.heads}
        if strangers:
            raise ValueError(f"head_weights, gates or difficulty name unknown heads {sorted(strangers)}")
        gated = {*gates.least_accuracies, *gates.least_mccs}
        several = sorted(head.id for head in self.heads if head.kind != "category" and head.id in gated)
        if several:
            raise ValueError(f"gates name {several}, which are no category heads")
        return self

    def to_domain(self) -> Task:
        """Returns the taxonomy."""
        return Task(self.id, self.title, tuple(head.to_domain() for head in self.heads), self.decision_heads)

    @property
    def rendering(self) -> RenderingSection:
        """How its photos are drawn.

        Raises:
            NothingToRenderError: They are not.
        """
        if self.data.rendering is None:
            raise NothingToRenderError(self.id)
        return self.data.rendering

    def split_of(self, specimen: str, *, index: int) -> Split:
        """Returns the split of a rendered specimen: a stable hash of its name, so that none is on two sides.

        Args:
            specimen: Its name.
            index: Its place in the dataset: below `specimen_count`, or a proof specimen.
        """
        place = int.from_bytes(sha256(f"{self.id}/{specimen}".encode()).digest()[:8], "big") / 2**64
        if index < self.rendering.specimen_count:
            return self.data.splits.split_at(place)
        return "val_calib" if place < 0.5 else "val_test"  # noqa: PLR2004 -- half of each

    def tier(self, tier_id: str) -> TierSection:
        """Returns the tier of this id.

        Raises:
            UnknownTierSectionError: The task has none of this id.
        """
        if tier_id not in self.tiers:
            raise UnknownTierSectionError(tier_id, known=tuple(self.tiers))
        return self.tiers[tier_id]

    def recipe(self, tier_id: str, variant: Variant = "demo") -> TrainingSection:
        """Returns the recipe of a tier.

        Raises:
            UnknownTierSectionError: The task has none of this id.
        """
        return self.tier(tier_id).recipe(self.training, variant)

    @property
    def framing(self) -> Framing:
        """How its photos are looked at where no tier is meant: the whole of them, if any tier sees that."""
        sections = (each for tier in self.tiers.values() for each in (tier.demo, tier.production))
        return Framing.WHOLE if any(each.framing is Framing.WHOLE for each in sections) else Framing.CENTRE

    @property
    def first_tier(self) -> str:
        """The tier to train first: one that needs no other of the task."""
        recipes = {tier: self.recipe(tier) for tier in self.tiers}
        alone = (
            tier
            for tier, each in recipes.items()
            if each.teacher is None and not (each.start_from or "").startswith(f"{self.id}/")
        )
        return next(alone, next(iter(self.tiers)))

    def difficulty_of(self, head_id: str) -> DifficultySection | None:
        """Returns how hard a head must be; None for one that is neither gated nor limited here."""
        usual = DifficultySection() if head_id in self.gates.least_accuracies else None
        return self.difficulty.get(head_id, usual)

    def head(self, head_id: str) -> HeadSection:
        """Returns the head of this id; KeyError if there is none."""
        return {head.id: head for head in self.heads}[head_id]


def load_task_file(task_id: str, *, folder: Path = TASKS_FOLDER) -> TaskFile:
    """Reads and check `<folder>/<task_id>.toml`.

    Raises:
        UnknownTaskFileError: There is no such file.
        TaskFileRefusedError: The file breaks the schema.
        RendererParametersChangedError: The parameters are not those that the digest fixed.
    """
    path = folder / f"{task_id}.toml"
    if not path.is_file():
        raise UnknownTaskFileError(task_id, known=tuple(sorted(each.stem for each in folder.glob("*.toml"))))
    try:
        task = TaskFile.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (tomllib.TOMLDecodeError, ValidationError) as error:
        raise TaskFileRefusedError(path, violations=str(error)) from error
    rendering = task.data.rendering
    if rendering is not None and (actual := rendering.parameters.digest()) != rendering.parameters_sha256:
        raise RendererParametersChangedError(path, stated=rendering.parameters_sha256, actual=actual)
    return task
