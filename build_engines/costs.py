"""What one inspection costs in each tier: milliseconds in one Triton, the tiers taking turns photo by photo."""

import itertools
from collections.abc import Sequence
from time import perf_counter

import numpy as np

from build_engines.checkpoint import HeldOutPhotos
from build_engines.compile import CompiledEngine
from build_engines.errors import MixedTiersError
from build_engines.plan import ReleasePlan, TierPlan
from build_engines.served_outputs import Follow, ServedEngine, serve_all, unfollowed
from build_engines.step_record import StepRecord

STEP = "costs"
PHOTOS = 100
ROUNDS = 3
_SEED = 5
_TIMEOUT_S = 60.0


async def measured_costs(
    plan: ReleasePlan, engines: Sequence[CompiledEngine], photos: HeldOutPhotos, *, on_photo: Follow = unfollowed
) -> dict[str, float]:
    """Returns the milliseconds of one inspection by tier, as kept, or else measured, and then kept.

    Each photo goes to all tiers in turn, one at a time, several rounds long: the median of its rounds leaves out what
    else the machine did, and the mean over the photos is the cost.

    Args:
        plan: What is being built.
        engines: One a tier, in the plan's order.
        photos: A fixed draw of them is used.
        on_photo: Follows the photos; not called if the costs are known already.

    Raises:
        MixedTiersError: A tier is cheaper than the one before it.
    """
    known = _read(plan, engines)
    if known is not None:
        return known
    drawn = np.random.default_rng(_SEED).permutation(len(photos.paths))[:PHOTOS]
    contents = [photos.paths[place].read_bytes() for place in drawn.tolist()]
    parts = list(zip(plan.tiers, engines, strict=True))
    async with serve_all(parts) as served:
        for each in served:
            await _ask_ms(each, plan.task.head_ids, contents[0])
        taken = np.empty((ROUNDS, len(contents), len(served)))
        for place, content in enumerate(contents):
            for spell in range(ROUNDS):
                taken[spell, place] = [await _ask_ms(each, plan.task.head_ids, content) for each in served]
            on_photo(place + 1, len(contents))
    costs = dict(zip(plan.tier_ids, np.median(taken, axis=0).mean(axis=0).tolist(), strict=True))
    require_rising(costs)
    plan.work_folder.mkdir(parents=True, exist_ok=True)
    StepRecord.make(
        STEP,
        inputs=_inputs(parts),
        outputs=(),
        facts={"costs_ms": costs, "photos": len(contents), "rounds": ROUNDS},
        command=plan.command("calibrate"),
        duration_s=float(taken.sum()) / 1e3,
    ).write(plan.work_folder)
    return costs


def require_rising(costs: dict[str, float]) -> None:
    """Raises MixedTiersError unless each tier costs more than the one before it."""
    for first, second in itertools.pairwise(costs):
        if costs[second] <= costs[first]:
            what = f"are in the wrong order: {costs[first]:.1f} ms before {costs[second]:.1f} ms"
            raise MixedTiersError(first, second, what=what)


def _read(plan: ReleasePlan, engines: Sequence[CompiledEngine]) -> dict[str, float] | None:
    path = plan.work_folder / f"{STEP}.json"
    if not path.is_file():
        return None
    record = StepRecord.read(plan.work_folder, STEP, command=plan.command("calibrate"))
    if record.inputs != _inputs(list(zip(plan.tiers, engines, strict=True))):
        return None
    costs = record.facts["costs_ms"]
    return {tier: float(costs[tier]) for tier in plan.tier_ids}


def _inputs(parts: Sequence[tuple[TierPlan, CompiledEngine]]) -> dict[str, str]:
    return {plan.tier: engine.sha256 for plan, engine in parts}


async def _ask_ms(served: ServedEngine, heads: tuple[str, ...], content: bytes) -> float:
    began = perf_counter()
    await served.engines.infer(served.ref, content, heads=heads, with_attention=False, timeout_s=_TIMEOUT_S)
    return (perf_counter() - began) * 1e3
