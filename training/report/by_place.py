"""How right a network is near the places where it will be used, and how right elsewhere."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from server.domain.task import Head
from training.photo_data import PhotoSplit
from training.place_sampling import SamplingSection, nearest_centres
from training.report.answers import Answers
from training.report.head_scores import HeadScores, score_head


@dataclass(frozen=True, slots=True)
class PlaceScores:
    """The photos whose place lies at such a distance from the nearest target.

    Attributes:
        distance: In words, e.g. `0 to 50 km`.
        specimen_count: Specimens that they show.
        heads: One a decision head, in the task's order.
    """

    distance: str
    specimen_count: int
    heads: tuple[HeadScores, ...]


def score_by_place(
    heads: Sequence[Head], answers: Answers, split: PhotoSplit, targets: SamplingSection | None
) -> tuple[PlaceScores, ...]:
    """Scores photos apart by their distance to the nearest target place; distances without a photo are left out.

    Args:
        heads: To score.
        answers: In the order of the split.
        split: The photos.
        targets: The target places, and the steps of distance; None if the task names no target.

    Returns:
        Nearest first; nothing without targets, or if nobody knows where a photo was taken.
    """
    if targets is None or all(record.place is None for record in split.records):
        return ()
    bands = _bands(split, targets)
    edges = (0, *targets.steps_km)
    names = [f"{low:g} to {high:g} km" for low, high in itertools.pairwise(edges)]
    names = [*names, f"{edges[-1]:g} km and more", "place unknown"]
    found = []
    for number, name in enumerate(names):
        places = np.flatnonzero(bands == number)
        if not len(places):
            continue
        part, said = _part(split, places), answers.taken(places)
        specimens = len({record.specimen for record in part.records})
        found.append(PlaceScores(name, specimens, tuple(score_head(head, said, part) for head in heads)))
    return tuple(found)


def _bands(split: PhotoSplit, targets: SamplingSection) -> npt.NDArray[np.intp]:
    """Returns [photo_count] intp: the step of distance of each photo; one more than all steps where nobody knows."""
    known = [record.place for record in split.records if record.place is not None]
    _, distances_km = nearest_centres(known, np.array(targets.all_target_places()))
    bands = np.full(len(split), len(targets.steps_km) + 1, dtype=np.intp)
    bands[[record.place is not None for record in split.records]] = np.searchsorted(
        targets.steps_km, distances_km, side="right"
    )
    return bands


def _part(split: PhotoSplit, places: npt.NDArray[np.intp]) -> PhotoSplit:
    """Returns some photos without their pixels: no figure looks at them."""
    records = tuple(split.records[place] for place in places)
    return PhotoSplit(records, split.pixels[:0], {head: each[places] for head, each in split.labels.items()})
