"""From outputs to a published release: bound by digest, whole or not at all, and never overwritten."""

import asyncio
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from small_build import outputs_without_triton

from build_engines.calibrate import calibrate, fit_calibrators, read_calibrated
from build_engines.cascade import _facts as solved_facts
from build_engines.cascade import solve_on, solved_path
from build_engines.cascade_solver import GapPromise
from build_engines.checkpoint import read_held_out
from build_engines.compile import CompiledEngine
from build_engines.costs import TierCosts
from build_engines.errors import GatesFailedError, ReleaseExistsError, StepMissingError
from build_engines.gates import Gate
from build_engines.plan import ReleasePlan, TierPlan
from build_engines.publish import publish
from build_engines.report import report
from build_engines.served_answers import VerifiedRelease, measure_release, read_verified_release
from build_engines.served_answers import _facts as release_facts
from build_engines.served_outputs import ServedOutputs, outputs_path
from build_engines.step_record import StepRecord, file_sha256
from build_engines.verify import STEP, VerifiedEngine, choose_known_photo, measured_engine
from build_engines.verify import _facts as engine_facts
from server.adapters.release_files import load_release
from server.domain.errors import CalibrationDataError
from server.domain.known_answer import KnownAnswer

PASSED = (Gate("a gate", "seen", passed=True),)


@pytest.fixture(scope="module")
def verified(plan: TierPlan, engine: CompiledEngine) -> VerifiedEngine:
    """A calibrated engine that was measured without Triton."""
    for split in ("val_calib", "val_test"):
        photos = read_held_out(plan.checkpoint, split)
        outputs_without_triton(plan, engine, photos).save(outputs_path(plan, split))
    calibrated = asyncio.run(calibrate(plan))
    photos = read_held_out(plan.checkpoint, "val_test")
    outputs = outputs_without_triton(plan, engine, photos)
    known_photo = plan.work_folder / "known_answer.jpg"
    known_photo.write_bytes(choose_known_photo(plan.checkpoint.task, calibrated, outputs, photos).read_bytes())
    digest = sha256(known_photo.read_bytes()).hexdigest()
    known_answer = KnownAnswer("releases/cannabis/1/known_answer_fast.jpg", digest, (1.0,), {}, {})
    return measured_engine(plan, calibrated, outputs, photos, known_answer=known_answer, known_photo=known_photo)


@pytest.fixture(scope="module")
def released(plan: TierPlan, verified: VerifiedEngine, engine: CompiledEngine) -> VerifiedRelease:
    """The same engine as a release of one tier; its gates are said to have passed."""
    task = plan.checkpoint.task
    parts = {split: read_held_out(plan.checkpoint, split) for split in ("val_calib", "val_test")}
    outputs = {split: [outputs_without_triton(plan, engine, photos)] for split, photos in parts.items()}
    solved = solve_on(
        task,
        ["fast"],
        GapPromise(0.02, 0.1),
        (verified.calibrated,),
        outputs["val_calib"],
        parts["val_calib"],
        TierCosts({"fast": 1.0}, {"fast": 1.0}),
    )
    measured = measure_release(ReleasePlan((plan,)), (verified,), solved, outputs["val_test"], parts["val_test"])
    return replace(measured, gates=PASSED)


@pytest.fixture
def ready(plan: TierPlan, released: VerifiedRelease, tmp_path: Path) -> ReleasePlan:
    """A plan that is verified and reported, with a model repository of its own."""
    own = ReleasePlan((replace(plan, model_repository=tmp_path / "model_repository"),))
    record(own, released)
    report(own)
    return own


def record(plan: ReleasePlan, released: VerifiedRelease) -> None:
    """Writes what `calibrate` and `verify` write, behind what each tier has by itself."""
    [tier], [verified] = plan.tiers, released.tiers
    engine = verified.calibrated.engine.sha256
    write(tier.work_folder, STEP, {"engine": engine}, engine_facts(verified), (verified.known_photo,))
    solved = solved_facts(released.solved)
    write(plan.work_folder, "cascade", {"fast": engine}, solved, command=plan.command("calibrate"))
    inputs = {"fast": engine, "cascade": file_sha256(solved_path(plan))}
    write(plan.work_folder, STEP, inputs, release_facts(released))


