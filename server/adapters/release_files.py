"""Releases on disk: the schema of `release.json`, and the one way from files to a `Release` that may be served.

A release is trusted only as far as its digests go: every file that it names is hashed on
loading, and all that is wrong is said at once. Where training and building end, serving begins.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import file_digest
from pathlib import Path, PurePosixPath
from typing import Literal

from pydantic import Field, JsonValue, ValidationError, model_validator

from server.adapters.assurance_part import AnyAssurancePart
from server.adapters.calibrator_part import AnyCalibratorPart
from server.adapters.part import Digest, Part
from server.domain.errors import ReleaseRefusedError
from server.domain.framing import Framing
from server.domain.known_answer import KnownAnswer
from server.domain.release import EngineRef, Meaning, Release, TierRelease
from server.domain.task import Head, HeadKind, Task
from server.domain.uncertainty import UncertaintyScale

RELEASE_NAME = "release.json"

_RELEASES_FOLDER = "releases"


@dataclass(frozen=True, slots=True, order=True)
class ReleaseId:
    """Which release: a task's id and the release's number."""

    task: str
    number: int

    def folder(self, model_repository: Path) -> Path:
        """Where its report and `release.json` lie."""
        return model_repository / _RELEASES_FOLDER / self.task / str(self.number)

    def __str__(self) -> str:
        return f"{self.task}/{self.number}"


class HeadPart(Part):
    """One head of the taxonomy."""

    id: str
    title: str
    kind: HeadKind
    labels: tuple[str, ...]

    def to_domain(self) -> Head:
        """Returns the domain's head."""
        return Head(self.id, self.title, self.kind, self.labels)


class TaskPart(Part):
    """The taxonomy."""

    id: str
    title: str
    heads: tuple[HeadPart, ...]
    decision_heads: tuple[str, ...]

    def to_domain(self) -> Task:
        """Returns the domain's task."""
        return Task(self.id, self.title, tuple(head.to_domain() for head in self.heads), self.decision_heads)


class EnginePart(Part):
    """A compiled model."""

    model: str
    precision: str
    sha256: Digest
    path: str
    input_size_px: int = Field(gt=0)
    attention_grid: tuple[int, int]
    gives_pixels: bool = False
    framing: Framing = Framing.CENTRE

    def to_domain(self) -> EngineRef:
        """Returns the domain's engine."""
        return EngineRef(
            self.model,
            self.precision,
            self.sha256,
            self.path,
            self.input_size_px,
            self.attention_grid,
            self.gives_pixels,
            self.framing,
        )


class UncertaintyPart(Part):
    """The scale of the uncertainty outputs."""

    feature_distance_quantiles: tuple[float, ...]
    logit_variance_quantiles: tuple[float, ...]
    out_of_distribution_distance: float
    false_alarm_rate: float

    def to_domain(self) -> UncertaintyScale:
        """Returns the domain's scale."""
        return UncertaintyScale(
            self.feature_distance_quantiles,
            self.logit_variance_quantiles,
            self.out_of_distribution_distance,
            self.false_alarm_rate,
        )


class KnownAnswerPart(Part):
    """What the engine must answer on known inputs."""

    photo_path: str
    photo_sha256: Digest
    block_means: tuple[float, ...]
    pattern_outputs: dict[str, tuple[float, ...]]
    photo_outputs: dict[str, tuple[float, ...]]
    block_tolerance: float = Field(gt=0)
    output_tolerance: float = Field(gt=0)

    def to_domain(self) -> KnownAnswer:
        """Returns the domain's known answer."""
        return KnownAnswer(
            self.photo_path,
            self.photo_sha256,
            self.block_means,
            self.pattern_outputs,
            self.photo_outputs,
            self.block_tolerance,
            self.output_tolerance,
        )


class MeaningPart(Part):
    """What an engine's outputs mean."""

    calibrators: dict[str, AnyCalibratorPart]
    uncertainty: UncertaintyPart
    assurances: dict[str, AnyAssurancePart] = Field(default={})

    def to_domain(self) -> Meaning:
        """Returns the domain's meaning."""
        return Meaning(
            calibrators={head: part.to_domain() for head, part in self.calibrators.items()},
            uncertainty=self.uncertainty.to_domain(),
            assurances={head: part.to_domain() for head, part in self.assurances.items()},
        )


class TierPart(Part):
    """One tier."""

    tier: str
    engine: EnginePart
    meaning: MeaningPart
    thresholds: dict[str, float]
    known_answer: KnownAnswerPart
    deciders: dict[str, AnyCalibratorPart] = Field(default={})
    meaning_at_exit: MeaningPart | None = None
    fusion: dict[str, tuple[float, ...]] = Field(default={})

    @model_validator(mode="before")
    @classmethod
    def _from_schema_1(cls, value: object) -> object:
        """Accepts tiers of schema 1, whose meaning lay spread over the tier."""
        if not isinstance(value, dict) or "meaning" in value:
            return value
        kept = {name: each for name, each in value.items() if name not in MeaningPart.model_fields}
        return kept | {"meaning": {name: value[name] for name in MeaningPart.model_fields if name in value}}

    def to_domain(self) -> TierRelease:
        """Returns the domain's tier."""
        return TierRelease(
            tier=self.tier,
            engine=self.engine.to_domain(),
            meaning=self.meaning.to_domain(),
            thresholds=self.thresholds,
            known_answer=self.known_answer.to_domain(),
            deciders={head: part.to_domain() for head, part in self.deciders.items()},
            meaning_at_exit=None if self.meaning_at_exit is None else self.meaning_at_exit.to_domain(),
            fusion=self.fusion,
        )


