"""How a Triton stands, which of its models are not to be believed, and who is told of it."""

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
        self._distrusted: set[str] = set()

    @property
    def state(self) -> BackendState:
        """How the backend stands."""
        return self._state

    def distrusts(self, model: str) -> bool:
        """Whether a tier last gave wrong known answers: whatever else it says is not to be served."""
        return model in self._distrusted

    def judge(self, model: str, *, is_right: bool) -> None:
        """Keeps whether a tier's known answers were right when it was last asked."""
        (self._distrusted.discard if is_right else self._distrusted.add)(model)

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
