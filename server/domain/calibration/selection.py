"""Chooses and fits the map of a head, by cross-validated log-loss.

No map wins everywhere. For a category, first the map of all labels is chosen; what is within one
standard error of the best and simpler wins. Then, on answers for items that it was not fitted
on, the map of the winner's confidence is chosen, and here the lowest loss wins: a whole point
of calibration error costs too little log-loss to stand out from its standard error, and the
confidence is what is promised. Each attribute has a choice of its own, by the lowest loss for
the same reason. Whether either is mapped at all is no choice: logistic maps are shrunk towards
the engine's own probabilities by what the labels leave open.

A kind takes part from a stated number of labels on: isotonic maps were measured to lose below
theirs, the others' are judgement, the more the freer. A kind that is asked for by name is fitted
as asked.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from server.domain.calibration.binary_fit import fit_beta, fit_centred_isotonic, fit_platt, shrunk
from server.domain.calibration.binary_maps import BinaryIdentity, BinaryMap
from server.domain.calibration.calibrator import AttributeMaps, Calibrator, CategoryMap
from server.domain.calibration.category_fit import (
    fit_smoothed_temperature,
    fit_structured_matrix,
    fit_structured_vector,
)
from server.domain.calibration.category_maps import Identity
from server.domain.calibration.cross_validation import FOLDS, Comparison, Folds, MapKind, compare
from server.domain.calibration.fit_items import BoolArray, IndexArray, attribute_items, category_items
from server.domain.calibration.probability import DoubleArray, LogitArray
from server.domain.calibration.top_label import BaseMap, TopLabel, winner_odds
from server.domain.errors import CalibrationDataError
from server.domain.task import Head, HeadKind

MIN_LABELS: Mapping[MapKind, int] = {
    MapKind.IDENTITY: 0,
    MapKind.TEMPERATURE: 20,
    MapKind.PLATT: 50,
    MapKind.STRUCTURED_VECTOR: 100,
    MapKind.BETA: 200,
    MapKind.STRUCTURED_MATRIX: 300,
    MapKind.ISOTONIC: 5_000,
}
"""From how many independent labels on a kind takes part in a choice; items of one group count as one."""

MIN_WINNER_LABELS = 1_000
"""From how many independent labels on the winner's confidence gets a map of its own."""

MAX_MATRIX_LABELS = 40
"""With more labels than this a matrix takes no part: its fit takes time with the sixth power of their number."""

WINNER = "winner"
LABELS = "labels"

_WINNER_CHANGES = frozenset({MapKind.STRUCTURED_VECTOR, MapKind.STRUCTURED_MATRIX})
_BASE_KINDS = (MapKind.IDENTITY, MapKind.TEMPERATURE, MapKind.STRUCTURED_VECTOR, MapKind.STRUCTURED_MATRIX)
_BINARY_FITS: Mapping[MapKind, Callable[[DoubleArray, BoolArray, float], BinaryMap]] = {
    MapKind.IDENTITY: lambda *_: BinaryIdentity(),
    MapKind.PLATT: lambda scores, hits, share: shrunk(fit_platt(scores, hits), scores, hits, independent_share=share),
    MapKind.BETA: lambda scores, hits, share: shrunk(fit_beta(scores, hits), scores, hits, independent_share=share),
    MapKind.ISOTONIC: lambda scores, hits, _share: fit_centred_isotonic(scores, hits),
}


@dataclass(frozen=True, slots=True)
class FittedHead:
    """A head's calibrator, and the comparisons behind it; none if a kind was asked for by name."""

    calibrator: Calibrator
    comparisons: tuple[Comparison, ...]


