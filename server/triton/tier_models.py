"""What Triton must know of a tier: the names, shapes and files of its three models.

A tier is an ensemble (the encoded photo in, one output a head out) and its two steps,
`preprocess` and `engine`. Names are spelt here and nowhere else.
"""

import enum
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from server.domain.framing import Framing
from server.domain.release import EngineRef
from server.domain.task import Task

PHOTO = "photo"
"""The ensemble's input: the encoded bytes of one photo."""

IMAGE = "image"
"""Between the steps, and an output for who asks another engine next: `[batch, size, size, 3]` uint8, RGB."""

DECODED = "decoded"
"""Beside the image, from the first step: `[batch, 1]` uint8, all 1. Nobody reads it, but who does not ask for the image
asks for this: Triton leaves out a step of whose outputs none is asked for, though the next one takes it (issue 7482).
"""

UNCERTAINTY = "uncertainty"
"""Output: `[batch, 2]` float32, the feature distance and the mean logit variance."""

ATTENTION_MAP = "attention_map"
"""Output: `[batch, rows, columns]` float32 weights in [0, 1]."""

UNCERTAINTY_WIDTH = 2


def preprocess_model(model: str) -> str:
    """Returns the name of the preprocessing step of an ensemble."""
    return f"{model}_preprocess"


def engine_model(model: str) -> str:
    """Returns the name of the engine step of an ensemble."""
    return f"{model}_engine"


class Target(enum.Enum):
    """Where a model repository will be served."""

    EMBEDDED = "embedded"
    """The Triton of the `nvidia-pytriton` wheel, which has only the Python backend: onnxruntime runs in that."""

    CONTAINER = "container"
    """NVIDIA's container: engines run in Triton's own onnxruntime backend, on a GPU where there is one."""


@dataclass(frozen=True, slots=True)
class TierModelSpec:
    """One tier, as Triton sees it.

    Attributes:
        model: The ensemble's name, e.g. `cannabis_r1_fast`.
        input_size_px: The side of the engine's square input.
        heads: Each head's id and its number of labels, in the task's order.
        attention_grid: Rows and columns of the attention map.
        engine_path: The engine's ONNX file.
        max_batch_size: The largest batch of one request, at least 1.
        gives_pixels: Whether the ensemble can give the decoded photo back; those of the first releases cannot.
        framing: How a photo becomes a square.
    """

    model: str
    input_size_px: int
    heads: tuple[tuple[str, int], ...]
    attention_grid: tuple[int, int]
    engine_path: Path
    max_batch_size: int = 8
    gives_pixels: bool = False
    framing: Framing = Framing.CENTRE

    @classmethod
    def from_release(cls, task: Task, engine: EngineRef, *, repository_root: Path) -> Self:
        """Describes an engine of a release.

        Args:
            task: The release's taxonomy.
            engine: The tier's engine.
            repository_root: What `engine.path` is relative to.
        """
        return cls(
            model=engine.model,
            input_size_px=engine.input_size_px,
            heads=tuple((head.id, len(head.labels)) for head in task.heads),
            attention_grid=engine.attention_grid,
            engine_path=repository_root / engine.path,
            gives_pixels=engine.gives_pixels,
            framing=engine.framing,
        )

    @property
    def preprocess_model(self) -> str:
        """The name of the preprocessing step."""
        return preprocess_model(self.model)

    @property
    def engine_model(self) -> str:
        """The name of the engine step."""
        return engine_model(self.model)

    @property
    def steps(self) -> tuple[str, str]:
        """The names of both steps, in the order of execution."""
        return self.preprocess_model, self.engine_model

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """The shape of one preprocessed photo."""
        return self.input_size_px, self.input_size_px, 3

    @property
    def output_shapes(self) -> dict[str, tuple[int, ...]]:
        """By output name, the shape of one item, in the order in which the engine declares them."""
        heads: dict[str, tuple[int, ...]] = {head: (label_count,) for head, label_count in self.heads}
        return heads | {UNCERTAINTY: (UNCERTAINTY_WIDTH,), ATTENTION_MAP: self.attention_grid}
