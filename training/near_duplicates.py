"""Photos that show the same thing twice, found by perceptual hash, and the groups that they belong to.

Two photos are near-duplicates if their hashes differ in few bits. Groups are closed: what is near to one photo of a
group belongs to it, and so do all photos that share a group name or their bytes.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from training.errors import TrainingError
from training.photo_facts import HASH_SIDE, HashBits
from training.progress import Follow, unfollowed

_BLOCK = 2_048

Pairs = npt.NDArray[np.intp]
"""[pair_count, 2] intp. Places of two photos, the smaller one first."""


class NearDuplicateSection(BaseModel):
    """When two photos count as the same thing."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_distance: int = Field(
        default=60,
        ge=0,
        lt=HASH_SIDE**2 // 2,
        description="Bits of 256 in which two near-duplicates may differ; unrelated photos differ in about 128.",
    )
    giant_share: float = Field(
        default=0.2, gt=0, le=1, description="A group of more than this share of the photos is no group but a mistake."
    )
    giant_least: int = Field(default=50, ge=2, description="A group of fewer photos is never a mistake.")


class GiantGroupError(TrainingError):
    """The perceptual hash takes a large part of the photos for one thing."""

    def __init__(self, *, photo_count: int, of: int, max_distance: int) -> None:
        """Keeps the size of the group."""
        super().__init__(
            f"By perceptual hash {photo_count} of {of} photos show the same thing (distance {max_distance} of 256).",
            cure="Photos of one scene look alike: lower --near-distance, and name the column of the specimen if any.",
        )
        self.photo_count = photo_count


def near_pairs(hash_bits: HashBits, *, max_distance: int, on_progress: Follow = unfollowed) -> Pairs:
    """Returns all pairs of photos whose hashes differ in `max_distance` bits at most.

    Args:
        hash_bits: [photo_count, bit_count] bool.
        max_distance: Inclusive.
        on_progress: Called with (photos compared, photos in all).
    """
    signs = np.where(hash_bits, np.float32(1), np.float32(-1))
    found = [np.empty((0, 2), dtype=np.intp), *_pairs_by_block(signs, max_distance, on_progress)]
    return np.concatenate(found)


def _pairs_by_block(signs: npt.NDArray[np.float32], max_distance: int, on_progress: Follow) -> Iterator[Pairs]:
    count, bit_count = signs.shape
    for first in range(0, count, _BLOCK):
        # Products of signs: equal bits add 1, others take 1 away.
        agreement = signs[first : first + _BLOCK] @ signs[first:].T
        rows, columns = np.nonzero(agreement >= bit_count - 2 * max_distance)
        later = columns > rows
        yield np.stack([rows[later], columns[later]], axis=1) + first
        on_progress(min(first + _BLOCK, count), count)


def join_groups(names: Sequence[str], digests: Sequence[str], pairs: Pairs) -> list[str]:
    """Returns the group of each photo once near-duplicates and equal bytes are joined.

    A joined group takes the first of its names in alphabetical order.

    Args:
        names: The group of each photo as its source has it; its own name if the source knows none.
        digests: Of its bytes.
        pairs: Near-duplicates.
    """
    count = len(names)
    links = np.concatenate([pairs, _links_of_equals(names), _links_of_equals(digests)])
    graph = coo_array((np.ones(len(links), dtype=np.bool_), (links[:, 0], links[:, 1])), shape=(count, count))
    _, components = connected_components(graph, directed=False)
    first: dict[int, str] = {}
    for name, component in zip(names, components.tolist(), strict=True):
        first[component] = min(name, first.get(component, name))
    return [first[component] for component in components.tolist()]


def refuse_giants(groups: Sequence[str], section: NearDuplicateSection) -> None:
    """Refuses groups so large that they cannot be one specimen.

    Raises:
        GiantGroupError: One holds more than its share.
    """
    largest = max(np.unique(np.array(groups), return_counts=True)[1], default=0)
    if largest > max(section.giant_least, section.giant_share * len(groups)):
        raise GiantGroupError(photo_count=int(largest), of=len(groups), max_distance=section.max_distance)


def _links_of_equals(values: Sequence[str]) -> Pairs:
    """Returns a link from each photo to the first one of the same value."""
    first: dict[str, int] = {}
    links = [(first.setdefault(value, place), place) for place, value in enumerate(values)]
    return np.array([link for link in links if link[0] != link[1]], dtype=np.intp).reshape(-1, 2)