def fit_best(
    head: Head,
    logits: LogitArray,
    labels: IndexArray,
    *,
    engine_sha256: str,
    groups: IndexArray | None = None,
    kind: MapKind | None = None,
    monotone_only: bool = False,
    seed: int = 0,
) -> FittedHead:
    """Fits the calibrator of a head.

    Args:
        head: The question.
        logits: [item_count, label_count] of any float type. Raw engine outputs.
        labels: [item_count] indices for a category; [item_count, label_count] with 1 for present and 0 for absent else.
        engine_sha256: The engine that gave the logits.
        groups: [item_count] int64; items of one group, e.g. photos of a specimen, stay together. None: each by itself.
        kind: Fits this kind; None chooses.
        monotone_only: Whether the winning label of a category must stay as the engine has it.
        seed: Deals the groups to the folds.

    Raises:
        CalibrationDataError: The items are malformed, or the kind does not suit the head.
    """
    if logits.ndim != 2 or logits.shape[1] != len(head.labels):  # noqa: PLR2004 -- items and labels
        raise CalibrationDataError(f"logits of shape {logits.shape} do not answer the {len(head.labels)} labels")
    if head.kind is HeadKind.CATEGORY:
        scores, labels = category_items(logits, labels)
        folds = Folds.deal(groups, item_count=len(scores), seed=seed)
        if kind is None:
            chosen, comparisons = _choose_category_map(scores, labels, folds, monotone_only=monotone_only)
            return FittedHead(Calibrator(engine_sha256, chosen, len(scores)), comparisons)
        if monotone_only and kind in _WINNER_CHANGES:
            raise CalibrationDataError(f"a {kind.value} map may change the winning label")
        return FittedHead(Calibrator(engine_sha256, fit_category_map(scores, labels, kind=kind), len(scores)), ())
    scores, present = attribute_items(logits, labels == 1)
    folds = Folds.deal(groups, item_count=len(scores), seed=seed)
    if kind is not None and kind not in _BINARY_FITS:
        raise CalibrationDataError(f"a {kind.value} map does not suit attributes")
    chosen_maps = [
        _choose_binary_map(label, scores[:, place], present[:, place], folds, kind)
        for place, label in enumerate(head.labels)
    ]
    maps = AttributeMaps(tuple(each for each, _ in chosen_maps))
    comparisons = tuple(comparison for _, comparison in chosen_maps if kind is None)
    return FittedHead(Calibrator(engine_sha256, maps, len(scores)), comparisons)


def fit_category_map(logits: LogitArray, labels: IndexArray, *, kind: MapKind) -> CategoryMap:
    """Fits the map of a category by its name.

    Args:
        logits: [item_count, label_count] of any float type. Raw engine outputs.
        labels: [item_count] indices of the true labels.
        kind: `platt`, `beta` and `isotonic` map the winner's confidence after a smoothed temperature.

    Raises:
        CalibrationDataError: See `category_items`.
    """
    scores, labels = category_items(logits, labels)
    if kind in _BASE_KINDS:
        return _fit_bases(scores, labels, (kind,))[kind]
    base = fit_smoothed_temperature(scores, labels)
    return TopLabel(base, _fit_winner(base.calibrate(scores), labels, kind, 1.0))


def _choose_category_map(
    scores: DoubleArray, labels: IndexArray, folds: Folds, *, monotone_only: bool
) -> tuple[CategoryMap, tuple[Comparison, ...]]:
    allowed = [each for each in _BASE_KINDS if not (monotone_only and each in _WINNER_CHANGES)]
    if scores.shape[1] > MAX_MATRIX_LABELS:
        allowed = [each for each in allowed if each is not MapKind.STRUCTURED_MATRIX]
    kinds = _with_enough_labels(allowed, folds)
    if len(kinds) == 1:
        return Identity(), ()
    unseen = np.empty((len(kinds), *scores.shape))
    for fold in range(FOLDS):
        out = folds.fold_of == fold
        maps = _fit_bases(scores[~out], labels[~out], kinds)
        unseen[:, out] = [maps[each].calibrate(scores[out]) for each in kinds]
    bases = compare(LABELS, kinds, -np.log(unseen[:, np.arange(len(labels)), labels]), folds)
    base = _fit_bases(scores, labels, (bases.chosen,))[bases.chosen]
    answers = unseen[kinds.index(bases.chosen)]
    if folds.group_count < MIN_WINNER_LABELS:
        return base, (bases,)
    right = answers.argmax(axis=1) == labels
    winner = _compare_binary(WINNER, winner_odds(answers), right, folds)
    return TopLabel(base, _fit_winner(answers, labels, winner.chosen, folds.independent_share)), (bases, winner)