def write(
    folder: Path,
    step: str,
    inputs: dict[str, str],
    facts: dict[str, object],
    outputs: tuple[Path, ...] = (),
    *,
    command: str = "again",
) -> None:
    """Writes a step's record."""
    StepRecord.make(step, inputs=inputs, outputs=outputs, facts=facts, command=command, duration_s=0).write(folder)


def files_of(folder: Path) -> dict[str, bytes]:
    """All files below a folder."""
    return {each.relative_to(folder).as_posix(): each.read_bytes() for each in folder.rglob("*") if each.is_file()}


def test_a_published_release_is_served_as_verified(ready: ReleasePlan, verified: VerifiedEngine) -> None:
    """What is loaded has the engine, maps and known answer that were verified, and never claims to be sure."""
    published = publish(ready)
    release = load_release(ready.model_repository, "cannabis", 1)
    tier = release.tiers[0]
    assert published.release == release
    assert tier.engine.sha256 == verified.calibrated.engine.sha256
    assert tier.meaning == verified.calibrated.meaning
    assert tier.known_answer == verified.known_answer
    assert all(threshold > 1 for threshold in tier.thresholds.values())
    assert (ready.model_repository / tier.engine.path).read_bytes() == ready.tiers[0].engine_path.read_bytes()


def test_what_was_verified_is_what_is_published(ready: ReleasePlan) -> None:
    """Thresholds that were solved anew, or for another promise, do not go out under old gates and an old page."""
    record = StepRecord.read(ready.work_folder, "cascade", command="")
    with pytest.raises(StepMissingError, match="it was done by"):
        publish(replace(ready, promise=GapPromise(0.1, 0.1)))
    record.model_copy(update={"duration_s": 7.0}).write(ready.work_folder)
    with pytest.raises(StepMissingError, match="it was done on another cascade"):
        publish(ready)


def test_a_release_holds_its_report_and_pictures(ready: ReleasePlan) -> None:
    """People find the page, a diagram a head and the photo beside the release."""
    folder = publish(ready).folder
    names = {each.name for each in folder.iterdir()}
    assert {
        "release.json",
        "report.md",
        "known_answer_fast.jpg",
        "reliability_product_type.svg",
        "bands_and_sets.svg",
    } <= names
    page = (folder / "report.md").read_text("utf-8")
    assert "| product_type | 420 | 210 |" in page
    assert "loupe-train train cannabis --tier fast\nloupe-build release cannabis --tier fast --number 1" in page


def test_reports_repeat_byte_for_byte(ready: ReleasePlan) -> None:
    """The same verified engine gives the same page and the same pictures."""
    first = {each.name: each.read_bytes() for each in report(ready).diagrams}
    again = {each.name: each.read_bytes() for each in report(ready).diagrams}
    assert first == again


def test_a_release_is_never_overwritten(ready: ReleasePlan) -> None:
    """A second publication under the number is refused, and changes nothing."""
    publish(ready)
    before = files_of(ready.model_repository)
    with pytest.raises(ReleaseExistsError):
        publish(ready)
    assert files_of(ready.model_repository) == before


def test_a_failed_publication_leaves_nothing(ready: ReleasePlan, monkeypatch: pytest.MonkeyPatch) -> None:
    """If writing fails midway, neither models nor a folder of the release remain."""

    def full(*_: object, **__: object) -> str:
        raise OSError("no space left on device")

    monkeypatch.setattr("build_engines.publish.dump_release", full)
    with pytest.raises(OSError, match="no space"):
        publish(ready)
    assert files_of(ready.model_repository) == {}


def test_a_killed_publication_does_not_take_the_number(ready: ReleasePlan) -> None:
    """Its models lie there, its folder was not renamed yet: the next one clears them away, and is whole."""
    first = publish(ready)
    first.folder.rename(first.folder.with_name(f".{ready.number}.new"))
    assert publish(ready).release == first.release
    assert not list(first.folder.parent.glob(".*"))


