"""A release: an immutable, numbered bundle of one task that binds engines, calibrators and thresholds."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from server.domain.assurance import Assurance
from server.domain.calibration.calibrator import Calibrator
from server.domain.errors import ReleaseRefusedError, UnknownTierError
from server.domain.known_answer import KnownAnswer
from server.domain.task import Task
from server.domain.uncertainty import UncertaintyScale


@dataclass(frozen=True, slots=True)
class EngineRef:
    """A compiled model, by name and by content.

    Attributes:
        model: The Triton ensemble's name, e.g. `cannabis_r1_fast`.
        precision: What was reached, e.g. `fp32`, `fp16`, `int8`.
        sha256: Of the engine's file, 64 hexadecimal digits.
        path: The engine's file, relative to the model repository's root.
        input_size_px: The side of the square input.
        attention_grid: Rows and columns of the attention map.
    """

    model: str
    precision: str
    sha256: str
    path: str
    input_size_px: int
    attention_grid: tuple[int, int]


@dataclass(frozen=True, slots=True)
class TierRelease:
    """One tier of a release: an engine and everything that gives its outputs a meaning.

    Attributes:
        tier: The tier's id, e.g. `fast`.
        engine: What runs.
        calibrators: By head id, one a head, each fitted on the outputs of this very engine.
        thresholds: By decision head id, the confidence that suffices (inclusive); above 1 for never.
        uncertainty: Maps the engine's uncertainty outputs to shares.
        known_answer: What the engine must answer on known inputs before it may serve.
        assurances: By head id, what vouches for its confidences; nothing for heads that are not named.
    """

    tier: str
    engine: EngineRef
    calibrators: Mapping[str, Calibrator]
    thresholds: Mapping[str, float]
    uncertainty: UncertaintyScale
    known_answer: KnownAnswer
    assurances: Mapping[str, Assurance] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Release:
    """What is served, promoted and rolled back.

    Attributes:
        task: The taxonomy that the engines answer.
        number: Counts up from 1 within the task.
        tiers: Cheapest first; at least one.
    """

    task: Task
    number: int
    tiers: tuple[TierRelease, ...]

    def __post_init__(self) -> None:
        """Raises ReleaseRefusedError, with all findings, unless every part belongs to every other."""
        findings = [*self._tier_findings()]
        if self.number < 1:
            findings.append(f"its number {self.number} is below 1")
        if findings:
            raise ReleaseRefusedError(f"{self.task.id}/{self.number}", *findings)

    def _tier_findings(self) -> list[str]:
        findings = []
        if not self.tiers:
            findings.append("it has no tier")
        if len(set(self.tier_ids)) != len(self.tiers):
            findings.append(f"a tier occurs twice in {self.tier_ids}")
        for tier in self.tiers:
            if set(tier.calibrators) != set(self.task.head_ids):
                findings.append(f"tier {tier.tier} has calibrators for {sorted(tier.calibrators)}")
            if set(tier.thresholds) != set(self.task.decision_heads):
                findings.append(f"tier {tier.tier} has thresholds for {sorted(tier.thresholds)}")
            findings += self._assurance_findings(tier)
            for head_id, calibrator in tier.calibrators.items():
                if calibrator.engine_sha256 != tier.engine.sha256:
                    findings.append(f"the calibrator of {tier.tier}/{head_id} was fitted on another engine")
                elif head_id in self.task.head_ids:
                    findings += calibrator.findings_for(self.task.head(head_id))
        return findings

    def _assurance_findings(self, tier: TierRelease) -> list[str]:
        strangers = set(tier.assurances) - set(self.task.head_ids)
        findings = [f"tier {tier.tier} vouches for {head_id}, which is no head" for head_id in sorted(strangers)]
        for head in self.task.heads:
            if head.id in tier.assurances:
                findings += tier.assurances[head.id].findings_for(head)
        return findings

    @property
    def name(self) -> str:
        """The resource name, `tasks/{task}/releases/{release}`."""
        return f"tasks/{self.task.id}/releases/{self.number}"

    @property
    def tier_ids(self) -> tuple[str, ...]:
        """The ids of the tiers, cheapest first."""
        return tuple(tier.tier for tier in self.tiers)

    def tier(self, tier_id: str) -> TierRelease:
        """Returns the tier of this id.

        Raises:
            UnknownTierError: The release has no such tier.
        """
        for tier in self.tiers:
            if tier.tier == tier_id:
                return tier
        raise UnknownTierError(tier_id, known=self.tier_ids)
