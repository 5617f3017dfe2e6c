"""The door of the gateway: shut until the backend has proved itself, and shut again to drain; counts who is inside."""

import asyncio
import enum

from server.domain.errors import BackendUnavailableError, DrainingError

_STARTING_RETRY_S = 1.0


class _State(enum.Enum):
    STARTING = enum.auto()
    OPEN = enum.auto()
    DRAINING = enum.auto()


class Door:
    """A context manager: a request is inside of it from its arrival to its answer."""

    def __init__(self) -> None:
        """Begins shut: the backend is still starting."""
        self._state = _State.STARTING
        self._inside = 0
        self._empty = asyncio.Event()
        self._empty.set()

    def __enter__(self) -> None:
        """Lets a request in.

        Raises:
            BackendUnavailableError: The door has not been opened yet.
            DrainingError: The door has been shut.
        """
        if self._state is not _State.OPEN:
            if self._state is _State.DRAINING:
                raise DrainingError
            raise BackendUnavailableError("the gateway is starting", retry_after_s=_STARTING_RETRY_S)
        self._inside += 1

    def __exit__(self, *_: object) -> None:
        """Lets a request out."""
        self._inside -= 1
        if self._inside == 0 and self._state is _State.DRAINING:
            self._empty.set()

    @property
    def inside(self) -> int:
        """The number of requests inside."""
        return self._inside

    def open(self) -> None:
        """Lets requests in from now on, unless the door is draining."""
        if self._state is _State.STARTING:
            self._state = _State.OPEN

    def shut(self) -> None:
        """Lets no request in any more, for good; those inside finish."""
        self._state = _State.DRAINING
        if self._inside:
            self._empty.clear()

    async def wait_empty(self) -> None:
        """Returns when nobody is inside of a shut door."""
        await self._empty.wait()