def _choose_binary_map(
    question: str, scores: DoubleArray, hits: BoolArray, folds: Folds, kind: MapKind | None
) -> tuple[BinaryMap, Comparison]:
    if kind is None and (hits.all() or not hits.any()):
        # With one kind of labels only, a smoothed share is all that they tell.
        return fit_platt(scores, hits), Comparison(question, MapKind.PLATT, ())
    comparison = _compare_binary(question, scores, hits, folds) if kind is None else Comparison(question, kind, ())
    return _BINARY_FITS[comparison.chosen](scores, hits, folds.independent_share), comparison


def _compare_binary(question: str, scores: DoubleArray, hits: BoolArray, folds: Folds) -> Comparison:
    # No map does not compete: a shrunk one comes as near to it as it should.
    mapping = (each for each in _BINARY_FITS if each is not MapKind.IDENTITY)
    kinds = _with_enough_labels(mapping, folds) or (MapKind.IDENTITY,)
    if len(kinds) == 1:
        return Comparison(question, kinds[0], ())
    unseen = np.empty((len(kinds), len(scores)))
    for fold in range(FOLDS):
        out = folds.fold_of == fold
        maps = [_BINARY_FITS[each](scores[~out], hits[~out], folds.independent_share) for each in kinds]
        unseen[:, out] = [each.calibrate(scores[out]) for each in maps]
    return compare(question, kinds, -np.log(np.where(hits, unseen, 1.0 - unseen)), folds, reach=0.0)


def _fit_bases(scores: DoubleArray, labels: IndexArray, kinds: Iterable[MapKind]) -> dict[MapKind, BaseMap]:
    """Fits several kinds on the same items; the temperature that most of them begin with is fitted once."""
    temperature = fit_smoothed_temperature(scores, labels)
    fits: dict[MapKind, Callable[[], BaseMap]] = {
        MapKind.IDENTITY: Identity,
        MapKind.TEMPERATURE: lambda: temperature,
        MapKind.STRUCTURED_VECTOR: lambda: fit_structured_vector(scores, labels, temperature=temperature),
        MapKind.STRUCTURED_MATRIX: lambda: fit_structured_matrix(scores, labels, temperature=temperature),
    }
    return {each: fits[each]() for each in kinds}


def _fit_winner(answers: DoubleArray, labels: IndexArray, kind: MapKind, independent_share: float) -> BinaryMap:
    """Fits the confidence of the most probable label of [item_count, label_count] answers."""
    return _BINARY_FITS[kind](winner_odds(answers), answers.argmax(axis=1) == labels, independent_share)


def _with_enough_labels(kinds: Iterable[MapKind], folds: Folds) -> tuple[MapKind, ...]:
    return tuple(each for each in kinds if folds.group_count >= MIN_LABELS[each])


def refit_winner(
    calibrator: Calibrator, logits: LogitArray, labels: IndexArray, *, groups: IndexArray | None = None, seed: int = 0
) -> FittedHead:
    """Fits how sure a category's calibrator is of its winner on other items; which label wins stays as it was.

    Args:
        calibrator: Of a category; it was fitted on other items, or on more of them.
        logits: [item_count, label_count] of any float type. Raw outputs of the calibrator's engine.
        labels: [item_count] indices of the true labels.
        groups: [item_count] int64; items of one group stay together. None: each by itself.
        seed: Deals the groups to the folds.

    Raises:
        CalibrationDataError: The items are malformed, or the calibrator is one of attributes.
    """
    if isinstance(calibrator.map, AttributeMaps):
        raise CalibrationDataError("attributes have no winner")
    base = calibrator.map.base if isinstance(calibrator.map, TopLabel) else calibrator.map
    scores, labels = category_items(logits, labels)
    answers = base.calibrate(scores)
    folds = Folds.deal(groups, item_count=len(scores), seed=seed)
    comparison = _compare_binary(WINNER, winner_odds(answers), answers.argmax(axis=1) == labels, folds)
    # Even an identity, of few labels, is spelt out: the calibrator's own map of its winner was for other items.
    chosen = TopLabel(base, _fit_winner(answers, labels, comparison.chosen, folds.independent_share))
    return FittedHead(Calibrator(calibrator.engine_sha256, chosen, len(scores)), (comparison,))
