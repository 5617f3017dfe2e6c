"""The first half of `verify`: measures each calibrated engine on val_test, through Triton, as if it answered alone.

Nothing is fitted here, and val_test is looked at nowhere but here and in `served_answers`. The known answer is taken
in the same breath, from the engine that has just been measured.
"""

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from build_engines.assure import AssuranceMetrics, measure_assurances
from build_engines.calibrate import CalibratedEngine, read_calibrated
from build_engines.checkpoint import HeldOutPhotos, read_held_out
from build_engines.measure import HeadMetrics, measure
from build_engines.plan import TierPlan
from build_engines.served_outputs import Follow, ServedOutputs, collect_outputs, outputs_path, serve, unfollowed
from build_engines.step_record import StepRecord
from server.domain.known_answer import KnownAnswer
from server.domain.task import Task
from server.triton.known_answer import compute_known_answer

STEP = "verify"
SPLIT = "val_test"
KNOWN_PHOTO_NAME = "known_answer.jpg"


@dataclass(frozen=True, slots=True)
class VerifiedEngine:
    """A calibrated engine and what it was seen to keep when it answers alone.

    Attributes:
        calibrated: The engine with the meaning of its outputs on any photo.
        heads: Metrics on val_test, in the task's order.
        assurances: What bands and sets keep on val_test, question by question.
        false_alarm_rate: The share of val_test called out of distribution.
        known_answer: What the engine must answer before it may serve.
        known_photo: The photo of the known answer, in the work folder.
    """

    calibrated: CalibratedEngine
    heads: tuple[HeadMetrics, ...]
    assurances: tuple[AssuranceMetrics, ...]
    false_alarm_rate: float
    known_answer: KnownAnswer
    known_photo: Path


async def verify(plan: TierPlan, *, on_photo: Follow = unfollowed) -> VerifiedEngine:
    """Measures one engine, and takes its known answer.

    Args:
        plan: What is being built.
        on_photo: Follows the photos through Triton.

    Raises:
        StepMissingError: Nothing was calibrated for this engine.
    """
    started = time.monotonic()
    calibrated = read_calibrated(plan)
    photos = read_held_out(plan.checkpoint, SPLIT, data_folder=plan.data_folder)
    verified = await _measure_in_triton(plan, calibrated, photos, on_photo)
    record = StepRecord.make(
        STEP,
        inputs={"engine": calibrated.engine.sha256, SPLIT: photos.sha256},
        outputs=(outputs_path(plan, SPLIT), verified.known_photo),
        facts=_facts(verified),
        command=plan.command(STEP),
        duration_s=time.monotonic() - started,
    )
    record.write(plan.work_folder)
    return verified


def read_verified(plan: TierPlan) -> VerifiedEngine:
    """Reads what `verify` left for this very engine.

    Raises:
        StepMissingError: It left nothing, or something else.
    """
    calibrated = read_calibrated(plan)
    record = StepRecord.read(plan.work_folder, STEP, command=plan.command(STEP))
    record.require_input("engine", calibrated.engine.sha256, command=plan.command(STEP))
    facts = record.facts
    return VerifiedEngine(
        calibrated=calibrated,
        heads=TypeAdapter(tuple[HeadMetrics, ...]).validate_python(facts["heads"]),
        assurances=TypeAdapter(tuple[AssuranceMetrics, ...]).validate_python(facts["assurances"]),
        false_alarm_rate=facts["false_alarm_rate"],
        known_answer=TypeAdapter(KnownAnswer).validate_python(facts["known_answer"]),
        known_photo=plan.work_folder / KNOWN_PHOTO_NAME,
    )


def choose_known_photo(task: Task, calibrated: CalibratedEngine, outputs: ServedOutputs, photos: HeldOutPhotos) -> Path:
    """Returns a photo with a clear answer: right on every decision head, and surest on the least sure of them.

    It is one that looks as usual: no stranger than the median. The first photo is taken if none is right on all.
    """
    surest = (outputs.feature_distances <= np.median(outputs.feature_distances)).astype(np.float64)
    for head in task.decision_heads:
        probabilities = calibrated.meaning.calibrators[head].calibrate(outputs.logits[head])
        right = probabilities.argmax(axis=1) == photos.labels[head]
        surest = np.minimum(surest, np.where(right, probabilities.max(axis=1), 0.0))
    return photos.paths[int(surest.argmax())]


async def _measure_in_triton(
    plan: TierPlan, calibrated: CalibratedEngine, photos: HeldOutPhotos, on_photo: Follow
) -> VerifiedEngine:
    task, engine = plan.checkpoint.task, calibrated.engine
    path = outputs_path(plan, SPLIT)
    outputs = ServedOutputs.load(path, engine_sha256=engine.sha256, photos_sha256=photos.sha256)
    async with serve(plan, engine) as served:
        if outputs is None:
            outputs = await collect_outputs(served, photos, heads=task.head_ids, on_photo=on_photo)
            outputs.save(path)
        content = choose_known_photo(task, calibrated, outputs, photos).read_bytes()
        known_answer = await compute_known_answer(
            served.client, served.spec, photo=content, photo_path=plan.known_photo_path.as_posix()
        )
    known_photo = plan.work_folder / KNOWN_PHOTO_NAME
    known_photo.write_bytes(content)
    return measured_engine(plan, calibrated, outputs, photos, known_answer=known_answer, known_photo=known_photo)


def measured_engine(
    plan: TierPlan,
    calibrated: CalibratedEngine,
    outputs: ServedOutputs,
    photos: HeldOutPhotos,
    *,
    known_answer: KnownAnswer,
    known_photo: Path,
) -> VerifiedEngine:
    """Measures what an engine said about val_test."""
    meaning = calibrated.meaning
    probabilities = outputs.calibrated(meaning.calibrators)
    threshold = meaning.uncertainty.out_of_distribution_distance
    return VerifiedEngine(
        calibrated=calibrated,
        heads=measure(plan.checkpoint.task, probabilities, photos),
        assurances=measure_assurances(plan.checkpoint.task, probabilities, meaning.assurances, photos),
        false_alarm_rate=float((outputs.feature_distances > threshold).mean()),
        known_answer=known_answer,
        known_photo=known_photo,
    )


def _facts(verified: VerifiedEngine) -> dict[str, Any]:
    return {
        "false_alarm_rate": verified.false_alarm_rate,
        "heads": [asdict(head) for head in verified.heads],
        "assurances": [asdict(each) for each in verified.assurances],
        "known_answer": asdict(verified.known_answer),
    }
