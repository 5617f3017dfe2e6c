"""The second half of `verify`: what the cascade as a whole keeps on val_test, answer by answer as it is served."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import TypeAdapter

from build_engines.assure import AssuranceMetrics, measure_assurances
from build_engines.cascade import (
    SolvedCascade,
    outputs_of_tiers,
    read_solved,
    shared_photos,
    solved_path,
)
from build_engines.cascade_metrics import CascadeMetrics, measure_cascade
from build_engines.cascade_solver import (
    Estimate,
    PromiseKind,
)
from build_engines.checkpoint import HeldOutPhotos
from build_engines.errors import GatesFailedError
from build_engines.evidence import evidence_of, exits_of
from build_engines.fusing import fused_outputs
from build_engines.gates import Gate, LeastScores, judge_cascade, judge_release
from build_engines.measure import HeadMetrics, measure
from build_engines.plan import ReleasePlan
from build_engines.served_outputs import ServedOutputs
from build_engines.share import share_of
from build_engines.step_record import StepRecord, file_sha256
from build_engines.verify import SPLIT, VerifiedEngine, read_verified
from server.domain.calibration.probability import opened, sigmoid, softmax
from server.domain.task import Head, HeadKind
from server.domain.uncertainty import UncertaintyScale

STEP = "verify"
LEAST_MEASURED = 100
"""Specimens at an exit: metrics of fewer would say nothing, and quarters of them hold next to nobody."""

_COUNTED = {
    PromiseKind.GAP: "below the strongest tier",
    PromiseKind.DISAGREEMENT: "unlike the strongest tier's",
    PromiseKind.SELECTIVE: "wrong where it was sure enough",
}

DoubleArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class ExitMetrics:
    """The answers of one tier, on the photos of val_test that stop there.

    Attributes:
        tier: Its id.
        photo_count: The photos.
        specimen_count: Independent ones.
        share: Of all photos.
        heads: Metrics, in the task's order; nothing if fewer than `LEAST_MEASURED` specimens are there.
        assurances: What bands and sets keep; nothing then.
    """

    tier: str
    photo_count: int
    specimen_count: int
    share: Estimate
    heads: tuple[HeadMetrics, ...]
    assurances: tuple[AssuranceMetrics, ...]


@dataclass(frozen=True, slots=True)
class VerifiedRelease:
    """What a release was seen to keep.

    Attributes:
        tiers: Each engine alone, cheapest first.
        solved: The cascade.
        heads: Metrics of all served answers, in the task's order.
        raw_heads: The same of the engines' own probabilities, which nobody calibrated.
        exits: By tier, of those that it answered; nothing for a tier at which no photo stops.
        cascade: Against its tiers; None for a release of one tier.
        false_alarms: Served answers that are called out of distribution.
        gates: All of them, passed or not.
    """

    tiers: tuple[VerifiedEngine, ...]
    solved: SolvedCascade
    heads: tuple[HeadMetrics, ...]
    raw_heads: tuple[HeadMetrics, ...]
    exits: tuple[ExitMetrics, ...]
    cascade: CascadeMetrics | None
    false_alarms: Estimate
    gates: tuple[Gate, ...]


async def verify_release(plan: ReleasePlan) -> VerifiedRelease:
    """Measures the served answers of verified engines. What it returns may have failed: see `require_passed`.

    Raises:
        StepMissingError: A tier was not verified, or the cascade not solved.
    """
    started = time.monotonic()
    solved = read_solved(plan)
    tiers = tuple(read_verified(each) for each in plan.tiers)
    photos = shared_photos(plan, SPLIT)
    outputs = await outputs_of_tiers(plan, solved.tiers, photos)
    verified = measure_release(plan, tiers, solved, outputs, photos)
    record = StepRecord.make(
        STEP,
        inputs=_inputs(plan, solved),
        outputs=(),
        facts=_facts(verified),
        command=plan.command(STEP),
        duration_s=time.monotonic() - started,
    )
    record.write(plan.work_folder)
    return verified


def read_verified_release(plan: ReleasePlan) -> VerifiedRelease:
    """Reads what `verify_release` left for these very engines and this very cascade.

    Raises:
        StepMissingError: It left nothing, or something else.
        GatesFailedError: A gate failed.
    """
    solved = read_solved(plan)
    record = StepRecord.read(plan.work_folder, STEP, command=plan.command(STEP))
    for name, sha256 in _inputs(plan, solved).items():
        record.require_input(name, sha256, command=plan.command(STEP))
    facts = record.facts
    verified = VerifiedRelease(
        tiers=tuple(read_verified(each) for each in plan.tiers),
        solved=solved,
        heads=TypeAdapter(tuple[HeadMetrics, ...]).validate_python(facts["heads"]),
        raw_heads=TypeAdapter(tuple[HeadMetrics, ...]).validate_python(facts["raw_heads"]),
        exits=TypeAdapter(tuple[ExitMetrics, ...]).validate_python(facts["exits"]),
        cascade=TypeAdapter(CascadeMetrics | None).validate_python(facts["cascade"]),
        false_alarms=Estimate(**facts["false_alarms"]),
        gates=TypeAdapter(tuple[Gate, ...]).validate_python(facts["gates"]),
    )
    require_passed(verified)
    return verified


def _inputs(plan: ReleasePlan, solved: SolvedCascade) -> dict[str, str]:
    engines = {tier: each.engine.sha256 for tier, each in zip(plan.tier_ids, solved.tiers, strict=True)}
    return {**engines, "cascade": file_sha256(solved_path(plan))}


def verified_path(plan: ReleasePlan) -> Path:
    """Where `verify_release` leaves its record."""
    return plan.work_folder / f"{STEP}.json"


def require_passed(verified: VerifiedRelease) -> None:
    """Raises GatesFailedError, naming every gate that fails, unless all hold."""
    failures = [f"{gate.name} ({gate.finding})" for gate in verified.gates if not gate.passed]
    if failures:
        raise GatesFailedError(*failures)


def measure_release(
    plan: ReleasePlan,
    tiers: tuple[VerifiedEngine, ...],
    solved: SolvedCascade,
    outputs: Sequence[ServedOutputs],
    photos: HeldOutPhotos,
) -> VerifiedRelease:
    """Measures served answers on known outputs: photo by photo those of the tier at which it stops.

    Args:
        plan: What is being built.
        tiers: Verified alone, cheapest first.
        solved: The cascade.
        outputs: One a tier, on the photos.
        photos: Of val_test, with their labels.
    """
    task = plan.task
    evidence = evidence_of(
        task,
        plan.tier_ids,
        _deciders(plan, solved),
        outputs,
        photos,
        solved.costs,
        is_test=np.ones(len(photos.groups), dtype=bool),
        fusions=solved.fusions,
    )
    said = fused_outputs(plan.tier_ids, solved.deciders, solved.fusions, outputs)
    stops = exits_of(task, solved.thresholds, evidence)
    served = {head: np.empty(each.shape) for head, each in outputs[0].logits.items()}
    raw = {head: np.empty(each.shape) for head, each in outputs[0].logits.items()}
    alarms = np.zeros(len(stops), dtype=bool)
    exits = []
    for place, tier in enumerate(plan.tier_ids):
        here = stops == place
        meaning = solved.meaning(place, tier)
        probabilities = said[place].taken(here).calibrated(meaning.calibrators)
        for head, each in probabilities.items():
            served[head][here] = each
            raw[head][here] = _raw_probabilities(plan.task.head(head), outputs[place].logits[head][here])
        alarms[here] = _alarms(outputs[place], meaning.uncertainty)[here]
        if here.any():
            exits.append(_exit(plan, tier, here, probabilities, solved, photos, place))
    heads = measure(task, served, photos)
    files = [tier.checkpoint.file for tier in plan.tiers]
    least = LeastScores.strictest(LeastScores(file.least_accuracies, file.least_mccs) for file in files)
    false_alarms = share_of(alarms, photos.groups)
    cascade = None
    by_tier = [(each.tier, each.heads, each.assurances) for each in exits]
    gates = judge_release(heads, by_tier, least, false_alarms.mean, few_labels=plan.few_labels)
    if solved.promise is not None:
        cascade = measure_cascade(plan, solved, solved.promise, evidence, stops, outputs, photos)
        losses = {head: (each.mean, each.low) for head, each in cascade.losses.items()}
        gates = (*gates, *judge_cascade(losses, solved.promise.epsilon, what=_COUNTED[solved.promise.kind]))
    return VerifiedRelease(tiers, solved, heads, measure(task, raw, photos), tuple(exits), cascade, false_alarms, gates)


def _deciders(plan: ReleasePlan, solved: SolvedCascade) -> Mapping[str, Mapping[str, Any]]:
    """Returns what decides at each tier; in a release of one tier nothing has to, and any map will do."""
    return solved.deciders or {plan.tier_ids[0]: solved.tiers[0].meaning.calibrators}


def _exit(
    plan: ReleasePlan,
    tier: str,
    here: BoolArray,
    probabilities: Mapping[str, DoubleArray],
    solved: SolvedCascade,
    photos: HeldOutPhotos,
    place: int,
) -> ExitMetrics:
    chosen = photos.taken(here)
    specimens = len(np.unique(chosen.groups))
    if specimens < LEAST_MEASURED:
        return ExitMetrics(tier, int(here.sum()), specimens, share_of(here, photos.groups), (), ())
    return ExitMetrics(
        tier=tier,
        photo_count=int(here.sum()),
        specimen_count=specimens,
        share=share_of(here, photos.groups),
        heads=measure(plan.task, probabilities, chosen, parts=len(plan.tiers)),
        assurances=measure_assurances(plan.task, probabilities, solved.meaning(place, tier).assurances, chosen),
    )


def _raw_probabilities(head: Head, logits: npt.NDArray[np.float32]) -> DoubleArray:
    scores = logits.astype(np.float64)
    return opened(softmax(scores)) if head.kind is HeadKind.CATEGORY else opened(sigmoid(scores))


def _alarms(outputs: ServedOutputs, scale: UncertaintyScale) -> BoolArray:
    alarms: BoolArray = outputs.feature_distances > scale.out_of_distribution_distance
    return alarms


def _facts(verified: VerifiedRelease) -> dict[str, Any]:
    return {
        "heads": [asdict(each) for each in verified.heads],
        "raw_heads": [asdict(each) for each in verified.raw_heads],
        "exits": [asdict(each) for each in verified.exits],
        "cascade": None if verified.cascade is None else asdict(verified.cascade),
        "false_alarms": asdict(verified.false_alarms),
        "gates": [asdict(gate) for gate in verified.gates],
    }
