"""What each step writes beside its artefact: what went in and came out, by SHA-256, and how to do it again."""

import platform
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import file_digest
from importlib.metadata import version
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from build_engines.errors import StepMissingError

_VERSIONED = ("numpy", "nvidia-pytriton", "onnx", "onnxruntime", "onnxscript", "pillow", "torch")


class StepRecord(BaseModel):
    """One step, done.

    Attributes:
        step: Its name.
        inputs: By name, SHA-256.
        outputs: By file name beside the record, SHA-256.
        facts: What the step found out.
        versions: Of the libraries that have a part in building.
        git_commit: The commit of the checkout; with `-dirty` if something was changed; None outside of one.
        command: Does it again.
        created_utc: ISO 8601.
        duration_s: How long it took.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    step: str
    inputs: dict[str, str]
    outputs: dict[str, str]
    facts: dict[str, Any]
    versions: dict[str, str]
    git_commit: str | None
    command: str
    created_utc: str
    duration_s: float

    @classmethod
    def make(
        cls,
        step: str,
        *,
        inputs: Mapping[str, str],
        outputs: tuple[Path, ...],
        facts: Mapping[str, Any],
        command: str,
        duration_s: float,
    ) -> Self:
        """Records a step that has just been done."""
        return cls(
            step=step,
            inputs=dict(inputs),
            outputs={path.name: file_sha256(path) for path in outputs},
            facts=dict(facts),
            versions={"python": platform.python_version(), **{each: version(each) for each in _VERSIONED}},
            git_commit=git_commit(),
            command=command,
            created_utc=datetime.now(UTC).isoformat(timespec="seconds"),
            duration_s=round(duration_s, 1),
        )

    def write(self, folder: Path) -> None:
        """Writes `<step>.json`, aside first: it is whole or missing."""
        aside = folder / f".{self.step}.json"
        aside.write_text(self.model_dump_json(indent=2) + "\n", encoding="utf-8")
        aside.rename(folder / f"{self.step}.json")

    @classmethod
    def read(cls, folder: Path, step: str, *, command: str) -> Self:
        """Reads what `write` wrote, and verifies the files beside it.

        Args:
            folder: Where the step left its artefact.
            step: Its name.
            command: Does the step, for the error.

        Raises:
            StepMissingError: The step has not been done, or its artefact was changed since.
        """
        try:
            record = cls.model_validate_json((folder / f"{step}.json").read_bytes())
        except OSError as error:
            raise StepMissingError(step, why=f"{folder} has no {step}.json", command=command) from error
        except ValidationError as error:
            raise StepMissingError(step, why=f"{folder / step}.json is malformed", command=command) from error
        for name, sha256 in record.outputs.items():
            if not (folder / name).is_file() or file_sha256(folder / name) != sha256:
                raise StepMissingError(step, why=f"{folder / name} is not what the step wrote", command=command)
        return record

    def require_input(self, name: str, sha256: str, *, command: str) -> None:
        """Raises StepMissingError unless the step was done on this very input."""
        if self.inputs.get(name) != sha256:
            raise StepMissingError(self.step, why=f"it was done on another {name}", command=command)

    def require_command(self, command: str) -> None:
        """Raises StepMissingError unless the step was done by this very command."""
        if self.command != command:
            raise StepMissingError(self.step, why=f"it was done by {self.command}", command=command)


def file_sha256(path: Path) -> str:
    """Returns the SHA-256 of a file, 64 hexadecimal digits."""
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def git_commit() -> str | None:
    """Returns the checkout's commit, `-dirty` if a tracked file is changed; None outside of a checkout."""
    here = Path(__file__).parent
    found = subprocess.run(["git", "rev-parse", "HEAD"], cwd=here, capture_output=True, text=True, check=False)
    if found.returncode != 0:
        return None
    changed = subprocess.run(
        ["git", "status", "--porcelain", "--untracked-files=no"], cwd=here, capture_output=True, text=True, check=False
    )
    return found.stdout.strip() + ("-dirty" if changed.stdout.strip() else "")
