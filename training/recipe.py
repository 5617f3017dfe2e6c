"""The sections of a task file that say what to train and how.

Schema only: nothing here reads data or builds a model.
"""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from server.domain.framing import Framing
from training.place_sampling import SamplingSection

Variant = Literal["demo", "production"]
"""`demo` trains on two cores in minutes; `production` is the full-size network."""


STRIDE = 32
"""Backbones halve their photos five times."""

Views = Literal[1, 2, 4, 8]
"""How many symmetries of the square a photo is seen in."""

FourViews = Literal["turns", "flips"]
"""Which symmetries four views are."""

Share = Annotated[float, Field(ge=0, lt=1)]


def _rising(factors: tuple[float, float]) -> tuple[float, float]:
    if not 0 < factors[0] <= factors[1]:
        raise ValueError("the least factor comes first, and is above 0")
    return factors


Factors = Annotated[tuple[float, float], AfterValidator(_rising)]
"""The least and the most that something is multiplied by."""

FineTuningMethod = Literal["full", "frozen_backbone", "adalora", "vera", "ia3"]
"""What of a network is trained; the last three put adapters into a frozen backbone."""


class RecipeSection(BaseModel):
    """Base of the sections here: immutable, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class NetworkSection(RecipeSection):
    """The architecture of one tier, fixed before training."""

    backbone: str = Field(description="A timm model that can return feature maps, e.g. mobilenetv3_small_100.")
    pretrained: bool = Field(default=False, description="Whether timm loads its published weights first.")
    input_size_px: int = Field(ge=32, description="The side of the square input.")
    framing: Framing = Field(default=Framing.CENTRE, description="How a photo becomes the square input.")
    backbone_size_px: int | None = Field(
        default=None,
        ge=32,
        description="What the network shrinks its input to first, if it does: tiers whose inputs are of one size share"
        " one decoded photo, and the cheap ones still look at few pixels.",
    )
    feature_width: int = Field(
        default=192, ge=8, description="Channels of the attended feature map, and of the embedding."
    )
    head_width: int = Field(default=128, ge=8, description="Width of the hidden layer of each head.")
    dropout: float = Field(default=0.1, ge=0, lt=1, description="Before the last layer of each head.")
    head_dropouts: dict[str, Share] = Field(default={}, description="By head id, in place of `dropout`.")
    head_batch_norm: bool = Field(default=True, description="Whether the heads' hidden layers are normalised.")
    spatial_attention: bool = Field(
        default=True, description="Whether places are weighed; if not, all count alike, and the map says so."
    )
    pooling: Literal["places", "statistics"] = Field(
        default="places",
        description="How a feature map becomes an embedding. places: the last two maps are fused, and places weighed."
        " statistics: mean, greatest and spread over all places, channel by channel; what few photos can learn to read"
        " of a frozen backbone. Its attention map is even.",
    )
    pyramid_px: tuple[Annotated[int, Field(ge=32)], ...] = Field(
        default=(),
        description="Smaller sides at which the backbone sees the photo once more; the statistics of all are read."
        " A frozen backbone knows what it learnt to look for at one size only, and defects come in several.",
    )
    normalisation: Literal["imagenet", "backbone"] = Field(
        default="imagenet",
        description="Mean and spread of the pixels: ImageNet's, or what timm gives for the backbone.",
    )
    views: Views = Field(
        default=1, description="Symmetries of the square in which the trained network sees a photo; it averages them."
    )
    four_views: FourViews = Field(
        default="turns", description="Which symmetries four views are: quarter turns; or left and right, up and down."
    )

    @model_validator(mode="after")
    def _sizes_suit(self) -> Self:
        if self.seen_size_px > self.input_size_px:
            raise ValueError("backbone_size_px is at most input_size_px: a network does not see more than it is given")
        if self.pyramid_px and self.pooling != "statistics":
            raise ValueError(
                'pyramid_px needs pooling = "statistics": places of several sizes cannot be weighed together'
            )
        if any(side >= self.seen_size_px for side in self.pyramid_px):
            raise ValueError("each side of pyramid_px is smaller than what the backbone sees first")
        return self

    @property
    def seen_size_px(self) -> int:
        """The side of what the backbone sees."""
        return self.backbone_size_px or self.input_size_px


class StageSection(RecipeSection):
    """Some epochs at one size: a network learns coarse things from small photos at a fraction of the time."""

    epochs: int = Field(ge=1)
    input_share: float = Field(default=1.0, gt=0, le=1, description="Of the side of the served input.")

    def size_px(self, input_size_px: int) -> int:
        """Returns the side of the photos; if not the served one, a multiple of 32, as backbones halve five times."""
        if self.input_share == 1:
            return input_size_px
        return max(STRIDE, round(self.input_share * input_size_px / STRIDE) * STRIDE)


def _ending_at_the_served_size(stages: tuple[StageSection, ...]) -> tuple[StageSection, ...]:
    if stages[-1].input_share != 1:
        raise ValueError("the last stage must be of the served size: input_share = 1")
    return stages


Stages = Annotated[tuple[StageSection, ...], Field(min_length=1), AfterValidator(_ending_at_the_served_size)]
"""In order; the last is of the served size, as a network that has not seen it answers worse there."""


class FineTuningSection(RecipeSection):
    """What of a network is trained."""

    method: FineTuningMethod = "full"
    unfreeze_after_epochs: int | None = Field(
        default=None, ge=1, description="With frozen_backbone: epochs after which the backbone is trained as well."
    )
    target_modules: tuple[str, ...] = Field(
        default=(),
        description="Ends of the backbone's module names that get adapters, e.g. qkv; empty for all that can.",
    )
    rank: int = Field(
        default=4, ge=1, description="AdaLoRA: average rank that is left. VeRA: rank of the shared matrices."
    )

    @model_validator(mode="after")
    def _unfreezes_what_is_frozen(self) -> Self:
        if self.unfreeze_after_epochs is not None and self.method != "frozen_backbone":
            raise ValueError("unfreeze_after_epochs belongs to method = frozen_backbone")
        return self

    @property
    def has_adapters(self) -> bool:
        """Whether the method is one of parameter-efficient fine-tuning."""
        return self.method in ("adalora", "vera", "ia3")


class TierTrainingSection(RecipeSection):
    """What a tier does differently from the task's recipe; a field that is not given stays as it is there."""

    stages: Stages | None = None
    epoch_share: float | None = Field(default=None, gt=0, le=1)
    mixed_precision: bool | None = None
    compiled: bool | None = None
    teacher: str | None = None
    teacher_share: float | None = Field(default=None, gt=0, lt=1)
    batch_size: int | None = Field(default=None, ge=2)
    learning_rate: float | None = Field(default=None, gt=0)
    fine_tuning: FineTuningSection | None = None
    start_from: str | None = Field(default=None, description="An empty text: from nothing, though the task says else.")


