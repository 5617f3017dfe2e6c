"""Reads the size of a JPEG off its frame header, in a few microseconds: every request passes here.

Only what is plain is answered; whatever needs a decoder's judgement is left to the decoder.
"""

import struct

_SEGMENT = struct.Struct(">BBH")
_FRAME_SIZE = struct.Struct(">HH")
_FRAME_SIZE_OFFSET = 5
_MARKER = 0xFF
# Baseline, extended and progressive: what phones write.
_FRAME_HEADERS = frozenset({0xC0, 0xC1, 0xC2})
# Application data, comments and tables stand before the frame header.
_SKIPPED = frozenset({*range(0xE0, 0xF0), 0xFE, 0xDB, 0xC4, 0xDD})
_FIRST_SEGMENT = 2
_MAX_SEGMENTS = 256
_LEAST_FRAME_HEADER = 8
_LEAST_SEGMENT = 2


def plain_jpeg_size(content: bytes) -> tuple[int, int] | None:
    """Returns width and height as stored, each at least 1, or None where it takes a decoder to tell.

    Args:
        content: What begins like a JPEG.
    """
    at = _FIRST_SEGMENT
    for _ in range(_MAX_SEGMENTS):
        if at + _SEGMENT.size > len(content):
            return None
        marker, code, length = _SEGMENT.unpack_from(content, at)
        end = at + 2 + length
        if marker != _MARKER or end > len(content):
            return None
        if code in _FRAME_HEADERS and length >= _LEAST_FRAME_HEADER:
            height, width = _FRAME_SIZE.unpack_from(content, at + _FRAME_SIZE_OFFSET)
            return (width, height) if width and height else None
        if code not in _SKIPPED or length < _LEAST_SEGMENT:
            return None
        at = end
    return None
