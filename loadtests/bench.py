"""`make bench`: what the gateway costs, as ratios against the bare Triton ensemble in interleaved pairs of one run.

Both sides are asked by the same client process, with the same photo, in turn; each pair gives
one ratio, and the table their median with its 95 % interval. The exit code says whether the
limits hold.
"""

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer
import uvloop
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from loadtests.closed_loop import Send, Window, measure
from loadtests.pairs import Estimate, estimate
from loadtests.stack import serve
from loadtests.targets import gateway_send, open_channel, triton_send
from loupe.v1 import task_service_pb2, task_service_pb2_grpc
from server.triton.tier_models import UNCERTAINTY

MIN_THROUGHPUT_RATIO_AT_16 = 0.85
MAX_ADDED_MEDIAN_MS_AT_1 = 1.5
_WARM_UP_S = 2.0


@dataclass(frozen=True, slots=True)
class Row:
    """The gateway against bare Triton at one number in flight."""

    in_flight: int
    gateway_per_s: float
    triton_per_s: float
    throughput_ratio: Estimate
    added_median_ms: Estimate
    added_p99_ms: Estimate

    def misses(self) -> list[str]:
        """Returns the limits that this row misses."""
        misses = []
        if self.in_flight == 16 and self.throughput_ratio.median < MIN_THROUGHPUT_RATIO_AT_16:  # noqa: PLR2004
            misses.append(f"throughput at 16 in flight is below {MIN_THROUGHPUT_RATIO_AT_16} of bare Triton")
        if self.in_flight == 1 and self.added_median_ms.median > MAX_ADDED_MEDIAN_MS_AT_1:
            misses.append(f"the gateway adds more than {MAX_ADDED_MEDIAN_MS_AT_1} ms to the median of 1")
        return misses


def main(
    repository: Annotated[Path, typer.Option(help="The model repository.")] = Path("model_repository"),
    task: Annotated[str, typer.Option(help="The task to load.")] = "cannabis",
    in_flight: Annotated[list[int] | None, typer.Option(help="Requests under way; repeatable. 1 and 16.")] = None,
    pairs: Annotated[int, typer.Option(help="Interleaved pairs at each number in flight.", min=1)] = 10,
    seconds: Annotated[float, typer.Option(help="The length of one half of a pair.", min=0.1)] = 2.0,
    output: Annotated[Path, typer.Option(help="Where the figures go, as JSON.")] = Path("build/bench.json"),
) -> None:
    """Measures the gateway against the bare Triton ensemble."""
    console = Console()
    rows = uvloop.run(_bench(console, repository, task, in_flight or [1, 16], pairs, seconds))
    _show(console, rows)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n")
    misses = [miss for row in rows for miss in row.misses()]
    for miss in misses:
        console.print(f"[red]missed:[/] {miss}")
    sys.exit(1 if misses else 0)


async def _bench(
    console: Console, repository: Path, task: str, in_flight: list[int], pairs: int, seconds: float
) -> list[Row]:
    async with serve(model_repository=str(repository.resolve())) as stack:
        channels = open_channel(stack.address), open_channel(stack.triton_address)
        async with channels[0], channels[1]:
            served = (
                await task_service_pb2_grpc.TaskServiceStub(channels[0]).GetTask(
                    task_service_pb2.GetTaskRequest(task=f"tasks/{task}")
                )
            ).task
            number = served.active_release.rsplit("/", 1)[-1]
            photo = (repository / "releases" / task / number / "known_answer.jpg").read_bytes()
            model = f"{task}_r{number}_{served.tiers[0].id}"
            outputs = (*(head.id for head in served.heads), UNCERTAINTY)
            sends = gateway_send(channels[0], task, photo), triton_send(channels[1], model, outputs, photo)
            return [await _compare(console, sends, each, pairs, seconds) for each in in_flight]


async def _compare(console: Console, sends: tuple[Send, Send], in_flight: int, pairs: int, seconds: float) -> Row:
    """Measures gateway and Triton in turn; every second pair the other way round."""
    for send in sends:
        await measure(send, in_flight=in_flight, seconds=_WARM_UP_S)
    gateway: list[Window] = []
    triton: list[Window] = []
    sides = list(zip(sends, (gateway, triton), strict=True))
    with Progress(console=console, transient=True) as progress:
        bar = progress.add_task(f"{in_flight} in flight", total=2 * pairs)
        for pair in range(pairs):
            for send, windows in sides if pair % 2 == 0 else reversed(sides):
                windows.append(await measure(send, in_flight=in_flight, seconds=seconds))
                progress.advance(bar)
    both = list(zip(gateway, triton, strict=True))
    return Row(
        in_flight=in_flight,
        gateway_per_s=sum(each.throughput for each in gateway) / pairs,
        triton_per_s=sum(each.throughput for each in triton) / pairs,
        throughput_ratio=estimate([one.throughput / other.throughput for one, other in both]),
        added_median_ms=estimate([one.latency_ms(50) - other.latency_ms(50) for one, other in both]),
        added_p99_ms=estimate([one.latency_ms(99) - other.latency_ms(99) for one, other in both]),
    )


def _show(console: Console, rows: list[Row]) -> None:
    table = Table(title="The gateway against the bare Triton ensemble, medians over interleaved pairs [95 % interval]")
    for heading in (
        "in flight",
        "gateway /s",
        "Triton /s",
        "throughput ratio",
        "added to median, ms",
        "added to p99, ms",
    ):
        table.add_column(heading, justify="right")
    for row in rows:
        table.add_row(
            str(row.in_flight),
            f"{row.gateway_per_s:.0f}",
            f"{row.triton_per_s:.0f}",
            str(row.throughput_ratio),
            str(row.added_median_ms),
            str(row.added_p99_ms),
        )
    console.print(table)


if __name__ == "__main__":
    typer.run(main)
