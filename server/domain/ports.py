"""What the service layer needs of the world, as protocols of one or two methods."""

from collections.abc import Sequence
from typing import Protocol

from server.domain.prediction import RawPrediction
from server.domain.release import EngineRef


class Engines(Protocol):
    """Runs compiled models."""

    async def infer(
        self, engine: EngineRef, photo: bytes, *, heads: Sequence[str], with_attention: bool, timeout_s: float
    ) -> RawPrediction:
        """Runs one engine on one encoded photo.

        Args:
            engine: What to run.
            photo: The encoded bytes, as the caller sent them.
            heads: The heads whose logits are wanted.
            with_attention: Whether the attention map is wanted.
            timeout_s: The time allowed, above 0.

        Raises:
            PhotoRefusedError: The photo cannot be decoded.
            BackendUnavailableError: The backend is lost, starting or restarting.
            DeadlineExpiredError: The time was not enough.
            EngineFailedError: The engine answered with an error or with something malformed.
        """
        ...


class Clock(Protocol):
    """Tells the time; injected, so that tests need not wait."""

    def monotonic_s(self) -> float:
        """Seconds since an arbitrary point, never falling."""
        ...

    def utc_s(self) -> float:
        """Seconds since 1970-01-01 UTC."""
        ...
