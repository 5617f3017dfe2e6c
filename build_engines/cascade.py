"""The second half of `calibrate`: thresholds with a tested promise, and the meaning of answers where photos stop.

val_calib has three named parts, dealt by specimen. *fit* gives the deciders: the maps whose confidences are held
against the thresholds. *frontier*, with *fit*, gives the candidates. *test* says which of them keep the promise. When
the thresholds stand, what is reported is fitted anew for each exit, on all photos of val_calib that stop there: that
changes no decision, and so leaves the promise as it was tested.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from build_engines.calibrate import SPLIT, CalibratedEngine, Fit, fit_meaning, known_or_collected, read_calibrated
from build_engines.cascade_solver import (
    Basis,
    MeasuredPolicy,
    Promise,
    SelectivePromise,
    SolverOptions,
    draw_test_items,
    solve_cascade,
)
from build_engines.checkpoint import HeldOutPhotos, read_held_out
from build_engines.costs import TierCosts, measured_costs
from build_engines.errors import MixedTiersError, PromiseOutOfReachError, StepMissingError
from build_engines.evidence import evidence_of, exits_of
from build_engines.fusing import Fusions, fit_fusions, fused_deciders, fused_outputs
from build_engines.plan import ReleasePlan
from build_engines.promise_facts import PromiseFacts, promise_facts
from build_engines.served_outputs import Follow, ServedOutputs, unfollowed
from build_engines.step_record import StepRecord
from server.adapters.calibrator_part import CalibratorPart
from server.adapters.release_files import MeaningPart
from server.domain.calibration.calibrator import Calibrator
from server.domain.calibration.selection import FittedHead, fit_best, refit_winner
from server.domain.release import Meaning
from server.domain.task import HeadKind, Task

STEP = "cascade"
FIT_SHARE, TEST_SHARE = 0.4, 0.5
LEAST_EXIT_SPECIMENS = 500
"""With fewer of them at an exit, its confidences are fitted on any photo; its labels are those of the promise."""
NEVER_SUFFICIENT = 1.01
"""The threshold of the last tier: no confidence reaches it, so an answer says LAST_TIER and not that it was sure.

