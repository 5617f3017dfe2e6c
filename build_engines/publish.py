"""Step `publish`: puts a verified engine into the model repository as a release, whole or not at all.

Everything is written aside first. Triton's models go in place before the release's own folder,
whose one rename is the publication: until then nothing refers to them.
"""

import shutil
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from build_engines.errors import ReleaseExistsError
from build_engines.plan import BuildPlan
from build_engines.report import Report, read_report
from build_engines.served_outputs import engine_ref, tier_spec
from build_engines.step_record import StepRecord, file_sha256
from build_engines.verify import KNOWN_ANSWER_NAME, VerifiedEngine, read_verified
from server.adapters.release_files import RELEASE_NAME, dump_release, load_release
from server.domain.release import Release, TierRelease
from server.triton.repository import remove_tier_models, write_tier_models
from server.triton.tier_models import Target, TierModelSpec

STEP = "publish"

NEVER_SUFFICIENT = 1.01
"""The threshold of the last tier: no confidence reaches it, so an answer says LAST_TIER and not that it was sure."""


@dataclass(frozen=True, slots=True)
class PublishedRelease:
    """A release in the model repository.

    Attributes:
        release: As it is served.
        folder: Its own folder.
        size_bytes: Of all its files.
    """

    release: Release
    folder: Path
    size_bytes: int


def publish(plan: BuildPlan) -> PublishedRelease:
    """Publishes what was verified and reported.

    Raises:
        ReleaseExistsError: The number is taken.
        StepMissingError: Nothing was verified, or reported, for this engine.
        GatesFailedError: A gate failed.
    """
    started = time.monotonic()
    verified, page = read_verified(plan), read_report(plan)
    spec = tier_spec(plan, verified.calibrated.engine)
    _refuse_taken(plan, spec)
    aside = plan.release_folder.with_name(f".{plan.number}.new")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    try:
        write_tier_models(spec, plan.triton_folder, target=Target.CONTAINER)
        files = _model_files(plan, spec) | _copy_release_files(plan, verified, page, aside)
        release = Release(plan.checkpoint.task, plan.number, (_tier_release(plan, verified),))
        text = dump_release(release, files=files, metrics=_metrics(plan, verified), provenance=_provenance(plan))
        (aside / RELEASE_NAME).write_text(text, encoding="utf-8")
        aside.rename(plan.release_folder)
    except BaseException:
        remove_tier_models(spec, plan.triton_folder)
        shutil.rmtree(aside, ignore_errors=True)
        raise
    loaded = load_release(plan.model_repository, plan.task_id, plan.number)
    size = sum((plan.model_repository / name).stat().st_size for name in files)
    StepRecord.make(
        STEP,
        inputs={"engine": verified.calibrated.engine.sha256},
        outputs=(),
        facts={"release": plan.release_name, "files": files},
        command=plan.command(STEP),
        duration_s=time.monotonic() - started,
    ).write(plan.work_folder)
    return PublishedRelease(loaded, plan.release_folder, size)


def _refuse_taken(plan: BuildPlan, spec: TierModelSpec) -> None:
    taken = (plan.release_folder, *(plan.triton_folder / model for model in (spec.model, *spec.steps)))
    for path in taken:
        if path.exists():
            raise ReleaseExistsError(plan.release_name, path=path)


def _model_files(plan: BuildPlan, spec: TierModelSpec) -> dict[str, str]:
    """Returns the SHA-256 of what Triton reads, by path relative to the model repository."""
    folders = (plan.triton_folder / model for model in (spec.model, *spec.steps))
    paths = sorted(path for folder in folders for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(plan.model_repository).as_posix(): file_sha256(path) for path in paths}


def _copy_release_files(plan: BuildPlan, verified: VerifiedEngine, page: Report, aside: Path) -> dict[str, str]:
    """Copies report, diagrams and known answer; returns their SHA-256 by the path that they will have."""
    files = {}
    for source in (verified.known_photo, page.path, *page.diagrams):
        shutil.copyfile(source, aside / source.name)
        published = plan.release_folder / source.name
        files[published.relative_to(plan.model_repository).as_posix()] = file_sha256(aside / source.name)
    return files


def _tier_release(plan: BuildPlan, verified: VerifiedEngine) -> TierRelease:
    published = plan.release_folder / KNOWN_ANSWER_NAME
    return TierRelease(
        tier=plan.tier,
        engine=engine_ref(plan, verified.calibrated.engine),
        calibrators=verified.calibrated.calibrators,
        thresholds=dict.fromkeys(plan.checkpoint.task.decision_heads, NEVER_SUFFICIENT),
        uncertainty=verified.calibrated.uncertainty,
        assurances=verified.calibrated.assurances,
        known_answer=replace(verified.known_answer, photo_path=published.relative_to(plan.model_repository).as_posix()),
    )


def _metrics(plan: BuildPlan, verified: VerifiedEngine) -> dict[str, Any]:
    """By tier and head, without the bins of the diagrams."""
    heads = {
        head.head: {
            **_without_bins(asdict(head.whole)),
            "attributes": {name: _without_bins(asdict(each)) for name, each in head.attributes.items()},
        }
        for head in verified.heads
    }
    assurances = {
        each.question: {name: value for name, value in asdict(each).items() if name not in {"question", "quarters"}}
        | {"quarters_held": sum(quarter.is_held for quarter in each.quarters)}
        for each in verified.assurances
    }
    return {plan.tier: {"heads": heads, "assurances": assurances, "false_alarm_rate": verified.false_alarm_rate}}


def _without_bins(question: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in question.items() if name not in {"bins", "question"}}


def _provenance(plan: BuildPlan) -> dict[str, Any]:
    file = plan.checkpoint.file
    verified = StepRecord.read(plan.work_folder, "verify", command=plan.command("verify"))
    return {
        "data_index_sha256": file.data.index_sha256,
        "data_command": file.data.command,
        "checkpoint_sha256": plan.checkpoint.sha256,
        "train_command": file.command,
        "train_commit": file.git_commit,
        "build_command": plan.command("release"),
        "build_commit": verified.git_commit,
        "versions": file.versions | verified.versions,
        "created_utc": verified.created_utc,
    }
