"""The rendered dataset: the same bytes from any number of workers, restartable, leak-free, and fixed by digest."""

from collections import Counter, defaultdict
from pathlib import Path

import pytest
from small_dataset import with_rendering

from training import render as render_module
from training.dataset import INDEX_NAME, SUMMARY_NAME, read_records
from training.errors import (
    DatasetMissingError,
    ForeignDatasetError,
    NothingToRenderError,
    RendererParametersChangedError,
    TaskFileRefusedError,
    UnknownTaskFileError,
)
from training.render import plan_chunks, render_dataset
from training.renderers.registry import RENDERERS, build_renderer
from training.task_file import SPLITS, TASKS_FOLDER, TaskFile, load_task_file


@pytest.fixture(scope="module")
def task() -> TaskFile:
    """The task with few specimens."""
    whole = load_task_file("cannabis")
    return with_rendering(whole, specimen_count=6, proof_specimen_count=0)


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks of three specimens, so that six make two."""
    monkeypatch.setattr(render_module, "SPECIMENS_PER_CHUNK", 3)


def test_any_number_of_workers_writes_the_same_dataset(task: TaskFile, tmp_path: Path) -> None:
    """Index and photos agree byte for byte between one worker and two."""
    one = render_dataset(task, folder=tmp_path / "one", workers=1)
    two = render_dataset(task, folder=tmp_path / "two", workers=2)
    assert one.index_sha256 == two.index_sha256
    for record in read_records(tmp_path / "one", task_id=task.id):
        assert (tmp_path / "one" / record.photo).read_bytes() == (tmp_path / "two" / record.photo).read_bytes()


def test_a_task_of_surfaces_is_rendered_like_any_other(tmp_path: Path) -> None:
    """Records say light, labels and chances; the summary says of which label a one-class model learns."""
    whole = load_task_file("surface_defect")
    few = with_rendering(whole, specimen_count=3, proof_specimen_count=0)
    summary = render_dataset(few, folder=tmp_path, workers=1)
    assert summary.one_class_label == "good"
    for record in read_records(tmp_path, task_id=few.id):
        assert record.labels["condition"] in {"good", "defect"}
        assert sum(record.posteriors["condition"]) == pytest.approx(1)
        assert record.lighting in {light.name for light in few.rendering.parameters.lights}


def test_an_unknown_renderer_is_refused_by_name(tmp_path: Path) -> None:
    """The error lists those that there are."""
    text = (TASKS_FOLDER / "surface_defect.toml").read_text(encoding="utf-8")
    (tmp_path / "odd.toml").write_text(
        text.replace('renderer = "surface_defect"', 'renderer = "odd"'), encoding="utf-8"
    )
    with pytest.raises(TaskFileRefusedError, match="no renderer 'odd'; known: cannabis"):
        load_task_file("odd", folder=tmp_path)


@pytest.mark.parametrize(
    ("stated", "changed", "complaint"),
    [
        ('one_class_label = "good"', 'one_class_label = "sound"', "'sound' is no label of a category head"),
        ("[data.splits]", "[difficulty.colour]\n[data.splits]", r"unknown heads \['colour'\]"),
    ],
)
def test_labels_and_heads_that_are_not_there_are_refused(
    stated: str, changed: str, complaint: str, tmp_path: Path
) -> None:
    """A task file that speaks of something that it does not have is refused by name."""
    text = (TASKS_FOLDER / "surface_defect.toml").read_text(encoding="utf-8")
    assert stated in text
    (tmp_path / "odd.toml").write_text(text.replace(stated, changed), encoding="utf-8")
    with pytest.raises(TaskFileRefusedError, match=complaint):
        load_task_file("odd", folder=tmp_path)


def test_every_renderer_obeys_the_port() -> None:
    """By the name in its task file each is made, and answers with its task's heads and labels."""
    tasks = [load_task_file(path.stem) for path in TASKS_FOLDER.glob("*.toml")]
    rendered = [each for each in tasks if each.data.rendering is not None]
    assert {each.rendering.renderer for each in rendered} == set(RENDERERS)
    for task in rendered:
        specimen = build_renderer(task.rendering.renderer, task.rendering.parameters).specimen(1)
        assert set(specimen.labels) == set(specimen.posteriors) == {head.id for head in task.heads}
        for head in task.heads:
            said = specimen.labels[head.id]
            present = {said} if isinstance(said, str) else set(said)
            assert present <= set(head.labels)
            assert len(specimen.posteriors[head.id]) == len(head.labels)


