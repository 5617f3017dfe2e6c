"""The plan of a load test, as `slo.toml` states it: arrivals, the mix of photos and requests, and the limits."""

import math
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from loadtests.errors import PlanRefusedError
from loadtests.photo_kinds import PHOTO_KINDS

DEFAULT_PLAN = Path(__file__).with_name("slo.toml")


class Section(BaseModel):
    """Base of all sections: immutable, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Arrivals(Section):
    """When requests leave: an open loop at a constant rate."""

    per_second: float = Field(gt=0)
    warm_up_seconds: float = Field(ge=0)
    seconds: float = Field(gt=0)
    """What is measured, after the warm-up."""
    seed: int = Field(ge=0)
    at_most_in_flight: int = Field(gt=0)

    @property
    def warm_up_count(self) -> int:
        """How many requests are sent and not counted."""
        return round(self.per_second * self.warm_up_seconds)

    @property
    def measured_count(self) -> int:
        """How many requests are sent and counted."""
        return max(1, round(self.per_second * self.seconds))

    @property
    def count(self) -> int:
        """How many requests are sent in all."""
        return self.warm_up_count + self.measured_count

    def due_s(self, number: int) -> float:
        """When a request leaves, in seconds after the first."""
        return number / self.per_second


class RequestKind(Section):
    """One kind of request in the mix."""

    name: str = Field(min_length=1)
    share: float = Field(gt=0, le=1)
    deadline_ms: float | None = Field(default=None, gt=0)
    """The caller's deadline; none if unset."""
    below_strongest: bool = False
    """Whether the policy names a tier below the strongest."""
    head_count: int | None = Field(default=None, gt=0)
    """How many heads are asked for; all if unset."""


class Slo(Section):
    """The limits, all inclusive."""

    least_sent_share: float = Field(ge=0, le=1)
    p95_ms: float = Field(gt=0)
    failure_share: float = Field(ge=0, le=1)
    degraded_share_without_deadline: float = Field(ge=0, le=1)
    degraded_share_with_deadline: float = Field(ge=0, le=1)


class LoadPlan(Section):
    """The whole file."""

    arrivals: Arrivals
    photos: dict[str, float]
    """By photo kind, its share."""
    requests: tuple[RequestKind, ...]
    slo: Slo

    @field_validator("photos")
    @classmethod
    def _known_photos(cls, photos: dict[str, float]) -> dict[str, float]:
        unknown = sorted(set(photos) - set(PHOTO_KINDS))
        if unknown:
            raise ValueError(f"unknown kinds {', '.join(unknown)}; there are {', '.join(PHOTO_KINDS)}")
        if any(share < 0 for share in photos.values()):
            raise ValueError("a share must not be below 0")
        return photos

    @model_validator(mode="after")
    def _shares_sum_to_one(self) -> Self:
        _check_sum("photos", self.photos.values())
        _check_sum("requests", (each.share for each in self.requests))
        if len({each.name for each in self.requests}) < len(self.requests):
            raise ValueError("each kind of request needs a name of its own")
        return self


def read_plan(path: Path, *, per_second: float | None = None, seconds: float | None = None) -> LoadPlan:
    """Reads a plan.

    Args:
        path: A TOML file such as `slo.toml`.
        per_second: Another rate than the file's.
        seconds: Another length than the file's.

    Raises:
        PlanRefusedError: The file cannot be read, or breaks rules; names all of them.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        changes = {"per_second": per_second, "seconds": seconds}
        arrivals = content.get("arrivals", {}) | {name: each for name, each in changes.items() if each is not None}
        return LoadPlan.model_validate(content | {"arrivals": arrivals})
    except ValidationError as error:
        findings = [f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()]
        raise PlanRefusedError(path, tuple(findings)) from error
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise PlanRefusedError(path, (str(error),)) from error


def _check_sum(what: str, shares: Iterable[float]) -> None:
    total = math.fsum(shares)
    if not math.isclose(total, 1, abs_tol=1e-9):
        raise ValueError(f"the shares of {what} sum to {total:g}, not to 1")
