"""The ids of inspections: sorted by time, not to be guessed, and known as our own without any lookup. Pure.

An id is a UUID of version 7 followed by a keyed digest of it, in hexadecimal digits. Feedback on an
id that carries a right digest is never "not found", even before its inspection has been stored.
"""

import hashlib
import hmac
import re
from dataclasses import dataclass, field

ENTROPY_BYTES = 10
MIN_KEY_BYTES = 16

_UUID_BYTES = 16
_TAG_BYTES = 8
_MAX_KEY_BYTES = 64
_FORM = re.compile(rf"[0-9a-f]{{{2 * (_UUID_BYTES + _TAG_BYTES)}}}")


@dataclass(frozen=True, slots=True)
class InspectionIds:
    """Issues ids, and tells own ones from others.

    Attributes:
        key: The secret, 16 to 64 bytes; whoever shares it issues and recognises the same ids.
    """

    key: bytes = field(repr=False)

    def __post_init__(self) -> None:
        """Raises ValueError for a key that is too short to be a secret, or too long."""
        if not MIN_KEY_BYTES <= len(self.key) <= _MAX_KEY_BYTES:
            raise ValueError(f"the key must have {MIN_KEY_BYTES} to {_MAX_KEY_BYTES} bytes, got {len(self.key)}")

    def issue(self, utc_s: float, entropy: bytes) -> str:
        """Returns a new id.

        Args:
            utc_s: Seconds since 1970-01-01 UTC.
            entropy: `ENTROPY_BYTES` random bytes.
        """
        milliseconds = int(utc_s * 1000)
        bits = milliseconds << 80 | int.from_bytes(entropy, "big")
        # RFC 9562: version 7 in bits 48-51, variant 0b10 in bits 64-65.
        bits = bits & ~(0xF << 76) | 0x7 << 76
        bits = bits & ~(0x3 << 62) | 0x2 << 62
        uuid = bits.to_bytes(_UUID_BYTES, "big")
        return (uuid + self._tag(uuid)).hex()

    def is_own(self, inspection_id: str) -> bool:
        """Whether an id was issued with this key."""
        if not _FORM.fullmatch(inspection_id):
            return False
        content = bytes.fromhex(inspection_id)
        return hmac.compare_digest(content[_UUID_BYTES:], self._tag(content[:_UUID_BYTES]))

    def _tag(self, uuid: bytes) -> bytes:
        return hashlib.blake2b(uuid, key=self.key, digest_size=_TAG_BYTES).digest()
