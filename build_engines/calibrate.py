"""Step `calibrate`: fits the maps that give the compiled engine's outputs a meaning, on outputs that it gave in Triton.

Calibrate after compile: nothing here looks at the network that was trained.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from build_engines.assure import fit_assurances
from build_engines.checkpoint import HeldOutPhotos, read_held_out
from build_engines.compile import CompiledEngine, read_engine
from build_engines.plan import TierPlan
from build_engines.served_outputs import Follow, ServedOutputs, collect_outputs, outputs_path, serve, unfollowed
from build_engines.step_record import StepRecord
from server.adapters.release_files import MeaningPart
from server.domain.calibration.cross_validation import FOLDS, Comparison, Folds
from server.domain.calibration.selection import FittedHead, fit_best
from server.domain.errors import CalibrationDataError
from server.domain.release import Meaning
from server.domain.task import Head, HeadKind, Task
from server.domain.uncertainty import fit_uncertainty_scale

STEP = "calibrate"
SPLIT = "val_calib"
FALSE_ALARM_RATE = 0.045
"""A little under the 5 % that are promised: the rate on other photos is not exactly that of these."""
_FOLDS_SEED = 1

Fit = Callable[[ServedOutputs, HeldOutPhotos], dict[str, FittedHead]]
"""Fits one calibrator a head on outputs and the labels of the same photos."""


@dataclass(frozen=True, slots=True)
class CalibratedEngine:
    """An engine whose outputs have a meaning, on any photo.

    Attributes:
        engine: What was calibrated.
        meaning: Of its outputs.
    """

    engine: CompiledEngine
    meaning: Meaning


@dataclass(frozen=True, slots=True)
class FittedMeaning:
    """A meaning, and why its maps were chosen.

    Attributes:
        meaning: What was fitted.
        comparisons: By head id, a comparison a question.
    """

    meaning: Meaning
    comparisons: dict[str, list[dict[str, object]]]


async def calibrate(plan: TierPlan, *, on_photo: Follow = unfollowed) -> CalibratedEngine:
    """Gives a compiled engine's outputs their meaning on any photo, on val_calib.

    Args:
        plan: What is being built.
        on_photo: Follows the photos through Triton; not called if the outputs are known already.

    Raises:
        StepMissingError: Nothing was compiled from this checkpoint.
        CalibrationDataError: The labels do not suffice.
    """
    started = time.monotonic()
    engine = read_engine(plan)
    photos = read_held_out(plan.checkpoint, SPLIT, data_folder=plan.data_folder)
    outputs = await known_or_collected(plan, engine, photos, on_photo=on_photo)
    task = plan.checkpoint.task
    fitted = fit_meaning(task, outputs, photos, lambda *part: fit_calibrators(task, *part))
    record = StepRecord.make(
        STEP,
        inputs={"engine": engine.sha256, SPLIT: photos.sha256},
        outputs=(outputs_path(plan, SPLIT),),
        facts={
            "meaning": MeaningPart.model_validate(fitted.meaning).model_dump(mode="json"),
            "comparisons": fitted.comparisons,
            "photo_count": len(photos.paths),
        },
        command=plan.command(STEP),
        duration_s=time.monotonic() - started,
    )
    record.write(plan.work_folder)
    return CalibratedEngine(engine, fitted.meaning)


def read_calibrated(plan: TierPlan) -> CalibratedEngine:
    """Reads what `calibrate` left for this very engine.

    Raises:
        StepMissingError: It left nothing, or something else.
    """
    engine = read_engine(plan)
    record = StepRecord.read(plan.work_folder, STEP, command=plan.command(STEP))
    record.require_input("engine", engine.sha256, command=plan.command(STEP))
    return CalibratedEngine(engine, MeaningPart.model_validate(record.facts["meaning"]).to_domain())


def fit_meaning(
    task: Task,
    outputs: ServedOutputs,
    photos: HeldOutPhotos,
    fit: Fit,
    *,
    seen_by_deciders: npt.NDArray[np.bool_] | None = None,
) -> FittedMeaning:
    """Fits calibrators, bands, sets and the scale of uncertainty on the same photos.

    Args:
        task: The taxonomy.
        outputs: On the photos.
        photos: With their labels.
        fit: Fits the calibrators; also without each fifth of the specimens, for what vouches for them.
        seen_by_deciders: [photo_count] bool. Photos that what the fit begins with was fitted on: they do not vouch for
            decision heads.

    Raises:
        CalibrationDataError: The labels do not suffice.
    """
    fitted = fit(outputs, photos)
    scale = fit_uncertainty_scale(
        outputs.feature_distances, outputs.logit_variances, false_alarm_rate=FALSE_ALARM_RATE, groups=photos.groups
    )
    assurances = fit_assurances(task, cross_fitted(outputs, photos, fit), photos, seen_by_deciders=seen_by_deciders)
    return FittedMeaning(
        Meaning({head: each.calibrator for head, each in fitted.items()}, scale, assurances),
        {head: [_facts_of(each) for each in fitted[head].comparisons] for head in fitted},
    )


async def known_or_collected(
    plan: TierPlan, engine: CompiledEngine, photos: HeldOutPhotos, *, on_photo: Follow
) -> ServedOutputs:
    """Returns the engine's outputs on a split: as kept, or else from Triton, and then kept."""
    path = outputs_path(plan, photos.split)
    known = ServedOutputs.load(path, engine_sha256=engine.sha256, photos_sha256=photos.sha256)
    if known is not None:
        return known
    async with serve(plan, engine) as served:
        outputs = await collect_outputs(served, photos, heads=plan.checkpoint.task.head_ids, on_photo=on_photo)
    outputs.save(path)
    return outputs


