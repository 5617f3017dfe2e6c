"""What the service layer needs of the world, as protocols of one or two methods."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

from server.domain.prediction import Photo, RawPrediction, Wanted
from server.domain.release import EngineRef


class Engines(Protocol):
    """Runs compiled models."""

    async def infer(self, engine: EngineRef, photo: Photo, wanted: Wanted, *, timeout_s: float) -> RawPrediction:
        """Runs one engine on one photo.

        Args:
            engine: What to run.
            photo: Encoded, or as large as the engine's input.
            wanted: What is wanted; of a photo that is decoded already, no pixels.
            timeout_s: The time allowed, above 0.

        Raises:
            PhotoRefusedError: The photo cannot be decoded.
            BackendUnavailableError: The backend is lost, starting or restarting.
            DeadlineExpiredError: The time was not enough.
            EngineFailedError: The engine answered with an error or with something malformed.
        """
        ...


class Tracer(Protocol):
    """Says where the time of a request goes; spans nest as the code does, across tasks too."""

    def call(self, method: str, metadata: Mapping[str, str]) -> AbstractContextManager[str]:
        """Surrounds a call that came in; gives its trace id, or an empty text if it is not traced.

        Args:
            method: The method's full name.
            metadata: What came with the call; a `traceparent` in it is continued.
        """
        ...

    def step(self, name: str) -> AbstractContextManager[object]:
        """Surrounds a part of a call."""
        ...

    def headers(self) -> Sequence[tuple[str, str]]:
        """Returns what lets another server continue the trace; nothing unless it is being recorded."""
        ...


class Untraced:
    """The tracer of who wants no traces."""

    def call(self, method: str, metadata: Mapping[str, str]) -> AbstractContextManager[str]:  # noqa: ARG002
        """Gives an empty text."""
        return nullcontext("")

    def step(self, name: str) -> AbstractContextManager[object]:  # noqa: ARG002
        """Does nothing."""
        return _NOTHING

    def headers(self) -> Sequence[tuple[str, str]]:
        """Returns nothing."""
        return ()


_NOTHING = nullcontext()


class Clock(Protocol):
    """Tells the time; injected, so that tests need not wait."""

    def monotonic_s(self) -> float:
        """Seconds since an arbitrary point, never falling."""
        ...

    def utc_s(self) -> float:
        """Seconds since 1970-01-01 UTC."""
        ...