class TierSection(RecipeSection):
    """One tier of the cascade."""

    demo: NetworkSection
    production: NetworkSection
    training: TierTrainingSection = TierTrainingSection()
    production_training: TierTrainingSection = Field(
        default=TierTrainingSection(), description="What the production variant does differently again."
    )

    def network(self, variant: Variant) -> NetworkSection:
        """Returns the architecture of one variant."""
        return self.demo if variant == "demo" else self.production

    def recipe(self, usual: "TrainingSection", variant: Variant) -> "TrainingSection":
        """Returns the recipe of one variant, given that of the task."""
        own = usual.overlaid(self.training)
        return own.overlaid(self.production_training) if variant == "production" else own


ClassBalance = Literal["none", "inverse", "effective_number"]


class LossSection(RecipeSection):
    """The weights of the loss's terms."""

    head_weights: dict[str, float] = Field(description="By head id; a head that is not named has weight 1.")
    uncertainty_weight: float = Field(default=0.2, ge=0)
    logit_samples: int = Field(default=8, ge=1, description="Draws of noisy logits a photo.")
    overconfidence_weight: float = Field(
        default=0.0, ge=0, description="Of the gap between confidence and accuracy within a batch."
    )
    class_balance: ClassBalance = Field(
        default="none", description="How much more rare labels weigh than frequent ones in the training loss."
    )
    effective_number_beta: float = Field(
        default=0.999, gt=0, lt=1, description="The nearer to 1, the more effective_number is like inverse."
    )
    largest_class_weight: float = Field(
        default=10.0, ge=1, description="What one label may weigh; its inverse the least."
    )