def test_a_task_whose_photos_are_imported_is_not_rendered(task: TaskFile, tmp_path: Path) -> None:
    """The error says how its photos come in."""
    own = task.model_copy(update={"data": task.data.model_copy(update={"rendering": None})})
    with pytest.raises(NothingToRenderError, match=r"no \[data.rendering\].\nImport them: loupe-train import cannabis"):
        render_dataset(own, folder=tmp_path, workers=1)
    assert not list(tmp_path.iterdir())


def test_a_second_start_renders_only_what_is_missing(task: TaskFile, tmp_path: Path) -> None:
    """A chunk with its receipt is left alone; one without is made again."""
    first = render_dataset(task, folder=tmp_path, workers=1)
    lost, kept = plan_chunks(task, folder=tmp_path, limit=None)
    lost.receipt.unlink()
    before = kept.receipt.stat().st_mtime_ns
    seen: list[tuple[int, int]] = []
    again = render_dataset(task, folder=tmp_path, workers=1, on_chunk=lambda done, total: seen.append((done, total)))
    assert again == first
    assert seen == [(1, 2), (2, 2)]
    assert kept.receipt.stat().st_mtime_ns == before


def test_a_limit_stops_at_the_first_chunk_that_reaches_it(task: TaskFile, tmp_path: Path) -> None:
    """The limit counts photos and is rounded up to a whole chunk."""
    assert len(plan_chunks(task, folder=tmp_path, limit=1)) == 1
    assert len(plan_chunks(task, folder=tmp_path, limit=10_000)) == 2


def test_photos_of_other_parameters_are_not_mixed_in(task: TaskFile, tmp_path: Path) -> None:
    """A folder with receipts of another digest is refused with its cure."""
    (tmp_path / "chunks" / "0123456789ab").mkdir(parents=True)
    with pytest.raises(ForeignDatasetError, match="--output"):
        render_dataset(task, folder=tmp_path, workers=1)


def test_imported_photos_are_not_rendered_over(task: TaskFile, tmp_path: Path) -> None:
    """Index and labels of somebody's own photos survive a render into their folder."""
    told = render_dataset(task, folder=tmp_path, workers=1, limit=1).model_copy(update={"source": "folder"})
    (tmp_path / SUMMARY_NAME).write_text(told.model_dump_json(), encoding="utf-8")
    before = (tmp_path / INDEX_NAME).read_bytes()
    with pytest.raises(ForeignDatasetError, match="from folder"):
        render_dataset(task, folder=tmp_path, workers=1)
    assert (tmp_path / INDEX_NAME).read_bytes() == before


def test_a_missing_dataset_names_the_command_that_makes_it(tmp_path: Path) -> None:
    """The error says what to type."""
    with pytest.raises(DatasetMissingError, match="loupe-train render cannabis"):
        read_records(tmp_path, task_id="cannabis")


def test_a_specimen_never_straddles_two_splits() -> None:
    """The split is a function of the specimen's name, and the shares are those stated, within two points."""
    whole = load_task_file("cannabis")
    names = [f"s{index:06d}" for index in range(whole.rendering.specimen_count)]
    found: dict[str, set[str]] = defaultdict(set)
    for index, name in (*enumerate(names), *enumerate(names)):
        found[name].add(whole.split_of(name, index=index))
    assert all(len(each) == 1 for each in found.values())
    counts = Counter(each.pop() for each in found.values())
    for split in SPLITS:
        assert counts[split] / len(names) == pytest.approx(whole.data.splits.of(split), abs=0.02)


def test_proof_specimens_only_calibrate_and_test() -> None:
    """They are halved between val_calib and val_test; training and the choice of a checkpoint never see them."""
    whole = load_task_file("cannabis")
    places = range(whole.rendering.specimen_count, whole.rendering.all_specimen_count)
    counts = Counter(whole.split_of(f"s{index:06d}", index=index) for index in places)
    assert set(counts) == {"val_calib", "val_test"}
    assert counts["val_calib"] / len(places) == pytest.approx(0.5, abs=0.02)


def test_changed_parameters_are_refused_with_their_cure(tmp_path: Path) -> None:
    """Nobody makes the task easier without saying so in the digest."""
    text = (TASKS_FOLDER / "cannabis.toml").read_text(encoding="utf-8")
    changed = text.replace("blur_probability = 0.45", "blur_probability = 0.0")
    assert changed != text
    (tmp_path / "cannabis.toml").write_text(changed, encoding="utf-8")
    with pytest.raises(RendererParametersChangedError, match="parameters_sha256") as caught:
        load_task_file("cannabis", folder=tmp_path)
    assert caught.value.actual != caught.value.stated


def test_an_unknown_task_names_the_known_ones() -> None:
    """The error lists what there is."""
    with pytest.raises(UnknownTaskFileError, match="cannabis"):
        load_task_file("chocolate")
