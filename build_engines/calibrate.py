"""Step `calibrate`: fits the maps that give the compiled engine's outputs a meaning, on outputs that it gave in Triton.

Calibrate after compile: nothing here looks at the network that was trained.
"""

import time
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pydantic import TypeAdapter

from build_engines.assure import fit_assurances
from build_engines.checkpoint import HeldOutPhotos, read_held_out
from build_engines.compile import CompiledEngine, read_engine
from build_engines.plan import BuildPlan
from build_engines.served_outputs import Follow, ServedOutputs, collect_outputs, outputs_path, serve, unfollowed
from build_engines.step_record import StepRecord
from server.adapters.assurance_part import AnyAssurancePart
from server.adapters.calibrator_part import CalibratorPart
from server.domain.assurance import Assurance
from server.domain.calibration.calibrator import Calibrator
from server.domain.calibration.cross_validation import FOLDS, Comparison, Folds
from server.domain.calibration.selection import FittedHead, fit_best
from server.domain.errors import CalibrationDataError
from server.domain.task import Head, HeadKind, Task
from server.domain.uncertainty import UncertaintyScale, fit_uncertainty_scale

STEP = "calibrate"
SPLIT = "val_calib"
FALSE_ALARM_RATE = 0.05
_FOLDS_SEED = 1

_ASSURANCE: TypeAdapter[AnyAssurancePart] = TypeAdapter(AnyAssurancePart)


@dataclass(frozen=True, slots=True)
class CalibratedEngine:
    """An engine whose outputs have a meaning.

    Attributes:
        engine: What was calibrated.
        calibrators: By head id.
        assurances: By head id, bands and sets.
        uncertainty: The scale of its uncertainty outputs.
    """

    engine: CompiledEngine
    calibrators: dict[str, Calibrator]
    assurances: dict[str, Assurance]
    uncertainty: UncertaintyScale


async def calibrate(plan: BuildPlan, *, on_photo: Follow = unfollowed) -> CalibratedEngine:
    """Fits calibrators and the uncertainty scale on val_calib.

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
    fitted = fit_calibrators(task, outputs, photos.labels, photos.groups)
    calibrators = {head: each.calibrator for head, each in fitted.items()}
    assurances = fit_assurances(task, cross_fitted(task, outputs, photos), photos)
    scale = fit_uncertainty_scale(
        outputs.feature_distances, outputs.logit_variances, false_alarm_rate=FALSE_ALARM_RATE, groups=photos.groups
    )
    record = StepRecord.make(
        STEP,
        inputs={"engine": engine.sha256, SPLIT: photos.sha256},
        outputs=(outputs_path(plan, SPLIT),),
        facts={
            "calibrators": {
                head: CalibratorPart.model_validate(each).model_dump(mode="json") for head, each in calibrators.items()
            },
            "assurances": {
                head: _ASSURANCE.dump_python(_ASSURANCE.validate_python(each, from_attributes=True), mode="json")
                for head, each in assurances.items()
            },
            "comparisons": {head: [_facts_of(each) for each in fitted[head].comparisons] for head in fitted},
            "uncertainty": {
                "feature_distance_quantiles": scale.feature_distance_quantiles,
                "logit_variance_quantiles": scale.logit_variance_quantiles,
                "out_of_distribution_distance": scale.out_of_distribution_distance,
                "false_alarm_rate": scale.false_alarm_rate,
            },
            "photo_count": len(photos.paths),
        },
        command=plan.command(STEP),
        duration_s=time.monotonic() - started,
    )
    record.write(plan.work_folder)
    return CalibratedEngine(engine, calibrators, assurances, scale)


def read_calibrated(plan: BuildPlan) -> CalibratedEngine:
    """Reads what `calibrate` left for this very engine.

    Raises:
        StepMissingError: It left nothing, or something else.
    """
    engine = read_engine(plan)
    record = StepRecord.read(plan.work_folder, STEP, command=plan.command(STEP))
    record.require_input("engine", engine.sha256, command=plan.command(STEP))
    calibrators = {
        head: CalibratorPart.model_validate(each).to_domain() for head, each in record.facts["calibrators"].items()
    }
    assurances = {
        head: _ASSURANCE.validate_python(each).to_domain() for head, each in record.facts["assurances"].items()
    }
    scale = record.facts["uncertainty"]
    return CalibratedEngine(
        engine,
        calibrators,
        assurances,
        UncertaintyScale(
            tuple(scale["feature_distance_quantiles"]),
            tuple(scale["logit_variance_quantiles"]),
            scale["out_of_distribution_distance"],
            scale["false_alarm_rate"],
        ),
    )


async def known_or_collected(
    plan: BuildPlan, engine: CompiledEngine, photos: HeldOutPhotos, *, on_photo: Follow
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


def fit_calibrators(
    task: Task, outputs: ServedOutputs, labels: dict[str, npt.NDArray[np.int64]], groups: npt.NDArray[np.int64]
) -> dict[str, FittedHead]:
    """Chooses and fits one calibrator a head; photos without a label of the head are left out.

    Args:
        task: The taxonomy.
        outputs: On the photos of val_calib.
        labels: By head id, in the order of the outputs; see `HeldOutPhotos`.
        groups: [photo_count] int64. The specimen of each photo: its photos stay together.

    Raises:
        CalibrationDataError: A head has no labelled photo, or an attribute only one kind of them.
    """
    return {head.id: _fit(head, outputs, labels[head.id], groups) for head in task.heads}


def cross_fitted(task: Task, outputs: ServedOutputs, photos: HeldOutPhotos) -> dict[str, npt.NDArray[np.float64]]:
    """Calibrates every photo by maps that were chosen and fitted without it and its specimen.

    Returns:
        By head id, [photo_count, label_count] float64 in (0, 1).

    Raises:
        CalibrationDataError: See `fit_calibrators`.
    """
    folds = Folds.deal(photos.groups, item_count=len(photos.groups), seed=_FOLDS_SEED)
    unseen = {head: np.empty(logits.shape) for head, logits in outputs.logits.items()}
    for fold in range(FOLDS):
        out = folds.fold_of == fold
        labels = {head: each[~out] for head, each in photos.labels.items()}
        fitted = fit_calibrators(task, outputs.taken(~out), labels, photos.groups[~out])
        for head, each in fitted.items():
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
