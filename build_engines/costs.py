"""What one inspection costs in each tier: milliseconds in one Triton, the tiers taking turns photo by photo."""

import itertools
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from time import perf_counter

import numpy as np

from build_engines.checkpoint import HeldOutPhotos
from build_engines.compile import CompiledEngine
from build_engines.errors import MixedTiersError
from build_engines.plan import ReleasePlan, TierPlan
from build_engines.served_outputs import Follow, ServedEngine, serve_all, unfollowed
from build_engines.step_record import StepRecord
from server.domain.prediction import Photo, RawPrediction, Wanted
from server.domain.task import Task

STEP = "costs"
PHOTOS = 100
ROUNDS = 3
_SEED = 5
_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class TierCosts:
    """Milliseconds of one inspection.

    Attributes:
        alone_ms: By tier, cheapest first: from the encoded photo to the answer.
        next_ms: By tier: after a tier before it that has decoded the photo. The same as alone, unless all tiers see
            photos alike (size and framing): where only some do, the gateway spares a little more than is counted.
    """

    alone_ms: dict[str, float]
    next_ms: dict[str, float]

    @property
    def entry_ms(self) -> float:
        """What the tiers of a cascade share, and only its first one pays: decoding the photo."""
        return max(fmean(self.alone_ms[tier] - self.next_ms[tier] for tier in self.alone_ms), 0.0)

    @property
    def single_ms(self) -> dict[str, float]:
        """By tier, what it costs by itself on the scale on which cascades are counted."""
        return {tier: self.entry_ms + cost_ms for tier, cost_ms in self.next_ms.items()}


async def measured_costs(
    plan: ReleasePlan, engines: Sequence[CompiledEngine], photos: HeldOutPhotos, *, on_photo: Follow = unfollowed
) -> TierCosts:
    """Returns the costs, as kept, or else measured, and then kept.

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
        share = len(served) > 1 and all(each.ref.sees_as(served[0].ref) for each in served)
        for each in served:
            await _ask_ms(each, contents[0], Wanted(plan.task.head_ids, pixels=share))
        alone = np.empty((ROUNDS, len(contents), len(served)))
        after = np.empty_like(alone)
        for place, content in enumerate(contents):
            for spell in range(ROUNDS):
                alone[spell, place], after[spell, place] = await _ask_all(served, content, plan.task, share=share)
            on_photo(place + 1, len(contents))
    alone_ms, next_ms = (
        dict(zip(plan.tier_ids, np.median(each, axis=0).mean(axis=0).tolist(), strict=True)) for each in (alone, after)
    )
    costs = TierCosts(alone_ms, next_ms)
    require_rising(costs.alone_ms)
    plan.work_folder.mkdir(parents=True, exist_ok=True)
    StepRecord.make(
        STEP,
        inputs=_inputs(parts),
        outputs=(),
        facts={**asdict(costs), "photos": len(contents), "rounds": ROUNDS},
        command=plan.command("calibrate"),
        duration_s=float(alone.sum() + after.sum() * share) / 1e3,
    ).write(plan.work_folder)
    return costs


async def _ask_all(
    served: Sequence[ServedEngine], content: bytes, task: Task, *, share: bool
) -> tuple[list[float], list[float]]:
    """Asks all tiers in turn about a photo, and then, if they share their input, about its pixels."""
    alone, pixels = [], None
    for each in served:
        # As in the gateway: who is followed by another tier gives the pixels back.
        taken_ms, raw = await _ask_ms(each, content, Wanted(task.head_ids, pixels=share and each is not served[-1]))
        alone.append(taken_ms)
        pixels = raw.pixels or pixels
    if pixels is None:
        return alone, alone
    return alone, [(await _ask_ms(each, pixels, Wanted(task.head_ids)))[0] for each in served]


def require_rising(costs: dict[str, float]) -> None:
    """Raises MixedTiersError unless each tier costs more than the one before it."""
    for first, second in itertools.pairwise(costs):
        if costs[second] <= costs[first]:
            what = f"are in the wrong order: {costs[first]:.1f} ms before {costs[second]:.1f} ms"
            raise MixedTiersError(first, second, what=what)


def _read(plan: ReleasePlan, engines: Sequence[CompiledEngine]) -> TierCosts | None:
    path = plan.work_folder / f"{STEP}.json"
    if not path.is_file():
        return None
    record = StepRecord.read(plan.work_folder, STEP, command=plan.command("calibrate"))
    if record.inputs != _inputs(list(zip(plan.tiers, engines, strict=True))) or "next_ms" not in record.facts:
        return None
    return TierCosts(record.facts["alone_ms"], record.facts["next_ms"])


def _inputs(parts: Sequence[tuple[TierPlan, CompiledEngine]]) -> dict[str, str]:
    return {plan.tier: engine.sha256 for plan, engine in parts}


async def _ask_ms(served: ServedEngine, photo: Photo, wanted: Wanted) -> tuple[float, RawPrediction]:
    began = perf_counter()
    raw = await served.engines.infer(served.ref, photo, wanted, timeout_s=_TIMEOUT_S)
    return (perf_counter() - began) * 1e3, raw
