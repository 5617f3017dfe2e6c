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
        address: Where.
    """

    def __init__(self, address: str, cause: str) -> None:
        """Says where, and why not."""
        super().__init__(f"cannot listen on {address}: {cause}")
        self.address = address
