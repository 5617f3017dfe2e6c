"""The exceptions of Loupe: they carry facts as fields and know nothing of gRPC.

    LoupeError
    ├── InvalidRequestError            what the caller sent breaks a rule (all violations at once)
    │   └── PhotoRefusedError          the photo cannot be answered: not decodable, too large, wrong format
    ├── NotFoundError                  a resource that does not exist
    │   ├── UnknownTaskError
    │   ├── UnknownHeadError
    │   └── UnknownTierError
    ├── OverloadedError                shed: more work than the server admits
    ├── BackendUnavailableError        the inference backend is lost, starting or restarting
    ├── DrainingError                  the server is shutting down
    ├── DeadlineExpiredError           the caller's time is over
    ├── EngineFailedError              an engine answered with an error or with something malformed
    ├── CalibrationDataError           the labelled outputs do not suffice to fit a map, or are malformed
    └── ReleaseRefusedError            a release that must not be served: mismatched, damaged, not proven

One table in `server.rpc.status` maps each class to its status; a test proves it exhaustive.
"""

from dataclasses import dataclass
from typing import ClassVar


class LoupeError(Exception):
    """The base of every error that Loupe raises on purpose.

    Attributes:
        reason: A stable identifier in UPPER_SNAKE_CASE, sent to callers as `ErrorInfo.reason`.
    """

    reason: ClassVar[str] = "INTERNAL"


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken rule of a request.

    Attributes:
        field: The path of the field in the request, e.g. `image.content`.
        description: What is wrong and what would be right, in one sentence.
        reason: A stable identifier for programs, in UPPER_SNAKE_CASE; empty where `description` is for people only.
    """

    field: str
    description: str
    reason: str = ""


class InvalidRequestError(LoupeError):
    """What the caller sent breaks at least one rule."""

    reason = "INVALID_REQUEST"

    def __init__(self, *violations: Violation) -> None:
        """Carries every violation found, so that the caller mends them all at once."""
        super().__init__("; ".join(f"{each.field}: {each.description}" for each in violations))
        self.violations = violations


class PhotoRefusedError(InvalidRequestError):
    """The photo cannot be answered.

    Attributes:
        code: Why, as a stable identifier: one of the keys of `PHOTO_REFUSALS`.
    """

    reason = "PHOTO_REFUSED"

    def __init__(self, code: str) -> None:
        """Describes the refusal by its fixed sentence; a decoder's own text never gets in."""
        self.code = code if code in PHOTO_REFUSALS else "UNDECODABLE"
        super().__init__(Violation("image.content", PHOTO_REFUSALS[self.code], self.code))

    @property
    def description(self) -> str:
        """The fixed sentence of this refusal."""
        return PHOTO_REFUSALS[self.code]


PHOTO_REFUSALS: dict[str, str] = {
    "EMPTY": "The photo is empty; send the encoded bytes of a JPEG, PNG, WebP or HEIF file.",
    "TOO_MANY_BYTES": "The photo is over 10 MiB; send a smaller or more strongly compressed one.",
    "UNKNOWN_FORMAT": "The photo is not a JPEG, PNG, WebP or HEIF file; convert it to one of these.",
    "BAD_DIMENSIONS": "The photo's header names no usable width and height; the file is damaged.",
    "TOO_MANY_PIXELS": "The photo has over 50 megapixels; send a smaller one.",
    "UNDECODABLE": "The photo is truncated or damaged and cannot be decoded; send an intact file.",
}


class NotFoundError(LoupeError):
    """A resource that does not exist.

    Attributes:
        resource_type: What kind of thing, e.g. `task`.
        resource: Its name as the caller gave it.
        known: The names that exist, when they are few enough to say.
    """

    reason = "NOT_FOUND"
    resource_type: ClassVar[str] = "resource"

    def __init__(self, resource: str, *, known: tuple[str, ...] = ()) -> None:
        """Names what was asked for and what there is."""
        hint = f"; known: {', '.join(known)}" if known else ""
        super().__init__(f"no {self.resource_type} named {resource!r}{hint}")
        self.resource = resource
        self.known = known


class UnknownTaskError(NotFoundError):
    """No release of this task is being served."""

    reason = "TASK_NOT_FOUND"
    resource_type = "task"


class UnknownHeadError(NotFoundError):
    """The task has no such head."""

    reason = "HEAD_NOT_FOUND"
    resource_type = "head"


class UnknownTierError(NotFoundError):
    """The release has no such tier."""

    reason = "TIER_NOT_FOUND"
    resource_type = "tier"


class OverloadedError(LoupeError):
    """More work than the server admits; try again after `retry_after_s`."""

    reason = "OVERLOADED"

    def __init__(self, what: str, *, retry_after_s: float) -> None:
        """Says what is full and when to come back."""
        super().__init__(f"{what} is full; try again in {retry_after_s:.2f} s")
        self.what = what
        self.retry_after_s = retry_after_s


class BackendUnavailableError(LoupeError):
    """The inference backend is lost, starting or restarting; try again after `retry_after_s`."""

    reason = "BACKEND_UNAVAILABLE"

    def __init__(self, detail: str, *, retry_after_s: float = 1.0) -> None:
        """Carries what was seen; the detail is logged and never sent to callers."""
        super().__init__(detail)
        self.retry_after_s = retry_after_s


class DrainingError(LoupeError):
    """The server is shutting down and takes no new work."""

    reason = "DRAINING"

    def __init__(self, *, retry_after_s: float = 1.0) -> None:
        """Says when another instance can be expected to answer."""
        super().__init__("the server is shutting down")
        self.retry_after_s = retry_after_s


class DeadlineExpiredError(LoupeError):
    """The caller's time is over, or too short for the cheapest tier."""

    reason = "DEADLINE_EXPIRED"


class EngineFailedError(LoupeError):
    """An engine answered with an error, or with something that is not an answer.

    Attributes:
        engine: The Triton model's name.
    """

    reason = "ENGINE_FAILED"

    def __init__(self, engine: str, detail: str) -> None:
        """Carries what was seen; the detail is logged and never sent to callers."""
        super().__init__(f"engine {engine}: {detail}")
        self.engine = engine


class CalibrationDataError(LoupeError):
    """The labelled outputs do not suffice for a calibrator, a band, a set or a threshold, or are malformed."""

    reason = "CALIBRATION_DATA"


class ReleaseRefusedError(LoupeError):
    """A release that must not be served.

    Attributes:
        release: The release, e.g. `cannabis/1`.
        findings: Everything that is wrong with it.
    """

    reason = "RELEASE_REFUSED"

    def __init__(self, release: str, *findings: str) -> None:
        """Names the release and all findings."""
        super().__init__(f"release {release} is refused: " + "; ".join(findings))
        self.release = release
        self.findings = findings
