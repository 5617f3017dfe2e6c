"""How a refused photo travels through Triton, which knows only error texts: a fixed mark and a code."""

import re

from server.domain.errors import PhotoRefusedError

_MARK = "LOUPE_PHOTO_REFUSED"
_REFUSAL = re.compile(rf"{_MARK}:([A-Z_]+)")


def refusal_text(code: str) -> str:
    """Returns the error text of a refusal; `code` is a key of `PHOTO_REFUSALS`."""
    return f"{_MARK}:{code}"


def refusal_in(text: str) -> PhotoRefusedError | None:
    """Returns the refusal that an error text of Triton carries, or None."""
    match = _REFUSAL.search(text)
    return PhotoRefusedError(match.group(1)) if match else None