Under a selective promise the last tier has thresholds as well: an answer of it that says LAST_TIER is for a person.
"""

_SEED = 3


@dataclass(frozen=True, slots=True)
class SolvedCascade:
    """Thresholds, what they are held against, and what answers mean where photos stop.

    Attributes:
        tiers: Calibrated engines, cheapest first.
        costs: Of one inspection, by tier.
        thresholds: By tier and decision head, inclusive; above 1 for never.
        deciders: By tier and decision head; nothing for a release of one tier.
        meanings_at_exit: By tier, of what is fused; a tier is missing if no photo can stop there.
        promise: What the thresholds keep; None for a release of one tier.
        candidates: The policies that were looked at, measured on *test*; for pictures.
        fusions: By tier and decision head, how much each tier so far counts; nothing where tiers speak alone.
    """

    tiers: tuple[CalibratedEngine, ...]
    costs: TierCosts
    thresholds: dict[str, dict[str, float]]
    deciders: dict[str, dict[str, Calibrator]]
    meanings_at_exit: dict[str, Meaning]
    promise: PromiseFacts | None
    candidates: tuple[MeasuredPolicy, ...]
    fusions: Fusions = field(default_factory=dict)

    def meaning(self, place: int, tier: str) -> Meaning:
        """Returns what own answers of a tier mean."""
        return self.meanings_at_exit.get(tier, self.tiers[place].meaning)


async def solve(plan: ReleasePlan, *, on_photo: Follow = unfollowed) -> SolvedCascade:
    """Solves the cascade of calibrated tiers.

    Args:
        plan: What is being built.
        on_photo: Follows the photos while costs are measured.

    Raises:
        StepMissingError: A tier was not calibrated.
        MixedTiersError: The tiers do not share their photos, or are not in the order of their cost.
        CascadeEvidenceError: The labels do not suffice.
        PromiseOutOfReachError: Nothing keeps the promise, not even the strongest tier.
    """
    started = time.monotonic()
    calibrated = tuple(read_calibrated(each) for each in plan.tiers)
    photos = shared_photos(plan, SPLIT)
    outputs = await outputs_of_tiers(plan, calibrated, photos)
    costs = await measured_costs(plan, [each.engine for each in calibrated], photos, on_photo=on_photo)
    options = SolverOptions(seed=_SEED, may_skip=plan.may_skip)
    solved = solve_on(
        plan.task, plan.tier_ids, plan.promise, calibrated, outputs, photos, costs, options=options, fuse=plan.fuse
    )
    record = StepRecord.make(
        STEP,
        inputs={tier: each.engine.sha256 for tier, each in zip(plan.tier_ids, calibrated, strict=True)},
        outputs=(),
        facts=_facts(solved),
        command=plan.command("calibrate"),
        duration_s=time.monotonic() - started,
    )
    record.write(plan.work_folder)
    return solved


def read_solved(plan: ReleasePlan) -> SolvedCascade:
    """Reads what `solve` left for these very engines, this promise and these ways to keep it.

    Raises:
        StepMissingError: It left nothing, or something else.
    """
    command = plan.command("calibrate")
    calibrated = tuple(read_calibrated(each) for each in plan.tiers)
    record = StepRecord.read(plan.work_folder, STEP, command=command)
    record.require_command(command)
    for tier, each in zip(plan.tier_ids, calibrated, strict=True):
        record.require_input(tier, each.engine.sha256, command=command)
    facts = record.facts
    if "costs" not in facts:
        raise StepMissingError(STEP, why=f"{STEP}.json is of an older version", command=command)
    return SolvedCascade(
        tiers=calibrated,
        costs=TierCosts(**facts["costs"]),
        thresholds=facts["thresholds"],
        deciders={
            tier: {head: CalibratorPart.model_validate(part).to_domain() for head, part in each.items()}
            for tier, each in facts["deciders"].items()
        },
        meanings_at_exit={
            tier: MeaningPart.model_validate(each).to_domain() for tier, each in facts["meanings_at_exit"].items()
        },
        promise=TypeAdapter(PromiseFacts | None).validate_python(facts["promise"]),
        candidates=TypeAdapter(tuple[MeasuredPolicy, ...]).validate_python(facts["candidates"]),
        fusions=TypeAdapter(Fusions).validate_python(facts["fusions"]),
    )


def solved_path(plan: ReleasePlan) -> Path:
    """Where `solve` leaves its record."""
    return plan.work_folder / f"{STEP}.json"


def solve_on(
    task: Task,
    tiers: Sequence[str],
    promise: Promise,
    calibrated: tuple[CalibratedEngine, ...],
    outputs: Sequence[ServedOutputs],
    photos: HeldOutPhotos,
    costs: TierCosts,
    *,
    options: SolverOptions | None = None,
    fuse: bool = False,
) -> SolvedCascade:
    """Solves the cascade on known outputs.

    Args:
        task: The taxonomy.
        tiers: Ids, cheapest first.
        promise: What the cascade is to keep.
        calibrated: One a tier.
        outputs: One a tier, on the photos.
        photos: Of val_calib, with their labels.
        costs: By tier.
        options: How it is solved.
        fuse: Whether a tier answers together with those before it.

    Raises:
        CascadeEvidenceError: The labels do not suffice.
        PromiseOutOfReachError: Nothing keeps the promise, not even the strongest tier.
    """
    last = dict.fromkeys(task.decision_heads, NEVER_SUFFICIENT)
    if len(tiers) == 1:
        return SolvedCascade(calibrated, costs, {tiers[0]: last}, {}, {}, None, ())
    in_fit = draw_test_items(photos.groups, test_share=FIT_SHARE, random=np.random.default_rng(_SEED))
    deciders = {
        tier: fit_deciders(task, each.taken(in_fit), photos.taken(in_fit))
        for tier, each in zip(tiers, outputs, strict=True)
    }
    parts = [each.taken(in_fit) for each in outputs]
    fusions = fit_fusions(task, tiers, deciders, parts, photos.taken(in_fit)) if fuse else {}
    in_test = np.zeros(len(photos.groups), dtype=bool)
    share = TEST_SHARE / (1 - FIT_SHARE)
    in_test[~in_fit] = draw_test_items(
        photos.groups[~in_fit], test_share=share, random=np.random.default_rng(_SEED + 1)
    )
    evidence = evidence_of(task, tiers, deciders, outputs, photos, costs, is_test=in_test, fusions=fusions)
    solution = solve_cascade(evidence, promise, options=options or SolverOptions(seed=_SEED))
    if not solution.holds:
        raise PromiseOutOfReachError(promise.limit)
    if solution.basis is not Basis.TESTED:
        # Everything goes straight to the strongest tier, which has nobody to be fused with.
        fusions, evidence = {}, evidence.own
    thresholds = solution.thresholds
    if not isinstance(promise, SelectivePromise):
        thresholds[tiers[-1]] = last
    exits = exits_of(task, thresholds, evidence)
    said = fused_outputs(tiers, deciders, fusions, outputs)
    at_exit = {}
    for place, tier in enumerate(tiers):
        if tier != tiers[-1] and max(thresholds[tier].values()) > 1:
            continue
        here = exits == place
        if len(np.unique(photos.groups[here])) < LEAST_EXIT_SPECIMENS:
            here = np.ones_like(here)
        fit = _fit_at_exit(task, fused_deciders(deciders[tier]) if fusions else deciders[tier])
        fitted = fit_meaning(task, said[place].taken(here), photos.taken(here), fit, seen_by_deciders=in_fit[here])
        at_exit[tier] = fitted.meaning
    promised = promise_facts(solution)
    return SolvedCascade(calibrated, costs, thresholds, deciders, at_exit, promised, solution.frontier, fusions)


def fit_deciders(task: Task, outputs: ServedOutputs, photos: HeldOutPhotos) -> dict[str, Calibrator]:
    """Fits the maps of the decision heads on the *fit* part."""
    deciders = {}
    for head_id in task.decision_heads:
        labels = photos.labels[head_id]
        known = labels >= 0
        fitted = fit_best(
            task.head(head_id),
            outputs.logits[head_id][known],
            labels[known],
            engine_sha256=outputs.engine_sha256,
            groups=photos.groups[known],
        )
        deciders[head_id] = fitted.calibrator
    return deciders


def shared_photos(plan: ReleasePlan, split: str) -> HeldOutPhotos:
    """Returns the photos of a split, which all tiers share.

    Raises:
        MixedTiersError: They do not.
    """
    lists = [read_held_out(each.checkpoint, split, data_folder=each.data_folder) for each in plan.tiers]
    for tier, each in zip(plan.tier_ids, lists, strict=True):
        if each.sha256 != lists[0].sha256:
            raise MixedTiersError(plan.tier_ids[0], tier, what=f"do not share the photos of {split}")
    return lists[0]


async def outputs_of_tiers(
    plan: ReleasePlan, calibrated: Sequence[CalibratedEngine], photos: HeldOutPhotos, *, on_photo: Follow = unfollowed
) -> list[ServedOutputs]:
    """Returns what each tier says about the photos, in the plan's order."""
    return [
        await known_or_collected(tier, each.engine, photos, on_photo=on_photo)
        for tier, each in zip(plan.tiers, calibrated, strict=True)
    ]


