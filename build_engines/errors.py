"""Errors of building: each carries its facts and says, in a second line, how to mend it.

BuildError
├── CheckpointRefusedError    the checkpoint is missing, malformed or damaged
├── StepMissingError          an earlier step has not been done, or was done on something else
├── ParityError               a converted model answers otherwise than the one it was made from
├── PrecisionError            no precision answers like the exported model
├── GatesFailedError          the release does not keep what a release promises
├── MixedTiersError           the tiers of one release do not belong together
└── ReleaseExistsError        releases are immutable: the number is taken
"""

from collections.abc import Mapping
from pathlib import Path


class BuildError(Exception):
    """Base of everything that building raises on purpose; the message is the cause, a newline, the cure."""

    def __init__(self, cause: str, *, cure: str) -> None:
        """Keeps cause and cure."""
        super().__init__(f"{cause}\n{cure}")
        self.cause = cause
        self.cure = cure


class CheckpointRefusedError(BuildError):
    """The checkpoint is missing, malformed or damaged."""

    def __init__(self, folder: Path, *findings: str) -> None:
        """Keeps all findings."""
        super().__init__(
            f"{folder} is no sound checkpoint: {'; '.join(findings)}", cure="Train again: loupe-train train"
        )
        self.findings = findings


class StepMissingError(BuildError):
    """An earlier step has not been done, or was done on something else."""

    def __init__(self, step: str, *, why: str, command: str) -> None:
        """Keeps the step."""
        super().__init__(f"Step {step} is not there: {why}.", cure=f"Run: {command}")
        self.step = step


class ParityError(BuildError):
    """A converted model answers otherwise than the one it was made from."""

    def __init__(self, step: str, *, output: str, difference: float, tolerance: float) -> None:
        """Keeps the output that is farthest off."""
        super().__init__(
            f"After {step}, output {output} is off by {difference:.3g} (allowed {tolerance:.3g}).",
            cure="The conversion is at fault, not the photos: compare the graphs, and report the versions used.",
        )
        self.output = output
        self.difference = difference


class PrecisionError(BuildError):
    """No precision answers like the exported model."""

    def __init__(self, refused: Mapping[str, str]) -> None:
        """Keeps why each was refused."""
        named = "; ".join(f"{precision}: {why}" for precision, why in refused.items())
        super().__init__(
            f"No engine answers like the exported model: {named}.",
            cure="The conversion is at fault, not the photos: compare the graphs, and report the versions used.",
        )
        self.refused = dict(refused)


class GatesFailedError(BuildError):
    """The release does not keep what a release promises."""

    def __init__(self, *failures: str) -> None:
        """Keeps every failing gate."""
        super().__init__(
            f"{len(failures)} gates fail: {'; '.join(failures)}.",
            cure="Mend the model or bring more labels; the gates stay where they are. Where insufficient labels are all"
            " that fails, --few-labels makes a release that promises nothing of its confidences, and says so.",
        )
        self.failures = failures


class PromiseOutOfReachError(BuildError):
    """Nothing keeps the promise, not even the strongest tier by itself."""

    def __init__(self, limit: float) -> None:
        """Keeps what was asked for."""
        super().__init__(
            f"No thresholds keep the error of each decision head within {limit:.1%}.",
            cure="Ask for more with --epsilon, bring more labels, or train a stronger tier.",
        )
        self.limit = limit


class MixedTiersError(BuildError):
    """The tiers of one release do not belong together."""

    def __init__(self, first: str, other: str, *, what: str = "answer other questions") -> None:
        """Keeps both tiers."""
        super().__init__(
            f"Tiers {first} and {other} {what}.",
            cure="Train all tiers of a release on one task file and one dataset, and name them cheapest first.",
        )
        self.tiers = (first, other)


class ReleaseExistsError(BuildError):
    """Releases are immutable: the number is taken."""

    def __init__(self, release: str, *, path: Path) -> None:
        """Keeps what is in the way."""
        super().__init__(f"Release {release} exists: {path}.", cure="Publish under the next number with --number.")
        self.release = release
        self.path = path
