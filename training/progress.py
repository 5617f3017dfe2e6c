"""How long work tells how far it is: a function of (done, in all), given by whoever shows it."""

from collections.abc import Callable

Follow = Callable[[int, int], None]
"""Called with (items done, items in all)."""


def unfollowed(_done: int, _total: int) -> None:
    """Follows nothing: the default."""
