"""Every setting of the gateway, with its unit; read once, in `__main__`, from the environment.

The only module that looks at the environment. A variable that begins with `LOUPE_` and is no
setting is an error: a misspelt setting must not be ignored.
"""

import difflib
import os
import tempfile
from pathlib import Path
from typing import Final, Literal, Self

from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

PREFIX: Final = "LOUPE_"
CHECKOUT: Final = Path(__file__).resolve().parent.parent


class SettingsError(Exception):
    """The environment does not make valid settings; the message names every finding."""


class Settings(BaseSettings):
    """The gateway's settings; each is read from `LOUPE_<NAME>`."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, frozen=True, extra="forbid", use_attribute_docstrings=True, hide_input_in_errors=True
    )

    listen: str = Field(default="127.0.0.1:50051", pattern=r"^(unix:\S+|\S+:\d{1,5})$")
    """Where the gateway listens: host and port, port 0 for a free one; or unix:PATH for callers on this machine."""

    metrics_listen: str = Field(default="127.0.0.1:9464", pattern=r"^(|\S+:\d{1,5})$")
    """Where Prometheus finds the gateway's metrics: host and port, port 0 for a free one; empty for nowhere."""

    otlp_endpoint: str | None = Field(default=None, pattern=r"^https?://\S+$")
    """Where traces go: the base URL of an OpenTelemetry receiver over HTTP, e.g. http://127.0.0.1:4318. Without it
    nothing is traced."""

    trace_share: float = Field(default=0.01, ge=0, le=1)
    """The share of calls that are traced, beside those whose callers have decided themselves."""

    tls_certificate: Path | None = None
    """The certificate chain of the gateway, PEM. Without it the gateway speaks no TLS."""

    tls_key: Path | None = None
    """The private key to `tls_certificate`, PEM."""

    model_repository: Path = CHECKOUT / "model_repository"
    """The folder with `releases` and `triton`."""

    triton_address: str | None = Field(default=None, pattern=r"^(unix:\S+|\S+:\d{1,5})$")
    """A Triton that somebody else runs on the same model repository, in explicit model control mode: host and port, or
    unix:PATH. Without it the gateway runs the embedded one. Nobody but the gateway should reach it."""

    run_root: Path = Path(tempfile.gettempdir())
    """Where the embedded Triton's private run directory is made; programs must be allowed to run from there."""

    instance_count: int = Field(default=2, ge=1, le=64)
    """Instances of each step of a tier in the embedded Triton; about one a core."""

    batch_size: int = Field(default=4, ge=1, le=8)
    """Photos that travel to Triton in one call, if they wait together; 1 sends each alone."""

    admission_in_flight: int = Field(default=16, ge=1, le=1024)
    """Requests that run in a tier at once: a few for each instance, so that none has to be woken for each photo."""

    admission_waiting: int = Field(default=128, ge=0, le=65536)
    """Requests that wait for a tier beyond those; more are refused."""

    escalation_backlog: int | None = Field(default=None, ge=0, le=65536)
    """While more calls than this have no answer yet, no answer is bettered by a stronger tier; such an answer is
    degraded, and says so. Twice `instance_count` by default. Photos of streams do not count: their callers wait for all
    of them."""

    max_concurrent_calls: int = Field(default=1024, ge=1, le=65536)
    """Calls that the server reads at once; more are refused before they are read."""

    stream_in_flight: int = Field(default=8, ge=1, le=256)
    """Photos of one stream that are answered at once; the next is read when an answer has left."""

    default_deadline_s: float = Field(default=10.0, gt=0, le=3600)
    """The deadline of a call that names none, in seconds."""

    longest_deadline_s: float = Field(default=60.0, gt=0, le=3600)
    """The latest deadline that is granted, in seconds."""

    answer_reserve_s: float = Field(default=0.02, ge=0, le=10)
    """What a stronger tier leaves of the caller's time, so that a weaker answer still arrives, in seconds."""

    escalation_patience_s: float = Field(default=1.5, ge=0.25, le=60)
    """The longest that a stronger tier is waited for, queue included, in seconds; then the weaker answer goes out."""

    drain_grace_s: float = Field(default=20.0, ge=0, le=600)
    """How long calls in flight may take to finish once the gateway is told to stop, in seconds."""

    recommend_accept: float = Field(default=0.90, ge=0, le=1)
    """The confidence of the weakest decision head from which (inclusive) an answer is accepted."""

    recommend_likely: float = Field(default=0.75, ge=0, le=1)
    """The confidence from which (inclusive) an answer is likely right."""

    recommend_retake_suggested: float = Field(default=0.60, ge=0, le=1)
    """The confidence from which (inclusive) a retake is suggested; below, it is required."""

    inspection_key: SecretStr | None = None
    """The secret in inspection ids, 16 to 64 characters, shared by all gateways of one service. If unset, ids are
    recognised until the gateway ends."""

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """The least severe messages that are logged."""

    log_format: Literal["text", "json"] = "text"
    """How a line of the log looks; `json` for collectors."""

    access_log: bool = True
    """Whether each call is a line in the log."""

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("tls_certificate and tls_key come together")
        if self.default_deadline_s > self.longest_deadline_s:
            raise ValueError("default_deadline_s must not exceed longest_deadline_s")
        if not self.recommend_accept >= self.recommend_likely >= self.recommend_retake_suggested:
            raise ValueError("recommend_accept, recommend_likely and recommend_retake_suggested must fall")
        key = self.inspection_key
        if key is not None and not 16 <= len(key.get_secret_value().encode()) <= 64:  # noqa: PLR2004 -- stated above
            raise ValueError("inspection_key must have 16 to 64 characters")
        return self


def read_settings() -> Settings:
    """Returns the settings in this process's environment.

    Raises:
        SettingsError: A variable is unknown or has no valid value; names all of them.
    """
    names = [name.removeprefix(PREFIX).lower() for name in os.environ if name.startswith(PREFIX)]
    findings = [_unknown(name) for name in names if name not in Settings.model_fields]
    try:
        settings = Settings()
    except ValidationError as error:
        findings += [f"{_where(each['loc'])}{each['msg'].removeprefix('Value error, ')}" for each in error.errors()]
    if findings:
        raise SettingsError("; ".join(findings))
    return settings


def _unknown(name: str) -> str:
    similar = difflib.get_close_matches(name, Settings.model_fields, n=1)
    hint = f"; did you mean {PREFIX}{similar[0].upper()}?" if similar else ""
    return f"{PREFIX}{name.upper()} is no setting{hint}"


def _where(location: tuple[str | int, ...]) -> str:
    return f"{PREFIX}{str(location[0]).upper()}: " if location else ""
