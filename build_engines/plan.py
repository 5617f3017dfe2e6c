"""What is being built, and where each step finds and leaves its artefacts.

Paths and commands are spelt here and nowhere else.
"""

from dataclasses import dataclass
from pathlib import Path

from build_engines.checkpoint import Checkpoint


@dataclass(frozen=True, slots=True)
class BuildPlan:
    """One release of one task, with one tier.

    Attributes:
        checkpoint: What is built.
        number: The release's number, at least 1.
        work_folder: Where the steps leave their artefacts.
        model_repository: What is published into.
        data_folder: Where the photos lie; where training found them if None.
    """

    checkpoint: Checkpoint
    number: int
    work_folder: Path
    model_repository: Path
    data_folder: Path | None = None

    @property
    def task_id(self) -> str:
        """The task."""
        return self.checkpoint.task.id

    @property
    def tier(self) -> str:
        """The tier."""
        return self.checkpoint.file.tier

    @property
    def release_name(self) -> str:
        """What people call it, e.g. `cannabis/1`."""
        return f"{self.task_id}/{self.number}"

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
    def release_folder(self) -> Path:
        """Where the published release's own files lie."""
        return self.model_repository / "releases" / self.task_id / str(self.number)

    @property
    def triton_folder(self) -> Path:
        """What Triton is pointed at in NVIDIA's container."""
        return self.model_repository / "triton"

    def command(self, step: str) -> str:
        """What a person types to do a step again."""
        return f"loupe-build {step} {self.task_id} --tier {self.tier} --number {self.number}"
