"""`make bench`: what the gateway costs, and what the cascade saves, as ratios in interleaved pairs of one run.

Both sides of a pair are asked by the same client process, with the same photos, in turn; each pair
gives one ratio, and the tables their median with its 95 % interval. The exit code says whether the
limits hold.
"""

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import grpc.aio
import typer
import uvloop
from rich.console import Console
from rich.progress import Progress

from loadtests.bench_report import BenchReport, show, verdicts_of
from loadtests.cascade_bench import CascadeFigures, cascade_figures, compare_cascade
from loadtests.ceiling import measure_ceiling
from loadtests.cpu import CpuClock
from loadtests.errors import LoadTestError, WrongTierError
from loadtests.photos import PhotoSet, find_photos
from loadtests.served import EngineFile, ServedTask, ServedTier, read_engines
from loadtests.stack import serve
from loadtests.targets import gateway_sends, in_turn, open_channel, triton_sends
from loadtests.tier_bench import TierFigures, compare, tier_cost
from loupe.v1 import task_service_pb2, task_service_pb2_grpc
from server.triton.tier_models import DECODED, UNCERTAINTY

_IN_FLIGHT = (1, 4, 16, 32)
_TIER_PHOTOS = 64
"""The photos that tiers are measured with, in turn; they stay in memory, ready to be sent."""
_CASCADE_IN_FLIGHT = 16
_CEILING_S = 2.0
_NO_LIMIT = 1 << 16
_SEED = 20_261_121


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is measured: the more, the narrower the intervals, and the longer it takes.

    Attributes:
        in_flight: Numbers of requests under way.
        pairs: Interleaved pairs of each comparison.
        seconds: The length of one half of a pair of a tier.
        cascade_photos: The photos in one half of a pair of the cascade.
    """

    in_flight: tuple[int, ...]
    pairs: int
    seconds: float
    cascade_photos: int

    def halves(self, tier_count: int) -> int:
        """Returns how many halves there are in all."""
        return 2 * self.pairs * (tier_count * len(self.in_flight) + (tier_count > 1))


def main(
    repository: Annotated[Path, typer.Option(help="The model repository.")] = Path("model_repository"),
    task: Annotated[str, typer.Option(help="The task to measure.")] = "cannabis",
    in_flight: Annotated[list[int] | None, typer.Option(help="Requests under way; repeatable. 1, 4, 16, 32.")] = None,
    pairs: Annotated[int, typer.Option(help="Interleaved pairs of each comparison.", min=1)] = 5,
    seconds: Annotated[float, typer.Option(help="The length of one half of a pair.", min=0.1)] = 1.2,
    cascade_photos: Annotated[int, typer.Option(help="Photos in one half of a pair of the cascade.", min=1)] = 96,
    photos: Annotated[
        Path | None, typer.Option(help="A folder of photos; data/TASK, else the bundled ones, by default.")
    ] = None,
    output: Annotated[Path, typer.Option(help="Where the figures go, as JSON.")] = Path("build/bench.json"),
) -> None:
    """Measures each tier against bare Triton, and the cascade against its strongest tier."""
    console = Console()
    scale = Scale(tuple(in_flight or _IN_FLIGHT), pairs, seconds, cascade_photos)
    try:
        report = uvloop.run(_bench(console, repository, task, photos, scale))
    except LoadTestError as error:
        console.print(f"[red]{error}[/]")
        sys.exit(2)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(report.model_dump_json(indent=2) + "\n", encoding="utf-8")
    show(console, report, path=output)
    sys.exit(0 if report.holds else 1)


async def _bench(console: Console, repository: Path, task: str, folder: Path | None, scale: Scale) -> BenchReport:
    async with (
        # A saturated gateway spares its stronger tiers; measured is what the cascade costs when it does not.
        serve(model_repository=str(repository.resolve()), escalation_backlog=str(_NO_LIMIT)) as stack,
        open_channel(stack.address) as gateway,
        open_channel(stack.triton_address) as triton,
    ):
        request = task_service_pb2.GetTaskRequest(task=f"tasks/{task}")
        served = ServedTask.of((await task_service_pb2_grpc.TaskServiceStub(gateway).GetTask(request)).task)
        photos = find_photos(folder, dataset=Path("data") / task, release=served.folder(repository), seed=_SEED)
        engines = read_engines(served, repository)
        clock = CpuClock.of_stack(stack.pid)
        with Progress(console=console, transient=True) as progress:
            bench = _Bench(served, photos, gateway, triton, clock, scale, progress)
            tiers = [await bench.tier(each, engines[each.id]) for each in served.tiers]
            cascade = await bench.cascade() if len(served.tiers) > 1 else None
    return BenchReport(
        release=served.release_name,
        photos=photos.description,
        machine_cores=_cores(),
        tiers=tuple(tiers),
        cascade=cascade,
        verdicts=verdicts_of(tiers, cascade),
    )


class _Bench:
    """What all comparisons of one run share."""

    def __init__(
        self,
        served: ServedTask,
        photos: PhotoSet,
        gateway: grpc.aio.Channel,
        triton: grpc.aio.Channel,
        clock: CpuClock,
        scale: Scale,
        progress: Progress,
    ) -> None:
        self._served = served
        self._photos = photos
        self._gateway = gateway
        self._triton = triton
        self._clock = clock
        self._scale = scale
        self._progress = progress
        self._bar = progress.add_task("Measuring", total=scale.halves(len(served.tiers)))

    async def tier(self, tier: ServedTier, engine: EngineFile) -> TierFigures:
        """Measures one tier alone."""
        photos = [self._photos.read(number) for number in range(min(_TIER_PHOTOS, len(self._photos.paths)))]
        outputs = (*self._served.heads, UNCERTAINTY, *([DECODED] if engine.gives_pixels else []))
        sends = gateway_sends(self._gateway, self._served.id, photos, min_tier=tier.id, max_tier=tier.id)
        if (answered := (await sends[0]()).trace.tier) != tier.id:
            raise WrongTierError(tier.id, answered)
        gateway, triton = in_turn(sends), in_turn(triton_sends(self._triton, engine.model, outputs, photos))
        self._say(f"{tier.id}: the ceiling")
        ceiling = measure_ceiling(
            engine.path,
            photos,
            size_px=tier.input_size_px,
            framing=engine.framing,
            threads=_cores(),
            seconds=_CEILING_S,
        )
        rows = []
        for in_flight in self._scale.in_flight:
            self._say(f"{tier.id}: {in_flight} in flight")
            row = await compare(
                gateway,
                triton,
                self._clock,
                in_flight=in_flight,
                pairs=self._scale.pairs,
                seconds=self._scale.seconds,
                on_half=self._advance,
            )
            rows.append(row)
        return TierFigures(
            tier=tier.id,
            precision=tier.precision,
            input_size_px=tier.input_size_px,
            ceiling_per_second=ceiling,
            rows=tuple(rows),
            cost=tier_cost(rows),
        )

    async def cascade(self) -> CascadeFigures:
        """Measures the whole cascade against its strongest tier."""
        strongest = self._served.strongest.id
        self._say(f"the cascade, and {strongest} alone")
        count = self._scale.pairs * self._scale.cascade_photos
        photos = [self._photos.read(number) for number in range(count)]
        both = await compare_cascade(
            gateway_sends(self._gateway, self._served.id, photos),
            gateway_sends(self._gateway, self._served.id, photos, min_tier=strongest, max_tier=strongest),
            self._clock,
            in_flight=_CASCADE_IN_FLIGHT,
            pairs=self._scale.pairs,
            on_half=self._advance,
        )
        return cascade_figures(
            both,
            tiers=[each.id for each in self._served.tiers],
            in_flight=_CASCADE_IN_FLIGHT,
            distinct_photos=min(count, len(self._photos.paths)),
        )

    def _say(self, what: str) -> None:
        self._progress.update(self._bar, description=what)

    def _advance(self) -> None:
        self._progress.advance(self._bar)


def _cores() -> int:
    """Returns how many cores this process may use."""
    return len(os.sched_getaffinity(0))


if __name__ == "__main__":
    typer.run(main)
