"""`python -m training.step_bench TASK --tier TIER`: what a step gains by keeping its memory, and by being compiled.

Each measurement has a process of its own, in turn: how memory is kept cannot be taken back. Compiled kernels go to an
empty folder, as on a machine that has compiled none.
"""

import os
import resource
import tempfile
import time
from collections.abc import Sequence
from statistics import median
from typing import Annotated, NamedTuple

import torch
import typer
from rich.console import Console
from rich.table import Table

from server.domain.task import HeadKind, Task
from training.augmentation import resized
from training.checkpoint import build_network
from training.console import explained, progress_bar
from training.learner import Learner
from training.processor import use_processor
from training.task_file import load_task_file
from training.workers import worker_pool

_WARM_STEPS = 5


class Way(NamedTuple):
    """How a step is run."""

    name: str
    keeps: bool = True
    compiled: bool = False


_RETURNED = Way("freed memory returned", keeps=False)
_KEPT = Way("freed memory kept")
_COMPILED = Way("kept, and compiled", compiled=True)
_WAYS = (_RETURNED, _KEPT, _COMPILED)


class StepCost(NamedTuple):
    """The mean of a step, and what the first took."""

    milliseconds: float
    page_faults: float
    first_s: float


def main(
    task: Annotated[str, typer.Argument(help="The task, e.g. cannabis.")],
    *,
    tier: Annotated[str, typer.Option(help="The tier, e.g. fast.")] = "fast",
    size: Annotated[int | None, typer.Option(min=32, help="The side of the photos; the served if not given.")] = None,
    steps: Annotated[int, typer.Option(min=1, help="Steps of one measurement.")] = 20,
    rounds: Annotated[int, typer.Option(min=1, help="Measurements of each way.")] = 3,
) -> None:
    """Measures a training step with freed memory returned to the kernel, with it kept, and compiled as well."""
    console = Console()
    with explained(console):
        costs: dict[Way, list[StepCost]] = {way: [] for way in _WAYS}
        with progress_bar(console, "Processes") as follow:
            follow(0, rounds * len(_WAYS))
            for place in range(rounds * len(_WAYS)):
                way = _WAYS[place % len(_WAYS)]
                with worker_pool(1) as pool, tempfile.TemporaryDirectory() as kernels:
                    run = pool.submit(measured_step, task, tier, way, size_px=size, steps=steps, kernels=kernels)
                    costs[way].append(run.result())
                follow(place + 1, rounds * len(_WAYS))
        _show(console, f"{task}, {tier}", costs)


def measured_step(task_id: str, tier: str, way: Way, *, size_px: int | None, steps: int, kernels: str) -> StepCost:
    """Returns what steps of a tier's recipe cost in this process, in float32, on random photos of its batch size.

    Args:
        task_id: The task.
        tier: Its tier.
        way: How steps are run.
        size_px: The side of the photos; None: the served one.
        steps: How many are measured.
        kernels: The folder of compiled kernels.
    """
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = kernels
    told = load_task_file(task_id)
    task, section = told.to_domain(), told.tier(tier).network("demo")
    recipe = told.recipe(tier, "demo").model_copy(update={"compiled": way.compiled})
    torch.set_num_threads(recipe.threads)
    if way.keeps:
        use_processor(recipe.threads)
    network = build_network(section, task)
    network.views = 1
    learner = Learner(network, task, recipe, sizes_px=(size_px or section.input_size_px,)).train()
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-6, fused=True)
    images = torch.randint(256, (recipe.batch_size, *(2 * [section.input_size_px]), 3), dtype=torch.uint8)
    labels = _random_labels(task, photo_count=recipe.batch_size)

    def step() -> None:
        changed = learner.augmentation(resized(images, learner.sizes_px[0]))
        learner.loss(learner.seen(changed).heads, labels).total.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), recipe.gradient_clip)
        optimiser.step()
        optimiser.zero_grad()

    started = time.perf_counter()
    step()
    first_s = time.perf_counter() - started
    for _ in range(_WARM_STEPS):
        step()
    faults, started = _page_faults(), time.perf_counter()
    for _ in range(steps):
        step()
    milliseconds = 1000 * (time.perf_counter() - started) / steps
    return StepCost(milliseconds, (_page_faults() - faults) / steps, first_s)


def steps_to_pay(uncompiled: Sequence[StepCost], compiled: Sequence[StepCost]) -> float | None:
    """Returns after how many steps of one size compilation has paid for itself; None: never."""
    pairs = list(zip(uncompiled, compiled, strict=True))
    waited_s = median(other.first_s - one.first_s for one, other in pairs)
    gained_s = median(one.milliseconds - other.milliseconds for one, other in pairs) / 1000
    return max(waited_s, 0.0) / gained_s if gained_s > 0 else None


def _random_labels(task: Task, *, photo_count: int) -> dict[str, torch.Tensor]:
    return {
        head.id: torch.randint(len(head.labels), (photo_count,))
        if head.kind is HeadKind.CATEGORY
        else torch.randint(2, (photo_count, len(head.labels))).float()
        for head in task.heads
    }


def _page_faults() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


def _show(console: Console, what: str, costs: dict[Way, list[StepCost]]) -> None:
    table = Table("Steps", "ms a step", "Page faults a step", "First step, s", title=f"A training step of {what}")
    for way, found in costs.items():
        times, faults, first = (median(each) for each in zip(*found, strict=True))
        table.add_row(way.name, f"{times:.0f}", f"{faults:.0f}", f"{first:.1f}")
    console.print(table)
    console.print(f"Memory kept: {_ratio_line(costs[_RETURNED], costs[_KEPT])}")
    paid = steps_to_pay(costs[_KEPT], costs[_COMPILED])
    worth = "it does not pay" if paid is None else f"it pays after {paid:,.0f} steps of this size"
    console.print(f"Compiled: {_ratio_line(costs[_KEPT], costs[_COMPILED])}; {worth}")


def _ratio_line(slow: Sequence[StepCost], fast: Sequence[StepCost]) -> str:
    ratios = sorted(one.milliseconds / other.milliseconds for one, other in zip(slow, fast, strict=True))
    return f"{median(ratios):.2f} times as fast (rounds: {ratios[0]:.2f} to {ratios[-1]:.2f})"


if __name__ == "__main__":
    typer.run(main)
