"""Failures as people meet them: a cause and a cure, in two lines."""

from pathlib import Path

from loupe.errors import (
    DeadlineExpiredError,
    InvalidRequestError,
    LoupeError,
    NotFoundError,
    OverloadedError,
    UnavailableError,
)


class CommandFailedError(Exception):
    """A command cannot do what it was asked to.

    Attributes:
        cause: What is wrong, in one sentence.
        cure: What to do about it, in one sentence.
    """

    def __init__(self, cause: str, *, cure: str) -> None:
        """Says the cause on the first line and the cure on the second."""
        super().__init__(f"{cause}\n{cure}")
        self.cause = cause
        self.cure = cure


def call_failure(error: LoupeError, *, address: str) -> CommandFailedError:
    """Explains a failed call.

    Args:
        error: What the client raised.
        address: Where the gateway should be.
    """
    cause = _sentence(error.message)
    match error:
        case InvalidRequestError() if error.reason == "PHOTO_REFUSED":
            # Refusals say what is wrong and what to do, with a semicolon between.
            cause, _, cure = (_sentence(each) for each in error.violations[0].description.partition("; "))
        case InvalidRequestError() if error.violations:
            rules = "; ".join(f"{each.field}: {each.description}" for each in error.violations)
            cause, cure = f"The gateway refuses the request: {rules}", "Mend what is named, and send it again."
        case NotFoundError():
            cure = "See what is served: loupe tasks"
        case UnavailableError() if not error.reason:
            cause = f"No gateway answers at {address}."
            cure = "Start one (loupe serve), or name another: --address HOST:PORT"
        case UnavailableError() | OverloadedError() if error.retry_after_s is not None:
            cure = f"Try again in {error.retry_after_s:.2g} s."
        case OverloadedError():
            cause, cure = "The photo is too large to be sent.", "Send one of 10 MiB at most."
        case DeadlineExpiredError():
            cure = "Allow more time: --timeout 30"
        case _:
            cause = f"The call failed ({error.code.name}): {error.message}"
            cure = f"Look for request {error.request_id} in the gateway's log." if error.request_id else "Try again."
    return CommandFailedError(cause, cure=cure)


def file_failure(path: Path, error: OSError) -> CommandFailedError:
    """Explains a photo that cannot be read."""
    return CommandFailedError(
        f"{path} cannot be read: {error.strerror}.", cure="Name a photo file: loupe inspect PHOTO"
    )


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."