def _fit_at_exit(task: Task, deciders: Mapping[str, Calibrator]) -> Fit:
    """Returns how maps are fitted at an exit: of decision heads only the winner's confidence, so that labels stay."""

    def fit(outputs: ServedOutputs, photos: HeldOutPhotos) -> dict[str, FittedHead]:
        fitted = {}
        for head in task.heads:
            labels = photos.labels[head.id]
            known = labels >= 0 if head.kind is HeadKind.CATEGORY else (labels >= 0).all(axis=1)
            items = outputs.logits[head.id][known], labels[known]
            groups = photos.groups[known]
            fitted[head.id] = (
                refit_winner(deciders[head.id], *items, groups=groups)
                if head.id in deciders
                else fit_best(head, *items, engine_sha256=outputs.engine_sha256, groups=groups)
            )
        return fitted

    return fit


def _facts(solved: SolvedCascade) -> dict[str, Any]:
    return {
        "costs": asdict(solved.costs),
        "thresholds": solved.thresholds,
        "deciders": {
            tier: {head: CalibratorPart.model_validate(part).model_dump(mode="json") for head, part in each.items()}
            for tier, each in solved.deciders.items()
        },
        "meanings_at_exit": {
            tier: MeaningPart.model_validate(each).model_dump(mode="json")
            for tier, each in solved.meanings_at_exit.items()
        },
        "promise": TypeAdapter(PromiseFacts | None).dump_python(solved.promise, mode="json"),
        "fusions": solved.fusions,
        "candidates": TypeAdapter(tuple[MeasuredPolicy, ...]).dump_python(solved.candidates, mode="json"),
    }
