"""Which part of a photo an engine sees."""

from enum import StrEnum


class Framing(StrEnum):
    """How a photo becomes a square."""

    CENTRE = "centre"
    """The largest central square: nothing is lost of a thing that fills the middle."""

    WHOLE = "whole"
    """All of it, with grey borders: nothing is lost of a long thing, and a pixel shows more of it."""
