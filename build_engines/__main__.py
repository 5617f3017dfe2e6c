"""The console command `loupe-build`: a command a step, and `release` for all of them.

It only reads arguments and shows results.
"""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from build_engines.calibrate import calibrate
from build_engines.checkpoint import latest_checkpoint, open_checkpoint
from build_engines.compile import COMPILERS, compile_engine
from build_engines.errors import BuildError, ReleaseExistsError
from build_engines.export import export
from build_engines.plan import BuildPlan
from build_engines.publish import publish
from build_engines.report import report
from build_engines.served_outputs import Follow
from build_engines.verify import VerifiedEngine, require_passed, verify
from server.domain.errors import LoupeError

app = typer.Typer(no_args_is_help=True, help="Build a release from a checkpoint, step by step or all at once.")

TaskArgument = Annotated[str, typer.Argument(help="The task, e.g. cannabis.")]
TierOption = Annotated[str, typer.Option(help="The tier, e.g. fast.")]
NumberOption = Annotated[int, typer.Option(min=1, help="The release's number.")]
CheckpointOption = Annotated[Path | None, typer.Option(help="A run's folder; the newest of the tier if not given.")]
RunsOption = Annotated[
    Path, typer.Option("--runs", help="Where run folders lie, and where the steps leave their work.")
]
DataOption = Annotated[
    Path | None, typer.Option("--data", help="The dataset's folder; where training found it if not given.")
]
RepositoryOption = Annotated[Path, typer.Option("--repository", help="The model repository to publish into.")]
TargetOption = Annotated[str, typer.Option(help=f"What to compile for: {', '.join(COMPILERS)}.")]

REPOSITORY = Path("model_repository")
RUNS = Path("runs")


@app.command("export")
def export_command(
    task: TaskArgument,
    *,
    tier: TierOption = "fast",
    number: NumberOption = 1,
    checkpoint: CheckpointOption = None,
    runs: RunsOption = RUNS,
    data: DataOption = None,
) -> None:
    """Turns a trained network into an ONNX file that answers alike."""
    with _explained() as console:
        plan = _plan(task, tier, number, checkpoint=checkpoint, runs=runs, data=data)
        _export(console, plan)
        _next(console, plan, "compile")


@app.command("compile")
def compile_command(
    task: TaskArgument,
    *,
    tier: TierOption = "fast",
    number: NumberOption = 1,
    checkpoint: CheckpointOption = None,
    runs: RunsOption = RUNS,
    data: DataOption = None,
    target: TargetOption = "cpu",
) -> None:
    """Compiles the exported file into the engine that will serve."""
    with _explained() as console:
        plan = _plan(task, tier, number, checkpoint=checkpoint, runs=runs, data=data)
        _compile(console, plan, target)
        _next(console, plan, "calibrate")


@app.command("calibrate")
def calibrate_command(
    task: TaskArgument,
    *,
    tier: TierOption = "fast",
    number: NumberOption = 1,
    checkpoint: CheckpointOption = None,
    runs: RunsOption = RUNS,
    data: DataOption = None,
) -> None:
    """Runs val_calib through Triton and fits the calibrators."""
    with _explained() as console:
        plan = _plan(task, tier, number, checkpoint=checkpoint, runs=runs, data=data)
        _calibrate(console, plan)
        _next(console, plan, "verify")


@app.command("verify")
def verify_command(
    task: TaskArgument,
    *,
    tier: TierOption = "fast",
    number: NumberOption = 1,
    checkpoint: CheckpointOption = None,
    runs: RunsOption = RUNS,
    data: DataOption = None,
    repository: RepositoryOption = REPOSITORY,
) -> None:
    """Runs val_test through Triton and asks every gate."""
    with _explained() as console:
        plan = _plan(task, tier, number, checkpoint=checkpoint, runs=runs, data=data, repository=repository)
        _show_verified(console, _verify(console, plan))
        _next(console, plan, "report")


@app.command("report")
def report_command(
    task: TaskArgument,
    *,
    tier: TierOption = "fast",
    number: NumberOption = 1,
    checkpoint: CheckpointOption = None,
    runs: RunsOption = RUNS,
    data: DataOption = None,
) -> None:
    """Writes the page and the pictures that go into the release."""
    with _explained() as console:
        plan = _plan(task, tier, number, checkpoint=checkpoint, runs=runs, data=data)
        console.print(f"Report: {report(plan).path}")
        _next(console, plan, "publish")


@app.command("publish")
def publish_command(
    task: TaskArgument,
    *,
    tier: TierOption = "fast",
    number: NumberOption = 1,
    checkpoint: CheckpointOption = None,
    runs: RunsOption = RUNS,
    data: DataOption = None,
    repository: RepositoryOption = REPOSITORY,
) -> None:
    """Puts the verified engine into the model repository, whole or not at all."""
    with _explained() as console:
        plan = _plan(task, tier, number, checkpoint=checkpoint, runs=runs, data=data, repository=repository)
        _publish(console, plan)


