"""How a Triton stands, and who is told of it."""

import enum
from collections.abc import Callable


class BackendState(enum.Enum):
    """How the backend stands."""

    STARTING = "starting"
    """Nothing has been proved yet."""

    SERVING = "serving"
    """Every tier gave its known answers, but for stronger ones that do not answer and are served without."""

    RECOVERING = "recovering"
    """Something broke and is being mended; calls may fail."""

    STOPPED = "stopped"
    """Nobody watches any more."""


Listener = Callable[[BackendState], None]


class StateFeed:
    """The state of a backend, told to whoever listens."""

    def __init__(self) -> None:
        """Begins with nothing proved and nobody listening."""
        self._state = BackendState.STARTING
        self._listeners: list[Listener] = []

    @property
    def state(self) -> BackendState:
        """How the backend stands."""
        return self._state

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Tells `listener` the state now and at each change, in the event loop; it must not block or raise.

        Returns:
            What ends the subscription when called.
        """
        self._listeners.append(listener)
        listener(self._state)
        return lambda: self._listeners.remove(listener)

    def publish(self, state: BackendState) -> None:
        """Tells everybody of a new state."""
        if state is self._state:
            return
        self._state = state
        for listener in tuple(self._listeners):
            listener(state)
