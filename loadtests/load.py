"""`make load`: the steady mix of `slo.toml` against a gateway of its own; the exit code says whether its limits hold.

Locust runs in a process of its own, because importing it changes the standard library.
"""

import asyncio
import sys
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from loadtests.errors import LoadTestError, LocustFailedError
from loadtests.load_report import LoadReport
from loadtests.load_tables import show
from loadtests.plan import DEFAULT_PLAN, LoadPlan, read_plan
from loadtests.stack import serve

_LOCUSTFILE = Path(__file__).with_name("locustfile.py")
_BAR_INTERVAL_S = 0.2
_STOP_TIMEOUT_S = 10.0
_JUDGED = (0, 1)
"""Locust's exit codes when there is a report: its limits hold, or do not."""


def main(
    repository: Annotated[Path, typer.Option(help="The model repository.")] = Path("model_repository"),
    task: Annotated[str, typer.Option(help="The task to ask for.")] = "cannabis",
    plan: Annotated[Path, typer.Option(help="The mix and its limits.")] = DEFAULT_PLAN,
    rate: Annotated[float | None, typer.Option(help="Requests a second; the plan's own by default.")] = None,
    seconds: Annotated[float | None, typer.Option(help="What is measured; the plan's own by default.")] = None,
    photos: Annotated[
        Path | None, typer.Option(help="A folder of photos; data/TASK, else the bundled ones, by default.")
    ] = None,
    address: Annotated[str | None, typer.Option(help="A gateway that runs; one of its own by default.")] = None,
    output: Annotated[Path, typer.Option(help="Where the figures go, as JSON.")] = Path("build/load.json"),
) -> None:
    """Sends a steady mix of requests, and judges the answers."""
    console = Console()
    options = ["--inspect", task, "--plan", str(plan), "--repository", str(repository), "--report", str(output)]
    for name, value in (("--rate", rate), ("--seconds", seconds), ("--photos", photos)):
        options += [] if value is None else [name, str(value)]
    try:
        planned = read_plan(plan, per_second=rate, seconds=seconds)
        report = asyncio.run(_load(console, planned, repository, address, options, output))
    except LoadTestError as error:
        console.print(f"[red]{error}[/]")
        sys.exit(2)
    show(console, report, path=output)
    sys.exit(0 if report.holds else 1)


async def _load(
    console: Console, plan: LoadPlan, repository: Path, address: str | None, options: list[str], output: Path
) -> LoadReport:
    async with AsyncExitStack() as stack:
        if address is None:
            with console.status("Starting a gateway"):
                served = await stack.enter_async_context(serve(model_repository=str(repository.resolve())))
            address = served.address
        return await run_locust(console, plan, address, options, output)


async def run_locust(console: Console, plan: LoadPlan, address: str, options: list[str], output: Path) -> LoadReport:
    """Runs Locust until all requests have come back.

    Args:
        console: Where the progress bar goes.
        plan: What is sent: how long it takes.
        address: The gateway's gRPC target.
        options: More options of the locustfile.
        output: Where the report will lie.

    Raises:
        LocustFailedError: There is no report.
    """
    output.parent.mkdir(parents=True, exist_ok=True)
    output.unlink(missing_ok=True)
    log = output.with_suffix(".log")
    command = [sys.executable, "-m", "locust", "-f", str(_LOCUSTFILE), "--headless", "--only-summary"]
    with log.open("w", encoding="utf-8") as lines:
        locust = await asyncio.create_subprocess_exec(
            *command, "--host", address, *options, stdin=asyncio.subprocess.DEVNULL, stdout=lines, stderr=lines
        )
        try:
            exit_code = await _watched(console, locust, plan)
        finally:
            if locust.returncode is None:
                locust.terminate()
                async with asyncio.timeout(_STOP_TIMEOUT_S):
                    await locust.wait()
    if exit_code not in _JUDGED or not output.is_file():
        raise LocustFailedError(exit_code, log)
    return LoadReport.model_validate_json(output.read_text(encoding="utf-8"))


async def _watched(console: Console, locust: asyncio.subprocess.Process, plan: LoadPlan) -> int:
    """Shows how far the plan is until Locust ends; returns its exit code."""
    began_s = time.monotonic()
    ended = asyncio.create_task(locust.wait())
    with Progress(console=console, transient=True) as progress:
        what = f"{plan.arrivals.count:,} requests at {plan.arrivals.per_second:g}/s"
        bar = progress.add_task(what, total=plan.arrivals.due_s(plan.arrivals.count))
        while not ended.done():
            await asyncio.wait({ended}, timeout=_BAR_INTERVAL_S)
            progress.update(bar, completed=time.monotonic() - began_s)
    return await ended


if __name__ == "__main__":
    typer.run(main)
