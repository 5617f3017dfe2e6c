"""The sections of a task file that say what to train and how.

Schema only: nothing here reads data or builds a model.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from training.places import SamplingSection

Variant = Literal["demo", "production"]
"""`demo` trains on two cores in minutes; `production` is the full-size network."""


_STRIDE = 32

Views = Literal[1, 2, 4, 8]
"""How many symmetries of the square a photo is seen in."""


class RecipeSection(BaseModel):
    """Base of the sections here: immutable, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class NetworkSection(RecipeSection):
    """The architecture of one tier, fixed before training."""

    backbone: str = Field(description="A timm model that can return feature maps, e.g. mobilenetv3_small_100.")
    pretrained: bool = Field(default=False, description="Whether timm loads its published weights first.")
    input_size_px: int = Field(ge=32, description="The side of the square input.")
    feature_width: int = Field(
        default=192, ge=8, description="Channels of the attended feature map, and of the embedding."
    )
    head_width: int = Field(default=128, ge=8, description="Width of the hidden layer of each head.")
    dropout: float = Field(default=0.1, ge=0, lt=1, description="Before the last layer of each head.")
    views: Views = Field(
        default=1, description="Symmetries of the square in which the trained network sees a photo; it averages them."
    )


class StageSection(RecipeSection):
    """Some epochs at one size: a network learns coarse things from small photos at a fraction of the time."""

    epochs: int = Field(ge=1)
    input_share: float = Field(default=1.0, gt=0, le=1, description="Of the side of the served input.")

    def size_px(self, input_size_px: int) -> int:
        """Returns the side of the photos; if not the served one, a multiple of 32, as backbones halve five times."""
        if self.input_share == 1:
            return input_size_px
        return max(_STRIDE, round(self.input_share * input_size_px / _STRIDE) * _STRIDE)


class TierTrainingSection(RecipeSection):
    """What a tier does differently from the task's recipe; a field that is not given stays as it is there."""

    stages: tuple[StageSection, ...] | None = Field(default=None, min_length=1)
    mixed_precision: bool | None = None
    teacher: str | None = None
    teacher_share: float | None = Field(default=None, gt=0, lt=1)


class TierSection(RecipeSection):
    """One tier of the cascade."""

    demo: NetworkSection
    production: NetworkSection
    training: TierTrainingSection = TierTrainingSection()

    def network(self, variant: Variant) -> NetworkSection:
        """Returns the architecture of one variant."""
        return self.demo if variant == "demo" else self.production


class LossSection(RecipeSection):
    """The weights of the loss's terms."""

    head_weights: dict[str, float] = Field(description="By head id; a head that is not named has weight 1.")
    uncertainty_weight: float = Field(default=0.2, ge=0)
    logit_samples: int = Field(default=8, ge=1, description="Draws of noisy logits a photo.")


class AugmentationSection(RecipeSection):
    """What is changed at random in a training photo, besides flips and quarter turns; shares are of its side."""

    rotation_degrees: float = Field(default=12.0, ge=0, le=180)
    shift_share: float = Field(default=0.06, ge=0, lt=1)
    scale_share: float = Field(default=0.12, ge=0, lt=1)
    colour_share: float = Field(default=0.12, ge=0, lt=1)
    photos_a_draw: int = Field(default=4, ge=1, description="Neighbours in a batch that share one draw, for speed.")


class GatesSection(RecipeSection):
    """What a release must reach, besides honest confidences."""

    least_accuracies: dict[str, float] = Field(default={}, description="By category head id, on val_test.")


class TrainingSection(RecipeSection):
    """The loop."""

    seed: int = Field(default=42, ge=0)
    stages: tuple[StageSection, ...] = Field(min_length=1, description="In order; the last is of the served size.")
    mixed_precision: bool = Field(
        default=False, description="bfloat16 where it is safe: faster on a GPU, and on a CPU that multiplies it."
    )
    teacher: str | None = Field(default=None, description="The tier whose trained answers this one also learns from.")
    teacher_share: float = Field(default=0.7, gt=0, lt=1, description="Of the loss: the teacher's part.")
    batch_size: int = Field(default=64, ge=2)
    learning_rate: float = Field(default=2e-3, gt=0)
    weight_decay: float = Field(default=0.05, ge=0)
    warmup_share: float = Field(default=0.08, ge=0, lt=1, description="Share of all steps over which the rate rises.")
    gradient_clip: float = Field(default=1.0, gt=0, description="Largest norm of the gradient.")
    ema_decay: float = Field(default=0.999, gt=0, lt=1, description="Decay of the averaged weights, a step.")
    patience_epochs: int = Field(
        default=4, ge=1, description="Epochs without a better loss on val_select before it stops."
    )
    threads: int = Field(default=2, ge=1, description="torch's threads on a CPU.")
    loss: LossSection
    augmentation: AugmentationSection = AugmentationSection()
    sampling: SamplingSection = SamplingSection()

    @property
    def epochs(self) -> int:
        """Epochs of all stages."""
        return sum(stage.epochs for stage in self.stages)

    @field_validator("stages")
    @classmethod
    def _ends_at_the_served_size(cls, stages: tuple[StageSection, ...]) -> tuple[StageSection, ...]:
        if stages[-1].input_share != 1:
            raise ValueError("the last stage must be of the served size: input_share = 1")
        return stages

    def sizes_px(self, input_size_px: int) -> tuple[int, ...]:
        """Returns the side of the photos in each epoch."""
        return tuple(stage.size_px(input_size_px) for stage in self.stages for _ in range(stage.epochs))

    def overlaid(self, own: TierTrainingSection) -> "TrainingSection":
        """Returns this recipe with what a tier does differently."""
        return self.model_copy(update={name: value for name, value in own if value is not None})
