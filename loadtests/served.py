"""What a gateway serves, as it says itself, and what the release says on disk."""

import json
from dataclasses import dataclass
from pathlib import Path

from loupe.v1 import task_service_pb2 as task_pb
from server.imaging import Framing


@dataclass(frozen=True, slots=True)
class ServedTier:
    """A rung of the cascade.

    Attributes:
        id: E.g. `fast`.
        precision: E.g. `fp32`.
        input_size_px: The side of the engine's square input.
    """

    id: str
    precision: str
    input_size_px: int


@dataclass(frozen=True, slots=True)
class ServedTask:
    """A task and its active release.

    Attributes:
        id: The task's id.
        release: The release's number.
        heads: The ids of all heads, in the order of answers.
        tiers: Cheapest first; at least one.
    """

    id: str
    release: int
    heads: tuple[str, ...]
    tiers: tuple[ServedTier, ...]

    @classmethod
    def of(cls, message: task_pb.Task) -> "ServedTask":
        """Reads what the gateway answered."""
        return cls(
            id=message.name.rpartition("/")[2],
            release=int(message.active_release.rpartition("/")[2]),
            heads=tuple(each.id for each in message.heads),
            tiers=tuple(ServedTier(each.id, each.precision, each.input_size_px) for each in message.tiers),
        )

    @property
    def release_name(self) -> str:
        """E.g. `cannabis/3`."""
        return f"{self.id}/{self.release}"

    @property
    def strongest(self) -> ServedTier:
        """The last tier of the cascade."""
        return self.tiers[-1]

    def folder(self, repository: Path) -> Path:
        """Where the release lies in a model repository."""
        return repository / "releases" / self.id / str(self.release)


@dataclass(frozen=True, slots=True)
class EngineFile:
    """A tier's engine, as the release binds it.

    Attributes:
        model: The name of the tier's ensemble in Triton.
        path: The ONNX file.
        gives_pixels: Whether the ensemble can give the decoded photo back.
        framing: How a photo becomes a square.
    """

    model: str
    path: Path
    gives_pixels: bool
    framing: Framing


def read_engines(task: ServedTask, repository: Path) -> dict[str, EngineFile]:
    """Returns the engine of each tier of the active release, by the tier's id."""
    release = json.loads((task.folder(repository) / "release.json").read_text(encoding="utf-8"))
    return {
        each["tier"]: EngineFile(
            each["engine"]["model"],
            repository / each["engine"]["path"],
            each["engine"].get("gives_pixels", False),
            Framing(each["engine"].get("framing", Framing.CENTRE)),
        )
        for each in release["tiers"]
    }
