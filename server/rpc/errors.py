"""Errors that only the transport knows."""

from server.domain.errors import LoupeError


class MethodNotImplementedError(LoupeError):
    """The contract names this method, and this server does not offer it yet."""

    reason = "METHOD_NOT_IMPLEMENTED"

    def __init__(self, method: str) -> None:
        """Names the method as callers spell it."""
        super().__init__(f"{method} is not implemented by this server")


class ListenError(Exception):
    """The server cannot listen where it should.

    Attributes:
        cause: Where, and why not, in one sentence.
        cure: What to do about it, in one sentence.
    """

    def __init__(self, address: str, why: str, *, cure: str) -> None:
        """Says the cause on the first line and the cure on the second."""
        self.cause = f"Loupe cannot listen on {address}: {why}."
        self.cure = cure
        super().__init__(f"{self.cause}\n{cure}")