class ReleaseFile(Part):
    """What `release.json` holds.

    Attributes:
        schema_version: 2; what was released by schema 1 is still read.
        task: The taxonomy.
        number: Counts up from 1 within the task.
        tiers: Cheapest first.
        files: By path relative to the model repository's root, the SHA-256 of every other file of the release.
        metrics: What was measured on val_test, for people and for later releases to compare with.
        provenance: Where it came from, and the commands that make it again.
    """

    schema_version: Literal[1, 2] = 2
    task: TaskPart
    number: int = Field(ge=1)
    tiers: tuple[TierPart, ...]
    files: dict[str, Digest]
    metrics: dict[str, JsonValue]
    provenance: dict[str, JsonValue]


def find_releases(model_repository: Path) -> tuple[ReleaseId, ...]:
    """Returns all releases that lie in a model repository, by task and number; they are not read."""
    found = (model_repository / _RELEASES_FOLDER).glob(f"*/*/{RELEASE_NAME}")
    numbered = (each.parent for each in found if re.fullmatch(r"[1-9][0-9]*", each.parent.name))
    return tuple(sorted(ReleaseId(folder.parent.name, int(folder.name)) for folder in numbered))


def load_release(model_repository: Path, task: str, number: int) -> Release:
    """Reads a release and verifies every file of it.

    Args:
        model_repository: Its root, the parent of `releases` and `triton`.
        task: The task's id.
        number: The release's number.

    Raises:
        ReleaseRefusedError: It is missing, malformed, damaged or inconsistent; all findings at once.
    """
    release_id = ReleaseId(task, number)
    file = read_release_file(model_repository, release_id)
    findings = [*_identity_findings(file, release_id), *_file_findings(file, model_repository)]
    try:
        release = Release(file.task.to_domain(), file.number, tuple(tier.to_domain() for tier in file.tiers))
    except ReleaseRefusedError as error:
        raise ReleaseRefusedError(str(release_id), *findings, *error.findings) from error
    except ValueError as error:
        raise ReleaseRefusedError(str(release_id), *findings, str(error)) from error
    if findings:
        raise ReleaseRefusedError(str(release_id), *findings)
    return release


def read_release_file(model_repository: Path, release_id: ReleaseId) -> ReleaseFile:
    """Reads `release.json` and checks its schema only; `load_release` is what serves.

    Raises:
        ReleaseRefusedError: It is missing or breaks the schema.
    """
    path = release_id.folder(model_repository) / RELEASE_NAME
    try:
        return ReleaseFile.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ReleaseRefusedError(str(release_id), f"{path} cannot be read") from error
    except ValidationError as error:
        findings = (f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        raise ReleaseRefusedError(str(release_id), *findings) from error


def dump_release(
    release: Release,
    *,
    files: Mapping[str, str],
    metrics: Mapping[str, JsonValue],
    provenance: Mapping[str, JsonValue],
) -> str:
    """Returns the text of `release.json`.

    Args:
        release: What is released.
        files: By path relative to the model repository's root, the SHA-256 of every other file of the release.
        metrics: What was measured.
        provenance: Where it came from.
    """
    file = ReleaseFile(
        task=TaskPart.model_validate(release.task),
        number=release.number,
        tiers=tuple(TierPart.model_validate(tier) for tier in release.tiers),
        files=dict(files),
        metrics=dict(metrics),
        provenance=dict(provenance),
    )
    return file.model_dump_json(indent=1) + "\n"


def file_sha256(path: Path) -> str:
    """Returns the SHA-256 of a file, 64 hexadecimal digits."""
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def _identity_findings(file: ReleaseFile, release_id: ReleaseId) -> list[str]:
    named = ReleaseId(file.task.id, file.number)
    return [] if named == release_id else [f"its folder says {release_id}, its content {named}"]


def _file_findings(file: ReleaseFile, model_repository: Path) -> list[str]:
    """Hashes every file, and checks that engines and known answers are among them."""
    findings = []
    for name, sha256 in file.files.items():
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts:
            findings.append(f"{name} leads out of the model repository")
        elif not (model_repository / path).is_file():
            findings.append(f"{name} is missing")
        elif file_sha256(model_repository / path) != sha256:
            findings.append(f"{name} is damaged: its SHA-256 is not the one that was released")
    for tier in file.tiers:
        known = tier.known_answer
        bound = ((tier.engine.path, tier.engine.sha256), (known.photo_path, known.photo_sha256))
        findings += [
            f"tier {tier.tier} binds {path} by another SHA-256 than the release"
            for path, sha256 in bound
            if file.files.get(path) != sha256
        ]
    return findings
