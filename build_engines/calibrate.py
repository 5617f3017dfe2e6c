"""Step `calibrate`: fits the maps that give the compiled engine's outputs a meaning, on outputs that it gave in Triton.

Calibrate after compile: nothing here looks at the network that was trained.
"""

import time
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from build_engines.checkpoint import HeldOutPhotos, read_held_out
from build_engines.compile import CompiledEngine, read_engine
from build_engines.plan import BuildPlan
from build_engines.served_outputs import Follow, ServedOutputs, collect_outputs, outputs_path, serve, unfollowed
from build_engines.step_record import StepRecord
from server.domain.calibration import (
    CalibrationDataError,
    Calibrator,
    PlattScaling,
    SmoothedTemperature,
    fit_platt_scaling,
    fit_smoothed_temperature,
)
from server.domain.task import Head, HeadKind, Task
from server.domain.uncertainty import UncertaintyScale, fit_uncertainty_scale

STEP = "calibrate"
SPLIT = "val_calib"
FALSE_ALARM_RATE = 0.05


@dataclass(frozen=True, slots=True)
class CalibratedEngine:
    """An engine whose outputs have a meaning.

    Attributes:
        engine: What was calibrated.
        calibrators: By head id.
        uncertainty: The scale of its uncertainty outputs.
    """

    engine: CompiledEngine
    calibrators: dict[str, Calibrator]
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
    calibrators = fit_calibrators(plan.checkpoint.task, outputs, photos.labels)
    scale = fit_uncertainty_scale(outputs.feature_distances, outputs.logit_variances, false_alarm_rate=FALSE_ALARM_RATE)
    record = StepRecord.make(
        STEP,
        inputs={"engine": engine.sha256, SPLIT: photos.sha256},
        outputs=(outputs_path(plan, SPLIT),),
        facts={
            "calibrators": {head: _facts_of(each) for head, each in calibrators.items()},
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
    return CalibratedEngine(engine, calibrators, scale)


def read_calibrated(plan: BuildPlan) -> CalibratedEngine:
    """Reads what `calibrate` left for this very engine.

    Raises:
        StepMissingError: It left nothing, or something else.
    """
    engine = read_engine(plan)
    record = StepRecord.read(plan.work_folder, STEP, command=plan.command(STEP))
    record.require_input("engine", engine.sha256, command=plan.command(STEP))
    calibrators = {head: _from_facts(each) for head, each in record.facts["calibrators"].items()}
    scale = record.facts["uncertainty"]
    return CalibratedEngine(
        engine,
        calibrators,
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
    task: Task, outputs: ServedOutputs, labels: dict[str, npt.NDArray[np.int64]]
) -> dict[str, Calibrator]:
    """Fits one calibrator a head; photos without a label of the head are left out.

    Args:
        task: The taxonomy.
        outputs: On the photos of val_calib.
        labels: By head id, in the order of the outputs; see `HeldOutPhotos`.

    Raises:
        CalibrationDataError: A head has no labelled photo, or an attribute only one kind of them.
    """
    return {head.id: _fit(head, outputs, labels[head.id]) for head in task.heads}


def _fit(head: Head, outputs: ServedOutputs, labels: npt.NDArray[np.int64]) -> Calibrator:
    logits = outputs.logits[head.id]
    if head.kind is HeadKind.CATEGORY:
        known = labels >= 0
        return fit_smoothed_temperature(logits[known], labels[known], engine_sha256=outputs.engine_sha256)
    known = (labels >= 0).all(axis=1)
    present = labels[known] == 1
    for label, column in zip(head.labels, present.T, strict=True):
        if column.all() or not column.any():
            raise CalibrationDataError(f"attribute {label} is never {'absent' if column.any() else 'present'}")
    return fit_platt_scaling(logits[known], present, engine_sha256=outputs.engine_sha256)


def _facts_of(calibrator: Calibrator) -> dict[str, object]:
    facts: dict[str, object] = {
        "kind": calibrator.kind,
        "engine_sha256": calibrator.engine_sha256,
        "item_count": calibrator.item_count,
    }
    if isinstance(calibrator, SmoothedTemperature):
        return facts | {"temperature": calibrator.temperature}
    return facts | {"slopes": calibrator.slopes, "intercepts": calibrator.intercepts}


def _from_facts(facts: dict[str, object]) -> Calibrator:
    own = {name: tuple(value) if isinstance(value, list) else value for name, value in facts.items() if name != "kind"}
    maker = SmoothedTemperature if facts["kind"] == SmoothedTemperature.kind else PlattScaling
    return maker(**own)  # type: ignore[arg-type]
