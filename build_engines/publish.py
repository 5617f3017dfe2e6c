"""Step `publish`: puts a verified engine into the model repository as a release, whole or not at all.

Everything is written aside first. Triton's models go in place before the release's own folder,
whose one rename is the publication: until then nothing refers to them.
"""

import shutil
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from build_engines.cascade import SolvedCascade
from build_engines.errors import ReleaseExistsError
from build_engines.measure import HeadMetrics
from build_engines.plan import ReleasePlan, TierPlan
from build_engines.report import Report, read_report
from build_engines.served_answers import VerifiedRelease, read_verified_release
from build_engines.served_outputs import engine_ref, tier_spec
from build_engines.step_record import StepRecord, file_sha256
from build_engines.verify import VerifiedEngine
from server.adapters.release_files import RELEASE_NAME, dump_release, load_release
from server.domain.release import Release, TierRelease
from server.triton.repository import remove_tier_models, write_tier_models
from server.triton.tier_models import Target, TierModelSpec

STEP = "publish"

_PLAIN: TypeAdapter[Any] = TypeAdapter(Any)


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


def publish(plan: ReleasePlan) -> PublishedRelease:
    """Publishes what was verified and reported.

    Raises:
        ReleaseExistsError: The number is taken.
        StepMissingError: Nothing was verified, or reported, for these engines.
        GatesFailedError: A gate failed.
    """
    started = time.monotonic()
    verified, page = read_verified_release(plan), read_report(plan)
    specs = [tier_spec(tier, each.calibrated.engine) for tier, each in zip(plan.tiers, verified.tiers, strict=True)]
    triton = plan.tiers[0].triton_folder
    aside = plan.release_folder.with_name(f".{plan.number}.new")
    if aside.is_dir() and not plan.release_folder.exists():
        # A publication was killed here: what it has left belongs to no release.
        _remove(specs, triton, aside)
    _refuse_taken(plan, specs)
    aside.mkdir(parents=True)
    try:
        files: dict[str, str] = {}
        for spec in specs:
            write_tier_models(spec, triton, target=Target.CONTAINER)
            files |= _model_files(plan, triton, spec)
        files |= _copy_release_files(plan, verified, page, aside)
        tiers = [
            _tier_release(tier, each, verified.solved) for tier, each in zip(plan.tiers, verified.tiers, strict=True)
        ]
        release = Release(plan.task, plan.number, tuple(tiers))
        text = dump_release(release, files=files, metrics=_metrics(plan, verified), provenance=_provenance(plan))
        (aside / RELEASE_NAME).write_text(text, encoding="utf-8")
        aside.rename(plan.release_folder)
    except BaseException:
        _remove(specs, triton, aside)
        raise
    loaded = load_release(plan.model_repository, plan.task.id, plan.number)
    size = sum((plan.model_repository / name).stat().st_size for name in files)
    StepRecord.make(
        STEP,
        inputs={tier.tier: tier.engine.sha256 for tier in release.tiers},
        outputs=(),
        facts={"release": plan.release_name, "files": files},
        command=plan.command(STEP),
        duration_s=time.monotonic() - started,
    ).write(plan.work_folder)
    return PublishedRelease(loaded, plan.release_folder, size)


def _remove(specs: list[TierModelSpec], triton: Path, aside: Path) -> None:
    """Removes what a publication has written; the folder that tells of it goes last."""
    for spec in specs:
        remove_tier_models(spec, triton)
    shutil.rmtree(aside, ignore_errors=True)


def _refuse_taken(plan: ReleasePlan, specs: list[TierModelSpec]) -> None:
    models = (plan.tiers[0].triton_folder / model for spec in specs for model in (spec.model, *spec.steps))
    for path in (plan.release_folder, *models):
        if path.exists():
            raise ReleaseExistsError(plan.release_name, path=path)


def _model_files(plan: ReleasePlan, triton: Path, spec: TierModelSpec) -> dict[str, str]:
    """Returns the SHA-256 of what Triton reads, by path relative to the model repository."""
    folders = (triton / model for model in (spec.model, *spec.steps))
    paths = sorted(path for folder in folders for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(plan.model_repository).as_posix(): file_sha256(path) for path in paths}


def _copy_release_files(plan: ReleasePlan, verified: VerifiedRelease, page: Report, aside: Path) -> dict[str, str]:
    """Copies report, diagrams and known photos; returns their SHA-256 by the path that they will have."""
    named = {path: path.name for path in (page.path, *page.diagrams)}
    for tier, each in zip(plan.tiers, verified.tiers, strict=True):
        named[each.known_photo] = tier.known_photo_path.name
    files = {}
    for source, name in named.items():
        shutil.copyfile(source, aside / name)
        published = plan.release_folder / name
        files[published.relative_to(plan.model_repository).as_posix()] = file_sha256(aside / name)
    return files


def _tier_release(plan: TierPlan, verified: VerifiedEngine, solved: SolvedCascade) -> TierRelease:
    return TierRelease(
        tier=plan.tier,
        engine=engine_ref(plan, verified.calibrated.engine),
        meaning=verified.calibrated.meaning,
        thresholds=solved.thresholds[plan.tier],
        known_answer=verified.known_answer,
        deciders=solved.deciders.get(plan.tier, {}),
        meaning_at_exit=solved.meanings_at_exit.get(plan.tier),
        fusion=solved.fusions.get(plan.tier, {}),
    )


def _metrics(plan: ReleasePlan, verified: VerifiedRelease) -> dict[str, Any]:
    """What later releases are compared with, without the bins of the diagrams."""
    metrics = {
        "costs": verified.solved.costs,
        "promise": verified.solved.promise,
        "cascade": verified.cascade,
        "false_alarms": verified.false_alarms,
        "served": _heads(verified.heads),
        "exits": {
            each.tier: {"share": each.share, "specimens": each.specimen_count, "heads": _heads(each.heads)}
            for each in verified.exits
        },
        "alone": {tier: _heads(each.heads) for tier, each in zip(plan.tier_ids, verified.tiers, strict=True)},
    }
    plain: dict[str, Any] = _PLAIN.dump_python(metrics, mode="json")
    return plain


def _heads(heads: tuple[HeadMetrics, ...]) -> dict[str, Any]:
    return {
        head.head: {
            **_without_bins(asdict(head.whole)),
            "attributes": {name: _without_bins(asdict(each)) for name, each in head.attributes.items()},
        }
        for head in heads
    }


def _without_bins(question: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in question.items() if name not in {"bins", "question"}}


def _provenance(plan: ReleasePlan) -> dict[str, Any]:
    data = plan.tiers[0].checkpoint.file.data
    verified = StepRecord.read(plan.work_folder, "verify", command=plan.command("verify"))
    return {
        "data_index_sha256": data.index_sha256,
        "data_command": data.command,
        "tiers": {
            tier.tier: {
                "checkpoint_sha256": tier.checkpoint.sha256,
                "train_command": tier.checkpoint.file.command,
                "train_commit": tier.checkpoint.file.git_commit,
            }
            for tier in plan.tiers
        },
        "build_command": plan.command("release"),
        "build_commit": verified.git_commit,
        "versions": plan.tiers[0].checkpoint.file.versions | verified.versions,
        "created_utc": verified.created_utc,
    }
