"""Turns a source's names of labels into the task's, and refuses what is neither."""

import re
from collections.abc import Mapping

from server.domain.task import Head, HeadKind

Label = str | tuple[str, ...]

_OTHERS = "*"
_NONE_PRESENT = frozenset({"-", "none"})
_BETWEEN = re.compile(r"[;|,]")


class UnknownLabelError(ValueError):
    """A label that the head does not have; the import turns it into a counted problem."""

    def __init__(self, head: str, name: str) -> None:
        """Keeps both."""
        super().__init__(f"{head} has no label {name!r}")
        self.head = head
        self.name = name


def read_label(head: Head, told: object, names: Mapping[str, str]) -> Label | None:
    """Returns what a source says of one head, in the task's words; None if it says nothing.

    Args:
        head: The head.
        told: A name; for attributes several, in a list or separated by `;`, `|` or `,`. Of attributes, an empty cell
            says nothing, while an empty list, `-` or `none` says that none is present.
        names: The source's names to the task's; `<head>.<name>` goes before `<name>`, and `*` stands for all others.

    Raises:
        UnknownLabelError: A name is no label of the head.
    """
    if told is None or (isinstance(told, str) and not told.strip()):
        return None
    if head.kind is HeadKind.CATEGORY:
        return _renamed(head, str(told).strip(), names)
    several = list(told) if isinstance(told, list | tuple) else _BETWEEN.split(str(told))
    words = [str(each).strip() for each in several]
    if len(words) == 1 and words[0].lower() in _NONE_PRESENT and words[0] not in head.labels:
        return ()
    present = {_renamed(head, word, names) for word in words if word}
    return tuple(label for label in head.labels if label in present)


def _renamed(head: Head, name: str, names: Mapping[str, str]) -> str:
    for candidate in (names.get(f"{head.id}.{name}"), names.get(name), name, names.get(_OTHERS)):
        if candidate in head.labels:
            return candidate
    raise UnknownLabelError(head.id, name)
