"""A toy release of three tiers, and photos of which it is known where they exit."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
from builders import TASK
from toy_engine import SIZE_PX, toy_photo
from toy_release import write_toy_release

from server.domain.release import Release
from server.imaging import prepare

TIERS = ("fast", "medium", "full")
THRESHOLD = 0.6
"""With which a good share of toy photos exits at each tier."""

_CLEARLY = 0.02
"""How far from the threshold a confidence must be, so that no rounding decides where a photo exits."""

_MOST_SEEDS = 1000


@dataclass(frozen=True)
class ToyCascade:
    """A release of the bread task on disk.

    Attributes:
        release: Its tiers are `fast`, `medium` and `full`.
        model_repository: Its root.
        photos: By the tier that answers them on the release's own path.
    """

    release: Release
    model_repository: Path
    photos: Mapping[str, tuple[bytes, ...]]


def write_toy_cascade(model_repository: Path, *, photos_each: int = 16) -> ToyCascade:
    """Writes the release, ready to be served, and finds photos for each exit.

    Args:
        model_repository: Its root; made if it does not exist.
        photos_each: How many photos exit at each tier.
    """
    release = write_toy_release(model_repository, *TIERS, threshold=THRESHOLD)
    sessions = [onnxruntime.InferenceSession(model_repository / each.engine.path) for each in release.tiers]
    found: dict[str, list[bytes]] = {tier: [] for tier in TIERS}
    for seed in range(_MOST_SEEDS):
        photo = toy_photo(640, 480, seed=seed)
        tier = _exit_of(release, sessions, photo)
        if tier is not None and len(found[tier]) < photos_each:
            found[tier].append(photo)
        if all(len(each) == photos_each for each in found.values()):
            return ToyCascade(release, model_repository, {tier: tuple(photos) for tier, photos in found.items()})
    raise AssertionError(f"too few photos exit somewhere: { {tier: len(each) for tier, each in found.items()} }")


def _exit_of(release: Release, sessions: list[onnxruntime.InferenceSession], photo: bytes) -> str | None:
    """Returns the tier that answers a photo, or None if that is a near thing."""
    image = prepare(photo, size_px=SIZE_PX)[np.newaxis]
    for tier, session in zip(release.tiers, sessions, strict=True):
        outputs = session.run(list(TASK.decision_heads), {"image": image})
        margins = [
            tier.decider(head).calibrate(logits[0]).max() - tier.thresholds[head]
            for head, logits in zip(TASK.decision_heads, outputs, strict=True)
        ]
        if min(abs(each) for each in margins) < _CLEARLY:
            return None
        if min(margins) > 0:
            return tier.tier
    return release.tiers[-1].tier
