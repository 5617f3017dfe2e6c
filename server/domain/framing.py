"""How a photo becomes the square that an engine sees."""

from enum import StrEnum


class Framing(StrEnum):
    """How a photo becomes a square."""

    CENTRE = "centre"
    """The largest central square: for a thing in the middle; the ends of a long photo are cut off."""

    WHOLE = "whole"
    """All of it, between grey borders: for long things, and whatever may stand at an edge; a pixel shows more."""