@app.command("release")
def release_command(
    task: TaskArgument,
    *,
    tier: TierOption = "fast",
    number: NumberOption = 1,
    checkpoint: CheckpointOption = None,
    runs: RunsOption = RUNS,
    data: DataOption = None,
    repository: RepositoryOption = REPOSITORY,
    target: TargetOption = "cpu",
) -> None:
    """Does all steps: export, compile, calibrate, verify, report, publish."""
    with _explained() as console:
        plan = _plan(task, tier, number, checkpoint=checkpoint, runs=runs, data=data, repository=repository)
        if plan.release_folder.exists():
            raise ReleaseExistsError(plan.release_name, path=plan.release_folder)
        _export(console, plan)
        _compile(console, plan, target)
        _calibrate(console, plan)
        _show_verified(console, _verify(console, plan))
        report(plan)
        _publish(console, plan)


def main() -> None:
    """Runs the command line."""
    app()


def _plan(
    task: str,
    tier: str,
    number: int,
    *,
    checkpoint: Path | None,
    runs: Path,
    data: Path | None,
    repository: Path = REPOSITORY,
) -> BuildPlan:
    return BuildPlan(
        checkpoint=open_checkpoint(checkpoint or latest_checkpoint(runs, task=task, tier=tier)),
        number=number,
        work_folder=runs / "builds" / f"{task}-{number}" / tier,
        model_repository=repository,
        data_folder=data,
    )


def _export(console: Console, plan: BuildPlan) -> None:
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with console.status("Exporting"):
        exported = export(plan)
    console.print(f"Exported: {exported.path}, off by at most {max(exported.differences.values()):.2g}.")


def _compile(console: Console, plan: BuildPlan, target: str) -> None:
    if target not in COMPILERS:
        raise typer.BadParameter(f"{target!r} is none of {', '.join(COMPILERS)}")
    with console.status("Compiling"):
        engine = compile_engine(plan, target=target)
    console.print(
        f"Compiled: {engine.precision}, {engine.size_bytes / 1e6:.2f} MB, "
        f"off by at most {max(engine.differences.values()):.2g}."
    )


def _calibrate(console: Console, plan: BuildPlan) -> None:
    with _progress(console, "Calibrating in Triton") as on_photo:
        calibrated = asyncio.run(calibrate(plan, on_photo=on_photo))
    for head, calibrator in calibrated.calibrators.items():
        console.print(f"Calibrated: {head} by {calibrator.name} on {calibrator.item_count:,} photos.")


def _verify(console: Console, plan: BuildPlan) -> VerifiedEngine:
    with _progress(console, "Verifying in Triton") as on_photo:
        return asyncio.run(verify(plan, on_photo=on_photo))


def _publish(console: Console, plan: BuildPlan) -> None:
    published = publish(plan)
    console.print(
        f"Published: release {plan.release_name}, {published.size_bytes / 1e6:.2f} MB, in {published.folder}."
    )
    console.print("Next: [bold]make serve[/bold]")


def _show_verified(console: Console, verified: VerifiedEngine) -> None:
    table = Table("question", "accuracy", "ECE15", "chance", "gap", "its interval", title="val_test, through Triton")
    for head in verified.heads:
        for question in (head.whole, *head.attributes.values()):
            gap = question.gap
            table.add_row(
                question.question,
                f"{question.accuracy:.2%}",
                f"{question.calibration_error:.2%}",
                f"{question.noise_floor:.2%}",
                f"{gap.estimate:+.2%}",
                f"{gap.low:+.2%} to {gap.high:+.2%}",
            )
    console.print(table)
    require_passed(verified)
    console.print(f"All {len(verified.gates)} gates passed.")


def _next(console: Console, plan: BuildPlan, step: str) -> None:
    console.print(f"Next: [bold]{plan.command(step)}[/bold]")


@contextmanager
def _explained() -> Iterator[Console]:
    """Gives a console, and turns a typed error into two lines and exit code 2."""
    console = Console()
    try:
        yield console
    except BuildError as error:
        console.print(f"[red]{error.cause}[/red]\n{error.cure}", highlight=False)
        raise typer.Exit(2) from error
    except LoupeError as error:
        console.print(f"[red]{error}[/red]\nMend it and start the step again.", highlight=False)
        raise typer.Exit(2) from error


@contextmanager
def _progress(console: Console, what: str) -> Iterator[Follow]:
    """Shows a bar from the first call on; outputs that are known already never call, and show nothing."""
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=console)
    task = bar.add_task(what, total=None)

    def follow(done: int, total: int) -> None:
        bar.start()
        bar.update(task, completed=done, total=total)

    try:
        yield follow
    finally:
        bar.stop()


if __name__ == "__main__":
    main()