class AugmentationSection(RecipeSection):
    """What is changed at random in a training photo; shares are of its side and belong to the preset `custom`."""

    preset: Literal["custom", "light", "heavy", "modern"] = Field(
        default="custom",
        description="light: small moves and colours. heavy: also perspective, blur and coarse dropout. modern:"
        " TrivialAugment, and photos mixed with one another. custom: the shares given here.",
    )
    symmetries: Literal["square", "flips", "mirror", "none"] = Field(
        default="square",
        description="Which flips come first: all eight of a square; left and right, up and down; left and right; none.",
    )
    mixed_share: float = Field(default=0.5, ge=0, le=1, description="modern: batches whose photos are mixed.")
    rotation_degrees: float = Field(default=12.0, ge=0, le=180)
    shift_share: float = Field(default=0.06, ge=0, lt=1)
    scale_share: float = Field(default=0.12, ge=0, lt=1)
    colour_share: float = Field(default=0.12, ge=0, lt=1)
    brightness_factors: Factors | None = Field(
        default=None, description="What brightness is multiplied by, at least and at most, in place of `colour_share`."
    )
    contrast_factors: Factors | None = Field(default=None, description="Likewise, the distance to the photo's mean.")
    grey_share: float = Field(default=0.0, ge=0, le=1, description="Photos that lose their colour, as a grey camera's.")
    photos_a_draw: int = Field(default=4, ge=1, description="Neighbours in a batch that share one draw, for speed.")
    bad_photo_share: Share = Field(
        default=0.0,
        description="Photos that are then blurred or noisy, each by a strength of its own, in any preset: from"
        " these the aleatoric uncertainty learns what a bad photo is worth.",
    )


Limit = Annotated[float, Field(ge=0, le=1)]


class GatesSection(RecipeSection):
    """What a release must reach, besides honest confidences."""

    least_accuracies: dict[str, Limit] = Field(default={}, description="By category head id, on val_test.")
    least_mccs: dict[str, Limit] = Field(
        default={}, description="Matthews correlations by category head id, on val_test: for labels of unequal shares."
    )


class TrainingSection(RecipeSection):
    """The loop."""

    seed: int = Field(default=42, ge=0)
    stages: Stages = Field(description="In order; the last is of the served size.")
    epoch_share: float = Field(
        default=1.0, gt=0, le=1, description="Of the training photos: what one epoch sees. Each draws its own."
    )
    mixed_precision: bool = Field(
        default=False,
        description="bfloat16 where it is safe, on a GPU and on a CPU with AMX; others lose by it, and do without.",
    )
    compiled: bool = Field(
        default=False,
        description="Whether torch compiles the network's steps, which wants a C++ compiler, and a minute for each size"
        " of photos on a machine that has not compiled them yet. `python -m training.step_bench` says after how many"
        " steps that has paid for itself.",
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
    kept_epoch: Literal["best", "last"] = Field(
        default="best",
        description="best: that of the least loss on val_select. last: where val_select is too small to choose by; then"
        " no run stops early.",
    )
    threads: int = Field(default=2, ge=1, description="torch's threads on a CPU.")
    state_every_minutes: float = Field(
        default=5.0, gt=0, description="Between two states inside an epoch, from which a killed run resumes."
    )
    state_every_steps: int | None = Field(default=None, ge=1, description="Also after so many steps of an epoch.")
    devices: int | Literal["auto"] = Field(
        default="auto", description="Devices of one machine; auto: one, or torchrun's."
    )
    strategy: str = Field(default="auto", description="Lightning's: how several devices train one network.")
    fine_tuning: FineTuningSection = FineTuningSection()
    start_from: str | None = Field(
        default=None,
        description="A run whose weights are the first, its folder or `<task>/<tier>`: all that fit if it is of the"
        " same task, else those of its backbone.",
    )
    loss: LossSection
    augmentation: AugmentationSection = AugmentationSection()
    sampling: SamplingSection = SamplingSection()

    @property
    def epochs(self) -> int:
        """Epochs of all stages."""
        return sum(stage.epochs for stage in self.stages)

    def sizes_px(self, input_size_px: int) -> tuple[int, ...]:
        """Returns the side of the photos in each epoch."""
        return tuple(stage.size_px(input_size_px) for stage in self.stages for _ in range(stage.epochs))

    def overlaid(self, own: TierTrainingSection) -> "TrainingSection":
        """Returns this recipe with what a tier does differently."""
        return self.model_copy(update={name: value for name, value in own if value is not None})
