"""The console command `loupe-build`: a command a step, and `release` for all of them.

It only reads arguments and shows results.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from build_engines.calibrate import calibrate
from build_engines.cascade import solve
from build_engines.cascade_solver import (
    DisagreementPromise,
    GapPromise,
    Promise,
    PromiseKind,
    SelectivePromise,
)
from build_engines.checkpoint import Checkpoint, find_checkpoints, latest_checkpoint, open_checkpoint
from build_engines.compile import compile_engine
from build_engines.compilers import COMPILERS
from build_engines.console import explained, progress_bar, tell_next
from build_engines.errors import ReleaseExistsError
from build_engines.export import export
from build_engines.plan import USUAL_PROMISE, ReleasePlan, TierPlan
from build_engines.publish import publish
from build_engines.report import report
from build_engines.served_answers import require_passed, verify_release
from build_engines.tables import show_calibrated, show_solved, show_verified
from build_engines.verify import verify

app = typer.Typer(no_args_is_help=True, help="Build a release from a checkpoint, step by step or all at once.")

TaskArgument = Annotated[str, typer.Argument(help="The task, e.g. cannabis.")]
TierOption = Annotated[
    list[str] | None,
    typer.Option("--tier", help="A tier, repeatable, cheapest first; all that were trained if none is given."),
]
NumberOption = Annotated[int, typer.Option(min=1, help="The release's number.")]
CheckpointOption = Annotated[
    list[Path] | None,
    typer.Option("--checkpoint", help="A run's folder, repeatable, in place of the newest run of each tier."),
]
PromiseOption = Annotated[
    PromiseKind,
    typer.Option(
        help="Accuracy within epsilon of the strongest tier's; at most a share epsilon of other answers than its own, "
        "which needs no labels; or at most a share epsilon of wrong ones when the cascade is sure enough to answer."
    ),
]
EpsilonOption = Annotated[
    float, typer.Option(min=0.0001, max=0.5, help="How much each decision head may fall short of the promise.")
]
PersonOption = Annotated[
    float, typer.Option(min=0.001, help="Selective only: what a photo costs that is left to a person, in milliseconds.")
]
SkipOption = Annotated[bool, typer.Option("--skip/--no-skip", help="Whether a tier that does not pay is left out.")]
FuseOption = Annotated[
    bool, typer.Option("--fuse/--no-fuse", help="Whether a tier answers together with those before it.")
]
FewLabelsOption = Annotated[
    bool,
    typer.Option(
        "--few-labels",
        help="Publish though val_test has too few labels to judge confidences by; none is promised then.",
    ),
]
DeltaOption = Annotated[float, typer.Option(min=0.001, max=0.5, help="How probably the promise may be broken.")]
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
TARGET = "cpu"
_STEPS = ("export", "compile", "calibrate", "verify", "report", "publish")


@dataclass(frozen=True, slots=True)
class Job:
    """What a command is asked to do.

    Attributes:
        console: Where it talks.
        plan: What is being built.
        target: What engines are compiled for.
    """

    console: Console
    plan: ReleasePlan
    target: str


def _command(name: str, act: Callable[[Job], None], summary: str) -> None:
    """Adds a command; all take the same options, so that a line can be typed again for another step."""

    def command(
        task: TaskArgument,
        *,
        tier: TierOption = None,
        number: NumberOption = 1,
        checkpoint: CheckpointOption = None,
        runs: RunsOption = RUNS,
        data: DataOption = None,
        repository: RepositoryOption = REPOSITORY,
        target: TargetOption = TARGET,
        promise: PromiseOption = PromiseKind.GAP,
        epsilon: EpsilonOption = USUAL_PROMISE.epsilon,
        delta: DeltaOption = USUAL_PROMISE.delta,
        person_ms: PersonOption = 1_000.0,
        skip: SkipOption = True,
        fuse: FuseOption = False,
        few_labels: FewLabelsOption = False,
    ) -> None:
        with explained() as console:
            opened = _checkpoints(task, tier, checkpoint, runs)
            work = runs / "builds" / f"{task}-{number}"
            places = {"--runs": (runs, RUNS), "--data": (data, None), "--repository": (repository, REPOSITORY)}
            asked = {**places, "--target": (target, TARGET)}
            options = [word for name, (value, usual) in asked.items() if value != usual for word in (name, str(value))]
            tiers = tuple(
                TierPlan(
                    checkpoint=each,
                    number=number,
                    work_folder=work / each.file.tier,
                    model_repository=repository,
                    data_folder=data,
                    options=tuple(options),
                    is_named=bool(checkpoint),
                )
                for each in opened
            )
            plan = ReleasePlan(
                tiers,
                _promise(promise, epsilon, delta, person_ms),
                may_skip=skip,
                fuse=fuse,
                few_labels=few_labels,
            )
            act(Job(console, plan, target))
            following = _STEPS[_STEPS.index(name) + 1 :] if name in _STEPS else ()
            if following:
                tell_next(console, plan.command(following[0]))

    app.command(name, help=summary)(command)


def _promise(kind: PromiseKind, epsilon: float, delta: float, person_ms: float) -> Promise:
    match kind:
        case PromiseKind.GAP:
            return GapPromise(epsilon, delta)
        case PromiseKind.DISAGREEMENT:
            return DisagreementPromise(epsilon, delta)
        case PromiseKind.SELECTIVE:
            return SelectivePromise(epsilon, delta, person_ms)


def _checkpoints(
    task: str, tiers: list[str] | None, checkpoints: list[Path] | None, runs: Path
) -> tuple[Checkpoint, ...]:
    if checkpoints:
        return tuple(open_checkpoint(each) for each in checkpoints)
    if tiers:
        return tuple(open_checkpoint(latest_checkpoint(runs, task=task, tier=each)) for each in tiers)
    return find_checkpoints(runs, task=task)


def main() -> None:
    """Runs the command line."""
    app()


def _release(job: Job) -> None:
    if job.plan.release_folder.exists():
        raise ReleaseExistsError(job.plan.release_name, path=job.plan.release_folder)
    for act in (_export, _compile, _calibrate, _verify, _report, _publish):
        act(job)


def _export(job: Job) -> None:
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    for plan in job.plan.tiers:
        with job.console.status(f"Exporting {plan.tier}"):
            exported = export(plan)
        job.console.print(
            f"Exported: {plan.tier}, {exported.path}, off by at most {max(exported.differences.values()):.2g}."
        )


def _compile(job: Job) -> None:
    if job.target not in COMPILERS:
        raise typer.BadParameter(f"{job.target!r} is none of {', '.join(COMPILERS)}")
    for plan in job.plan.tiers:
        with job.console.status(f"Compiling {plan.tier}"):
            engine = compile_engine(plan, target=job.target)
        job.console.print(
            f"Compiled: {plan.tier}, {engine.precision}, {engine.size_bytes / 1e6:.2f} MB, "
            f"off by at most {max(engine.differences.values()):.2g}."
        )


def _calibrate(job: Job) -> None:
    for plan in job.plan.tiers:
        with progress_bar(job.console, f"Calibrating {plan.tier} in Triton") as on_photo:
            calibrated = asyncio.run(calibrate(plan, on_photo=on_photo))
        show_calibrated(job.console, plan.tier, calibrated)
    with progress_bar(job.console, "Measuring costs in Triton") as on_photo:
        solved = asyncio.run(solve(job.plan, on_photo=on_photo))
    show_solved(job.console, solved)


def _verify(job: Job) -> None:
    for plan in job.plan.tiers:
        with progress_bar(job.console, f"Verifying {plan.tier} in Triton") as on_photo:
            asyncio.run(verify(plan, on_photo=on_photo))
    with job.console.status("Measuring served answers"):
        verified = asyncio.run(verify_release(job.plan))
    show_verified(job.console, job.plan, verified)
    require_passed(verified)
    job.console.print(f"All {len(verified.gates)} gates passed.")


def _report(job: Job) -> None:
    job.console.print(f"Report: {report(job.plan).path}")


def _publish(job: Job) -> None:
    published = publish(job.plan)
    job.console.print(
        f"Published: release {job.plan.release_name}, {published.size_bytes / 1e6:.2f} MB, in {published.folder}."
    )
    tell_next(job.console, "make serve")


_command("export", _export, "Turns trained networks into ONNX files that answer alike.")
_command("compile", _compile, "Compiles the exported files into the engines that will serve.")
_command("calibrate", _calibrate, "Runs val_calib through Triton; fits calibrators, bands, sets, and the cascade.")
_command("verify", _verify, "Runs val_test through Triton and asks every gate.")
_command("report", _report, "Writes the page and the pictures that go into the release.")
_command("publish", _publish, "Puts the verified engines into the model repository, whole or not at all.")
_command("release", _release, "Does all steps: export, compile, calibrate, verify, report, publish.")


if __name__ == "__main__":
    main()
