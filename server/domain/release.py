"""A release: an immutable, numbered bundle of one task that binds engines, calibrators and thresholds."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite

from server.domain.assurance import Assurance
from server.domain.calibration.calibrator import Calibrator
from server.domain.errors import ReleaseRefusedError, UnknownTierError
from server.domain.framing import Framing
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
        gives_pixels: Whether its ensemble can give the decoded photo back; those of the first releases cannot.
        framing: How a photo becomes a square.
    """

    model: str
    precision: str
    sha256: str
    path: str
    input_size_px: int
    attention_grid: tuple[int, int]
    gives_pixels: bool = False
    framing: Framing = Framing.CENTRE

    def sees_as(self, other: "EngineRef") -> bool:
        """Whether both take the same pixels of a photo."""
        return (self.input_size_px, self.framing) == (other.input_size_px, other.framing)


@dataclass(frozen=True, slots=True)
class Meaning:
    """What an engine's outputs mean on some photos: confidences are honest only on photos like those of the fit.

    Attributes:
        calibrators: By head id, one a head, each fitted on the outputs of this very engine.
        uncertainty: Maps the engine's uncertainty outputs to shares.
        assurances: By head id, what vouches for its confidences; nothing for heads that are not named.
    """

    calibrators: Mapping[str, Calibrator]
    uncertainty: UncertaintyScale
    assurances: Mapping[str, Assurance] = field(default_factory=dict)

    def findings_for(self, task: Task, engine: EngineRef) -> list[str]:
        """Returns what keeps it from serving a task's answers from an engine; empty if nothing."""
        findings = []
        if set(self.calibrators) != set(task.head_ids):
            findings.append(f"has calibrators for {sorted(self.calibrators)}")
        strangers = set(self.assurances) - set(task.head_ids)
        findings += [f"vouches for {head_id}, which is no head" for head_id in sorted(strangers)]
        for head in task.heads:
            if head.id in self.assurances:
                findings += self.assurances[head.id].findings_for(head)
        return findings + calibrator_findings(self.calibrators, task, engine)


@dataclass(frozen=True, slots=True)
class TierRelease:
    """One tier of a release: an engine and everything that gives its outputs a meaning.

    Attributes:
        tier: The tier's id, e.g. `fast`.
        engine: What runs.
        meaning: Of the outputs on any photo: for answers that left the release's own path.
        thresholds: By decision head id, the confidence that suffices (inclusive); above 1 for never.
        known_answer: What the engine must answer on known inputs before it may serve.
        deciders: By decision head id, the calibrators whose confidences the thresholds are for: those that the
            cascade's promise was tested with. A head that is not named is decided by its calibrator of `meaning`.
        meaning_at_exit: Of the outputs on the photos that stop here on the release's own path, of decision heads as
            fused; as `meaning` if None.
        fusion: By decision head id, how much each tier's word counts here on the release's own path, this tier's last,
            at least 0. A head that is not named is answered by this tier alone.
    """

    tier: str
    engine: EngineRef
    meaning: Meaning
    thresholds: Mapping[str, float]
    known_answer: KnownAnswer
    deciders: Mapping[str, Calibrator] = field(default_factory=dict)
    meaning_at_exit: Meaning | None = None
    fusion: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    @property
    def may_stop(self) -> bool:
        """Whether some confidence reaches every threshold."""
        return all(threshold <= 1 for threshold in self.thresholds.values())

    def decider(self, head_id: str) -> Calibrator:
        """Returns what turns a decision head's outputs into the confidence that is held against the threshold."""
        return self.deciders.get(head_id) or self.meaning.calibrators[head_id]

    def meaning_of(self, *, is_own_exit: bool) -> Meaning:
        """Returns the meaning of an answer.

        Args:
            is_own_exit: Whether the photo stopped here on the release's own path.
        """
        return self.meaning_at_exit if is_own_exit and self.meaning_at_exit is not None else self.meaning

    def findings_for(self, task: Task, *, place: int) -> list[str]:
        """Returns what keeps it from being released as the tier at this place, from 0; empty if nothing."""
        findings = self.meaning.findings_for(task, self.engine)
        if set(self.thresholds) != set(task.decision_heads):
            findings.append(f"has thresholds for {sorted(self.thresholds)}")
        strangers = set(self.deciders) - set(task.decision_heads)
        findings += [f"decides by {head_id}, which is no decision head" for head_id in sorted(strangers)]
        findings += calibrator_findings(self.deciders, task, self.engine)
        if self.meaning_at_exit is not None:
            findings += [f"at its exit {each}" for each in self.meaning_at_exit.findings_for(task, self.engine)]
        for head_id, weights in self.fusion.items():
            if head_id not in task.decision_heads:
                findings.append(f"fuses {head_id}, which is no decision head")
            if len(weights) != place + 1 or not all(isfinite(each) and each >= 0 for each in weights):
                findings.append(f"fuses {head_id} by {weights}, not by {place + 1} weights of at least 0")
        return findings


def calibrator_findings(calibrators: Mapping[str, Calibrator], task: Task, engine: EngineRef) -> list[str]:
    """Returns what keeps calibrators from serving an engine; heads that the task has not are left to others."""
    findings = []
    for head_id, calibrator in calibrators.items():
        if calibrator.engine_sha256 != engine.sha256:
            findings.append(f"has a calibrator of {head_id} that was fitted on another engine")
        elif head_id in task.head_ids:
            findings += calibrator.findings_for(task.head(head_id))
    return findings


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
        for place, tier in enumerate(self.tiers):
            findings += [f"tier {tier.tier} {each}" for each in tier.findings_for(self.task, place=place)]
            may_answer = tier.may_stop or place == len(self.tiers) - 1
            if tier.fusion and tier.meaning_at_exit is None and may_answer:
                findings.append(f"tier {tier.tier} is fused, and what that means at its exit is missing")
        return findings

    @property
    def name(self) -> str:
        """The resource name, `tasks/{task}/releases/{release}`."""
        return f"tasks/{self.task.id}/releases/{self.number}"

    @property
    def tier_ids(self) -> tuple[str, ...]:
        """The ids of the tiers, cheapest first."""
        return tuple(tier.tier for tier in self.tiers)

    @property
    def is_fused(self) -> bool:
        """Whether some tier's answers are fused with those before it; then none of them is passed over."""
        return any(tier.fusion for tier in self.tiers)

    def tier(self, tier_id: str) -> TierRelease:
        """Returns the tier of this id.

        Raises:
            UnknownTierError: The release has no such tier.
        """
        for tier in self.tiers:
            if tier.tier == tier_id:
                return tier
        raise UnknownTierError(tier_id, known=self.tier_ids)
