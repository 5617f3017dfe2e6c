"""The console command `loupe-build`: a command a step, and `release` for all of them.

It only reads arguments and shows results.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator
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
_STEPS = ("export", "compile", "calibrate", "verify", "report", "publish")


def _command(name: str, act: Callable[[Console, BuildPlan, str], None], summary: str) -> None:
    """Adds a command; all take the same options, so that a line can be typed again for another step."""

    def command(
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
        with _explained() as console:
            opened = open_checkpoint(checkpoint or latest_checkpoint(runs, task=task, tier=tier))
            plan = BuildPlan(
                checkpoint=opened,
                number=number,
                work_folder=runs / "builds" / f"{task}-{number}" / tier,
                model_repository=repository,
                data_folder=data,
            )
            act(console, plan, target)
            following = _STEPS[_STEPS.index(name) + 1 :] if name in _STEPS else ()
            if following:
                console.print(f"Next: [bold]{plan.command(following[0])}[/bold]")

    app.command(name, help=summary)(command)


def main() -> None:
    """Runs the command line."""
    app()


def _release(console: Console, plan: BuildPlan, target: str) -> None:
    if plan.release_folder.exists():
        raise ReleaseExistsError(plan.release_name, path=plan.release_folder)
    for act in (_export, _compile, _calibrate, _verify, _report, _publish):
        act(console, plan, target)


def _export(console: Console, plan: BuildPlan, _target: str) -> None:
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


def _calibrate(console: Console, plan: BuildPlan, _target: str) -> None:
    with _progress(console, "Calibrating in Triton") as on_photo:
        calibrated = asyncio.run(calibrate(plan, on_photo=on_photo))
    for head, calibrator in calibrated.calibrators.items():
        console.print(f"Calibrated: {head} by {calibrator.name} on {calibrator.item_count:,} photos.")


def _verify(console: Console, plan: BuildPlan, _target: str) -> None:
    with _progress(console, "Verifying in Triton") as on_photo:
        verified = asyncio.run(verify(plan, on_photo=on_photo))
    _show_verified(console, verified)
    require_passed(verified)
    console.print(f"All {len(verified.gates)} gates passed.")


def _report(console: Console, plan: BuildPlan, _target: str) -> None:
    console.print(f"Report: {report(plan).path}")


def _publish(console: Console, plan: BuildPlan, _target: str) -> None:
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


_command("export", _export, "Turns a trained network into an ONNX file that answers alike.")
_command("compile", _compile, "Compiles the exported file into the engine that will serve.")
_command("calibrate", _calibrate, "Runs val_calib through Triton and fits calibrators, bands and sets.")
_command("verify", _verify, "Runs val_test through Triton and asks every gate.")
_command("report", _report, "Writes the page and the pictures that go into the release.")
_command("publish", _publish, "Puts the verified engine into the model repository, whole or not at all.")
_command("release", _release, "Does all steps: export, compile, calibrate, verify, report, publish.")


if __name__ == "__main__":
    main()