def test_a_failed_gate_stops_report_and_publication(ready: ReleasePlan, released: VerifiedRelease) -> None:
    """Whoever skips the verdict is stopped by it, with every failing gate by name."""
    gates = (Gate("one", "bad", passed=False), Gate("two", "good", passed=True), Gate("three", "bad", passed=False))
    record(ready, replace(released, gates=gates))
    with pytest.raises(GatesFailedError) as refused:
        publish(ready)
    assert refused.value.failures == ("one (bad)", "three (bad)")
    with pytest.raises(GatesFailedError):
        report(ready)


def test_verification_of_another_engine_is_refused(ready: ReleasePlan) -> None:
    """A verdict is bound to the engine's digest."""
    path = ready.work_folder / "verify.json"
    engine = StepRecord.read(ready.work_folder, STEP, command="").inputs["fast"]
    path.write_text(path.read_text("utf-8").replace(f'"fast": "{engine}"', f'"fast": "{"b" * 64}"'), "utf-8")
    with pytest.raises(StepMissingError, match="another fast"):
        read_verified_release(ready)


def test_calibrators_name_the_engine_that_they_were_fitted_on(plan: TierPlan, verified: VerifiedEngine) -> None:
    """Every map carries the engine's digest, and is read back as it was fitted."""
    calibrated = read_calibrated(plan)
    assert calibrated == verified.calibrated
    assert {each.engine_sha256 for each in calibrated.meaning.calibrators.values()} == {calibrated.engine.sha256}


def test_the_record_says_why_each_map_was_chosen(plan: TierPlan, verified: VerifiedEngine) -> None:
    """Every question has its choice, the least loss among those that took part, and what the others lost."""
    facts = StepRecord.read(plan.work_folder, "calibrate", command="").facts
    assert set(facts["comparisons"]) == set(verified.calibrated.meaning.calibrators)
    for comparisons in facts["comparisons"].values():
        for each in comparisons:
            assert each["chosen"] in each["cross_validated"] or not each["cross_validated"]
            assert all(loss["excess"] >= 0 for loss in each["cross_validated"].values())


def test_outputs_of_another_engine_are_not_taken(plan: TierPlan, verified: VerifiedEngine) -> None:
    """Kept outputs are found by engine and photos, or not at all."""
    path = outputs_path(plan, "val_calib")
    photos = read_held_out(plan.checkpoint, "val_calib")
    engine = verified.calibrated.engine
    assert ServedOutputs.load(path, engine_sha256=engine.sha256, photos_sha256=photos.sha256) is not None
    assert ServedOutputs.load(path, engine_sha256="b" * 64, photos_sha256=photos.sha256) is None
    assert ServedOutputs.load(path, engine_sha256=engine.sha256, photos_sha256="b" * 64) is None


def test_an_attribute_without_both_kinds_is_refused(plan: TierPlan, engine: CompiledEngine) -> None:
    """A map of an attribute that is always present would be made up."""
    photos = read_held_out(plan.checkpoint, "val_calib")
    labels = photos.labels | {"attributes": photos.labels["attributes"].copy()}
    labels["attributes"][:, 3] = 1
    outputs = outputs_without_triton(plan, engine, photos)
    with pytest.raises(CalibrationDataError, match="orange_pistils"):
        fit_calibrators(plan.checkpoint.task, outputs, replace(photos, labels=labels))


def test_the_known_photo_is_right_and_sure(plan: TierPlan, verified: VerifiedEngine, engine: CompiledEngine) -> None:
    """The release's photo is one that the engine gets right on every decision head, if there is any."""
    photos = read_held_out(plan.checkpoint, "val_test")
    outputs = outputs_without_triton(plan, engine, photos)
    chosen = choose_known_photo(plan.checkpoint.task, verified.calibrated, outputs, photos)
    place = photos.paths.index(chosen)
    right = [
        int(np.argmax(outputs.logits[head][place])) == photos.labels[head][place]
        for head in plan.checkpoint.task.decision_heads
    ]
    assert all(right)
