"""`python -m training.step_bench TASK --tier TIER`: what it is worth to keep a step's memory for the next one.

Each side of a pair is a process of its own, in turn: how memory is kept cannot be taken back.
"""

import resource
import time
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


class StepCost(NamedTuple):
    """The mean of a step."""

    milliseconds: float
    page_faults: float


def main(
    task: Annotated[str, typer.Argument(help="The task, e.g. cannabis.")],
    *,
    tier: Annotated[str, typer.Option(help="The tier, e.g. fast.")] = "fast",
    size: Annotated[int | None, typer.Option(min=32, help="The side of the photos; the served if not given.")] = None,
    steps: Annotated[int, typer.Option(min=1, help="Steps of one half of a pair.")] = 20,
    pairs: Annotated[int, typer.Option(min=1, help="Pairs.")] = 3,
) -> None:
    """Measures a training step with freed memory kept, and with freed memory returned to the kernel."""
    console = Console()
    with explained(console):
        costs: dict[bool, list[StepCost]] = {False: [], True: []}
        with progress_bar(console, "Processes") as follow:
            follow(0, 2 * pairs)
            for place in range(2 * pairs):
                keeps = bool(place % 2)
                with worker_pool(1) as pool:
                    half = pool.submit(measured_step, task, tier, size_px=size, steps=steps, keeps=keeps)
                    costs[keeps].append(half.result())
                follow(place + 1, 2 * pairs)
        _show(console, f"{task}, {tier}", costs)


def measured_step(task_id: str, tier: str, *, size_px: int | None, steps: int, keeps: bool) -> StepCost:
    """Returns what steps of a tier's recipe cost in this process, in float32, on random photos of its batch size."""
    told = load_task_file(task_id)
    task, section, recipe = told.to_domain(), told.tier(tier).network("demo"), told.recipe(tier, "demo")
    torch.set_num_threads(recipe.threads)
    if keeps:
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

    for _ in range(_WARM_STEPS):
        step()
    faults, started = _page_faults(), time.perf_counter()
    for _ in range(steps):
        step()
    return StepCost(1000 * (time.perf_counter() - started) / steps, (_page_faults() - faults) / steps)


def _random_labels(task: Task, *, photo_count: int) -> dict[str, torch.Tensor]:
    return {
        head.id: torch.randint(len(head.labels), (photo_count,))
        if head.kind is HeadKind.CATEGORY
        else torch.randint(2, (photo_count, len(head.labels))).float()
        for head in task.heads
    }


def _page_faults() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


def _show(console: Console, what: str, costs: dict[bool, list[StepCost]]) -> None:
    table = Table("Freed memory", "ms a step", "Page faults a step", title=f"A training step of {what}")
    for keeps, found in costs.items():
        times, faults = (median(each) for each in zip(*found, strict=True))
        table.add_row("kept" if keeps else "returned", f"{times:.0f}", f"{faults:.0f}")
    ratios = sorted(one.milliseconds / other.milliseconds for one, other in zip(costs[False], costs[True], strict=True))
    console.print(table)
    console.print(f"{median(ratios):.2f} times as fast with it kept (pairs: {ratios[0]:.2f} to {ratios[-1]:.2f})")


if __name__ == "__main__":
    typer.run(main)
