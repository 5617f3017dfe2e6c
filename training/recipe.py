"""The sections of a task file that say what to train and how.

Schema only: nothing here reads data or builds a model.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Variant = Literal["demo", "production"]
"""`demo` trains on two cores in minutes; `production` is the full-size network."""


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


class TierSection(RecipeSection):
    """One tier of the cascade."""

    demo: NetworkSection
    production: NetworkSection

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
    epochs: int = Field(ge=1)
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
