"""The preprocessing contract: one definition of how an encoded photo becomes a tensor.

Pillow, pillow-heif and numpy, nothing else. The gateway uses `read_header` only; Triton's
preprocessing step and training use `prepare`, so that a model meets in production exactly
the pixels that it was trained on.
"""

from server.domain.framing import Framing
from server.imaging.header import MAX_PHOTO_BYTES, MAX_PHOTO_PIXELS, PhotoHeader, read_header
from server.imaging.prepare import BORDER, prepare

__all__ = ["BORDER", "MAX_PHOTO_BYTES", "MAX_PHOTO_PIXELS", "Framing", "PhotoHeader", "prepare", "read_header"]
