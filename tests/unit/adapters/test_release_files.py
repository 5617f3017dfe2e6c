"""Releases on disk: what was dumped is loaded, and nothing that was tampered with is."""

import json
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from builders import TASK, make_meaning, make_tier, temperature_of

from server.adapters.release_files import ReleaseId, dump_release, find_releases, load_release
from server.domain.errors import ReleaseRefusedError
from server.domain.framing import Framing
from server.domain.release import Release, TierRelease

ENGINE = b"an engine"
PHOTO = b"a photo"


def write_release(root: Path, tier: TierRelease | None = None) -> Release:
    """Writes release 1 of the bread task, and returns it."""
    engine_sha256, photo_sha256 = sha256(ENGINE).hexdigest(), sha256(PHOTO).hexdigest()
    tier = tier or make_tier("fast", sha256=engine_sha256)
    tier = replace(tier, known_answer=replace(tier.known_answer, photo_sha256=photo_sha256))
    release = Release(TASK, 1, (tier,))
    files = {tier.engine.path: ENGINE, tier.known_answer.photo_path: PHOTO}
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    text = dump_release(
        release,
        files={name: sha256(content).hexdigest() for name, content in files.items()},
        metrics={"fast": {"kind": {"accuracy": 0.9}}},
        provenance={"command": "loupe-build release bread"},
    )
    (ReleaseId("bread", 1).folder(root) / "release.json").write_text(text, encoding="utf-8")
    return release


def edit(root: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Changes `release.json` in place."""
    path = ReleaseId("bread", 1).folder(root) / "release.json"
    content = json.loads(path.read_text("utf-8"))
    change(content)
    path.write_text(json.dumps(content), encoding="utf-8")


def findings_of(root: Path) -> str:
    """What keeps the release from being loaded."""
    with pytest.raises(ReleaseRefusedError) as refused:
        load_release(root, "bread", 1)
    return "; ".join(refused.value.findings)


def test_a_release_survives_the_way_to_disk(tmp_path: Path) -> None:
    """What is loaded equals what was dumped."""
    assert write_release(tmp_path) == load_release(tmp_path, "bread", 1)


def test_the_framing_survives_the_way_to_disk(tmp_path: Path) -> None:
    """A release of whole photos is served whole ones after every restart."""
    tier = make_tier(sha256=sha256(ENGINE).hexdigest())
    whole = replace(tier, engine=replace(tier.engine, framing=Framing.WHOLE))
    write_release(tmp_path, whole)
    assert load_release(tmp_path, "bread", 1).tiers[0].engine.framing is Framing.WHOLE


def test_what_decides_and_what_is_reported_survive_too(tmp_path: Path) -> None:
    """Deciders and the meaning at the exit come back as they were."""
    digest = sha256(ENGINE).hexdigest()
    deciders = {"grade": temperature_of(digest, 0.7)}
    tier = replace(
        make_tier(sha256=digest),
        deciders=deciders,
        meaning_at_exit=make_meaning(digest, temperature=2.0),
        fusion={"kind": (1.25,)},
    )
    assert write_release(tmp_path, tier) == load_release(tmp_path, "bread", 1)


def test_a_release_of_the_earlier_schema_is_loaded(tmp_path: Path) -> None:
    """Calibrators as they were written before there was a choice of maps mean what they meant."""
    release = write_release(tmp_path)
    digest = release.tiers[0].engine.sha256
    temperature = {"kind": "smoothed_temperature", "engine_sha256": digest, "temperature": 1.0, "item_count": 1000}
    platt = {"kind": "platt", "engine_sha256": digest, "slopes": [1.0, 1.0], "intercepts": [0, 0], "item_count": 1000}
    earlier = {"kind": temperature, "grade": temperature, "signs": platt}

    def spread(content: dict[str, Any]) -> None:
        [tier] = content["tiers"]
        tier |= tier.pop("meaning") | {"calibrators": earlier}
        content["schema_version"] = 1

    edit(tmp_path, spread)
    assert load_release(tmp_path, "bread", 1) == release


def test_releases_are_found_by_number(tmp_path: Path) -> None:
    """Numbers sort as numbers, and folders without a release are passed over."""
    for name in ("2", "10", "1", "x"):
        folder = tmp_path / "releases" / "bread" / name
        folder.mkdir(parents=True)
        (folder / "release.json").touch()
    (tmp_path / "releases" / "bread" / "11").mkdir()
    assert [each.number for each in find_releases(tmp_path)] == [1, 2, 10]


def test_a_missing_release_is_refused(tmp_path: Path) -> None:
    """A release that is not there is refused by name."""
    assert "cannot be read" in findings_of(tmp_path)


def test_damaged_and_missing_files_are_all_named(tmp_path: Path) -> None:
    """Every file is hashed; one that differs and one that is gone are both found at once."""
    release = write_release(tmp_path)
    (tmp_path / release.tiers[0].engine.path).write_bytes(b"another engine")
    (tmp_path / release.tiers[0].known_answer.photo_path).unlink()
    found = findings_of(tmp_path)
    assert "model.onnx is damaged" in found
    assert "known_answer.jpg is missing" in found


def test_a_calibrator_of_another_engine_is_refused(tmp_path: Path) -> None:
    """A calibrator is bound to the engine that it was fitted on."""
    write_release(tmp_path)
    edit(tmp_path, lambda content: content["tiers"][0]["meaning"]["calibrators"]["kind"].update(engine_sha256="b" * 64))
    assert "fitted on another engine" in findings_of(tmp_path)


def test_an_engine_bound_by_another_digest_is_refused(tmp_path: Path) -> None:
    """The engine that a tier names must be the file that was released."""
    write_release(tmp_path)
    edit(tmp_path, lambda content: content["tiers"][0]["engine"].update(sha256="b" * 64))
    assert "another SHA-256" in findings_of(tmp_path)


def test_a_path_out_of_the_repository_is_refused(tmp_path: Path) -> None:
    """No release can name a file outside of the model repository."""
    write_release(tmp_path)
    edit(tmp_path, lambda content: content["files"].update({"../secret": "b" * 64}))
    assert "leads out" in findings_of(tmp_path)


def test_a_release_in_another_folder_is_refused(tmp_path: Path) -> None:
    """Content and folder must name the same release."""
    write_release(tmp_path)
    edit(tmp_path, lambda content: content.update(number=2))
    assert "its content bread/2" in findings_of(tmp_path)


@pytest.mark.parametrize(
    ("change", "finding"),
    [
        (lambda content: content.update(schema_version=3), "schema_version"),
        (lambda content: content.update(surprise=1), "surprise"),
        (lambda content: content["task"].update(decision_heads=["signs"]), "decision heads"),
        (lambda content: content["tiers"][0]["meaning"]["uncertainty"].update(false_alarm_rate=2), "false_alarm_rate"),
        (lambda content: content["tiers"][0]["meaning"]["calibrators"].pop("signs"), "calibrators for"),
    ],
)
def test_a_malformed_release_is_refused(tmp_path: Path, change: Callable[[dict[str, Any]], None], finding: str) -> None:
    """Whatever breaks the schema or the domain's rules is refused, and named."""
    write_release(tmp_path)
    edit(tmp_path, change)
    assert finding in findings_of(tmp_path)