def fit_calibrators(task: Task, outputs: ServedOutputs, photos: HeldOutPhotos) -> dict[str, FittedHead]:
    """Chooses and fits one calibrator a head; photos without a label of the head are left out.

    Args:
        task: The taxonomy.
        outputs: On the photos.
        photos: With their labels; the photos of one specimen stay together.

    Raises:
        CalibrationDataError: A head has no labelled photo, or an attribute only one kind of them.
    """
    return {head.id: _fit(head, outputs, photos.labels[head.id], photos.groups) for head in task.heads}


def cross_fitted(outputs: ServedOutputs, photos: HeldOutPhotos, fit: Fit) -> dict[str, npt.NDArray[np.float64]]:
    """Calibrates every photo by maps that were chosen and fitted without it and its specimen.

    Returns:
        By head id, [photo_count, label_count] float64 in (0, 1).

    Raises:
        CalibrationDataError: The labels do not suffice.
    """
    folds = Folds.deal(photos.groups, item_count=len(photos.groups), seed=_FOLDS_SEED)
    unseen = {head: np.empty(logits.shape) for head, logits in outputs.logits.items()}
    for fold in range(FOLDS):
        out = folds.fold_of == fold
        for head, each in fit(outputs.taken(~out), photos.taken(~out)).items():
            unseen[head][out] = each.calibrator.calibrate(outputs.logits[head][out])
    return unseen


def _fit(
    head: Head, outputs: ServedOutputs, labels: npt.NDArray[np.int64], groups: npt.NDArray[np.int64]
) -> FittedHead:
    known = labels >= 0 if head.kind is HeadKind.CATEGORY else (labels >= 0).all(axis=1)
    if head.kind is HeadKind.ATTRIBUTES:
        for label, column in zip(head.labels, (labels[known] == 1).T, strict=True):
            if column.all() or not column.any():
                raise CalibrationDataError(f"attribute {label} is never {'absent' if column.any() else 'present'}")
    return fit_best(
        head, outputs.logits[head.id][known], labels[known], engine_sha256=outputs.engine_sha256, groups=groups[known]
    )


def _facts_of(comparison: Comparison) -> dict[str, object]:
    """Returns what was compared, for the step's record."""
    losses = {
        each.kind.value: {"log_loss": each.log_loss, "excess": each.excess, "excess_error": each.excess_error}
        for each in comparison.losses
    }
    return {"question": comparison.question, "chosen": comparison.chosen.value, "cross_validated": losses}
