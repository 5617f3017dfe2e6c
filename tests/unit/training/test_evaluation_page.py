"""The evaluation page: its figures against known truth, and that it holds all it promises."""

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import f1_score, matthews_corrcoef, precision_score
from small_dataset import SIZE_PX, small_task, write_small_dataset

from server.domain.framing import Framing
from server.domain.task import Task
from training.checkpoint import EarlierRun
from training.model import InspectionNetwork
from training.photo_data import PhotoSplit, open_splits
from training.place_sampling import SamplingSection
from training.report.answers import Answers, NoPhotosError, open_some, read_folder
from training.report.by_place import score_by_place
from training.report.doubts import Worsening, rank_wrong_answers, tell_strange, worsen
from training.report.evaluation import Evaluation, EvaluationRequest, headline_metrics, measure
from training.report.head_scores import score_head
from training.report.overlays import attention_heat, choose_photos
from training.report.page import write_page
from training.report.strange_photos import CHANGES, blurred, changed, made_strange
from training.train import RunRequest, train

COUNT = 60


@pytest.fixture(scope="module")
def task() -> Task:
    """Cannabis's heads."""
    return small_task().to_domain()


@pytest.fixture(scope="module")
def data_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small dataset on disk."""
    folder = tmp_path_factory.mktemp("dataset")
    counts = {"train": 48, "val_select": 8, "val_calib": 8, "val_test": COUNT}
    write_small_dataset(folder, photos_a_split=counts)  # type: ignore[arg-type]
    return folder


@pytest.fixture(scope="module")
def photos(data_folder: Path, task: Task) -> PhotoSplit:
    """Sixty photos, two a specimen."""
    return open_splits(data_folder, task, splits=["val_test"], size_px=SIZE_PX, framing=Framing.CENTRE)["val_test"]


@pytest.fixture
def answers(photos: PhotoSplit, task: Task) -> Answers:
    """Random answers, the first third of them made right; distance knows which, variance knows nothing."""
    generator = np.random.default_rng(3)
    logits = {head.id: generator.normal(size=(COUNT, len(head.labels))).astype(np.float32) for head in task.heads}
    logits["quality_grade"][:] = 0
    logits["product_type"][np.arange(20), photos.labels["product_type"][:20].astype(int)] = 9
    wrong = logits["product_type"].argmax(axis=1) != photos.labels["product_type"]
    return Answers(
        logits,
        {head.id: np.ones(COUNT, dtype=np.float32) for head in task.heads},
        wrong.astype(np.float32),
        np.full((COUNT, 2, 2), 0.25, dtype=np.float32),
    )


def test_figures_of_a_category_are_those_of_scikit_learn(photos: PhotoSplit, answers: Answers, task: Task) -> None:
    """Accuracy, macro-F1, MCC and precision; the confusion matrix has the truth in rows."""
    scores = score_head(task.head("product_type"), answers, photos)
    truth, said = photos.labels["product_type"], answers.logits["product_type"].argmax(axis=1)
    assert scores.accuracy.value == pytest.approx((truth == said).mean())
    assert scores.macro_f1.value == pytest.approx(f1_score(truth, said, average="macro"))
    assert scores.mcc.value == pytest.approx(matthews_corrcoef(truth, said))
    assert scores.labels[2].precision.value == pytest.approx(precision_score(truth, said, average=None)[2])
    assert scores.confusion is not None
    assert scores.confusion[1, 3] == ((truth == 1) & (said == 3)).sum()
    assert scores.best_accuracy == pytest.approx(0.9)


def test_figures_of_attributes_are_means_over_labels(photos: PhotoSplit, answers: Answers, task: Task) -> None:
    """Each label is a question of its own."""
    scores = score_head(task.head("attributes"), answers, photos)
    truth, said = photos.labels["attributes"], answers.logits["attributes"] > 0
    assert scores.accuracy.value == pytest.approx((truth == said).mean())
    assert scores.macro_f1.value == pytest.approx(f1_score(truth, said, average="macro"))
    assert scores.mcc.value == pytest.approx(
        np.mean([matthews_corrcoef(truth[:, place], said[:, place]) for place in range(10)])
    )
    assert scores.confusion is None


def test_photos_without_a_label_do_not_count(photos: PhotoSplit, answers: Answers, task: Task) -> None:
    """A head that nobody labelled on half of the photos is scored on the other half."""
    labels = {**photos.labels, "product_type": photos.labels["product_type"].copy()}
    labels["product_type"][20:] = -1
    scores = score_head(task.head("product_type"), answers, replace(photos, labels=labels))
    assert scores.photo_count == 20
    assert scores.accuracy.value == 1
    assert all(each.recall.low < 1 for each in scores.labels if each.support)


def test_photos_near_a_target_are_scored_apart(photos: PhotoSplit, answers: Answers, task: Task) -> None:
    """The first third lies near Tokyo and is all right; what lies far away or nowhere is not mixed in."""
    near, far = (35.70, 139.70), (52.52, 13.40)
    places = [near] * 20 + [far] * 30 + [None] * 10
    records = tuple(
        each.model_copy(update={"place": place}) for each, place in zip(photos.records, places, strict=True)
    )
    placed = replace(photos, records=records)
    head = task.head("product_type")
    targets = SamplingSection(target_places=((35.68, 139.76),), cluster_count=1)
    close, distant, unknown = score_by_place([head], answers, placed, targets)
    assert [each.distance for each in (close, distant, unknown)] == ["0 to 50 km", "500 km and more", "place unknown"]
    assert [each.heads[0].photo_count for each in (close, distant, unknown)] == [20, 30, 10]
    assert close.specimen_count == 10
    assert close.heads[0].mcc.value == pytest.approx(1.0)
    said = answers.logits[head.id].argmax(axis=1)
    right = (said == photos.labels[head.id])[20:50].mean()
    assert distant.heads[0].accuracy.value == pytest.approx(right)


@pytest.mark.parametrize("targets", [None, SamplingSection(target_places=((35.68, 139.76),))])
def test_nothing_is_said_of_places_that_nobody_knows(
    photos: PhotoSplit, answers: Answers, task: Task, targets: SamplingSection | None
) -> None:
    """Neither without targets nor without a photo that has a place."""
    assert score_by_place(task.heads[:1], answers, photos, targets) == ()


def test_a_doubt_that_knows_wrong_answers_ranks_them_first(photos: PhotoSplit, answers: Answers, task: Task) -> None:
    """AUROC 1 for the distance that knows, one half for a variance that is always the same."""
    told = rank_wrong_answers(task.head("product_type"), answers, photos)
    assert told.by_distance.value == 1
    assert told.by_variance.value == 0.5


def test_strange_photos_far_away_are_told(photos: PhotoSplit, answers: Answers) -> None:
    """Every strange photo lies farther than every usual one."""
    strange = replace(answers, feature_distances=answers.feature_distances + 10)
    assert tell_strange("moons", strange, answers, photos).by_distance.value == 1


def test_uncertainty_may_fall_where_a_change_makes_photos_easier(
    photos: PhotoSplit, answers: Answers, task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It follows the loss, which need not rise with the strength; uncertainty that does not follow is told by a -1."""
    labels = {head.id: photos.labels[head.id].astype(np.int64) for head in task.heads}
    sureness = (2.0, 3.0, 1.0, 0.5, 0.2, 0.0)

    def told(variances: Sequence[float]) -> Worsening:
        said = []
        for sure, variance in zip(sureness, variances, strict=True):
            logits = {
                head.id: sure * np.eye(len(head.labels), dtype=np.float32)[labels[head.id]] for head in task.heads[:2]
            }
            same = {head.id: np.full(COUNT, variance, dtype=np.float32) for head in task.heads}
            said.append(replace(answers, logits=answers.logits | logits, logit_variances=same))
        asked = iter(said)
        monkeypatch.setattr("training.report.doubts.ask", lambda *_, **__: next(asked))
        network = cast("InspectionNetwork", None)
        return worsen(network, np.asarray(photos.pixels[:COUNT]), labels, task, change="blur")

    following = told([0.2, 0.1, 0.3, 0.4, 0.5, 0.6])
    assert following.with_loss == pytest.approx(1)
    assert following.within_photo < 1
    assert following.log_losses[-1] == pytest.approx(np.log(5))
    assert told([-each for each in (0.2, 0.1, 0.3, 0.4, 0.5, 0.6)]).with_loss == pytest.approx(-1)


def test_best_and_worst_photos_are_those_given_the_highest_and_lowest_chance(
    photos: PhotoSplit, answers: Answers, task: Task
) -> None:
    """The best ones are among those that were made right."""
    best, worst, some = choose_photos(answers, photos, task)
    assert set(best.places) <= set(range(20))
    assert not set(worst.places) & set(range(20))
    assert len(some.places) == len(set(some.places)) == 6


def test_heat_covers_the_photo_and_peaks_at_one() -> None:
    """The map is stretched, not cut."""
    heat = attention_heat(np.array([[0.1, 0.2], [0.3, 0.4]], dtype=np.float32), size_px=32)
    assert heat.shape == (32, 32)
    assert heat[-1, -1] == pytest.approx(1)
    assert heat[0, 0] == pytest.approx(0.25)


def test_strengths_rise_and_none_changes_nothing(photos: PhotoSplit) -> None:
    """Strength 0 is the photo itself; blur takes away what differs from place to place, noise adds it."""
    few = np.array(photos.pixels[:4])
    for change, strengths in CHANGES.items():
        assert np.array_equal(changed(few, change, strengths[0]), few)
        assert not np.array_equal(changed(few, change, strengths[-1]), few)
    assert blurred(few, 0.04).std(axis=(1, 2)).mean() < few.std(axis=(1, 2)).mean()


def test_strange_photos_are_the_same_each_time(photos: PhotoSplit) -> None:
    """As many of each kind as there are photos, repeatable."""
    few = np.array(photos.pixels[:3])
    first, second = made_strange(few), made_strange(few)
    assert all(each.shape == few.shape and each.dtype == np.uint8 for each in first.values())
    assert all(np.array_equal(first[name], second[name]) for name in first)


def test_a_folder_without_photos_is_named(tmp_path: Path) -> None:
    """A wrong folder is no empty figure."""
    with pytest.raises(NoPhotosError, match="holds no photo"):
        read_folder(tmp_path, size_px=SIZE_PX, framing=Framing.CENTRE, limit=5)


def test_a_limit_spreads_over_the_split(data_folder: Path, task: Task) -> None:
    """Ten of sixty: the first, the last, and eight between them, six or seven apart."""
    some = open_some(data_folder, task, "val_test", size_px=SIZE_PX, framing=Framing.CENTRE, limit=10)
    places = (0, 7, 13, 20, 26, 33, 39, 46, 52, 59)
    assert [each.photo for each in some.records] == [f"photos/val_test_{place}.jpg" for place in places]
    assert len(some.pixels) == len(some.labels["product_type"]) == 10


@pytest.fixture(scope="module")
def evaluated(data_folder: Path, task: Task, tmp_path_factory: pytest.TempPathFactory) -> Evaluation:
    """A tiny network, trained and measured, with a folder of strange photos."""
    runs = tmp_path_factory.mktemp("runs")
    strange = tmp_path_factory.mktemp("moons")
    Image.fromarray(np.full((40, 40, 3), 7, dtype=np.uint8)).save(strange / "moon.png")
    result = train(RunRequest(small_task(), "fast", "demo", data_folder, runs))
    request = EvaluationRequest(result.folder, task, data_folder, "val_test", limit=24, ood_folder=strange)
    return measure(request)


def test_the_page_has_a_part_about_places_where_targets_are_named(evaluated: Evaluation, tmp_path: Path) -> None:
    """And its figures are kept by their distance."""
    assert "where it will be used" not in write_page(evaluated, tmp_path / "without").read_text("utf-8")
    photos = evaluated.photos
    records = tuple(each.model_copy(update={"place": (35.7, 139.7)}) for each in photos.records)
    targets = SamplingSection(target_places=((35.68, 139.76),))
    heads = [evaluated.request.task.head("product_type")]
    scores = score_by_place(heads, evaluated.answers, replace(photos, records=records), targets)
    placed = replace(evaluated, by_place=scores)
    page = write_page(placed, tmp_path / "with").read_text("utf-8")
    assert "| **0 to 50 km** | Product type | 24 |" in page
    figures = headline_metrics(placed)
    assert figures["val_test/0_to_50_km/product_type/accuracy"] == figures["val_test/product_type/accuracy"]


def test_the_page_holds_all_it_promises(evaluated: Evaluation, tmp_path: Path) -> None:
    """Every picture that it names lies beside it and is more than a frame; every picture beside it is named."""
    page = write_page(evaluated, tmp_path / "report").read_text("utf-8")
    named = re.findall(r"\]\((\w+\.(?:svg|png))\)", page)
    assert sorted(named) == sorted(each.name for each in (tmp_path / "report").glob("*.[sp][vn]g"))
    assert {"confusion_product_type.svg", "labels_attributes.svg", "strange.svg", "attention_worst.png"} <= set(named)
    assert "nan" not in page
    assert "photos of " in page
    figures = json.loads((tmp_path / "report" / "evaluation.json").read_text("utf-8"))
    assert figures == headline_metrics(evaluated)
    assert "val_test/product_type/mcc" in figures


def test_the_page_says_what_the_network_may_have_learnt_from(evaluated: Evaluation, tmp_path: Path) -> None:
    """Photos of other data than it was trained on are no news to be trusted; runs that it learnt from are named."""
    assert "other data" not in write_page(evaluated, tmp_path / "own").read_text("utf-8")
    teacher = EarlierRun.of(evaluated.request.folder)
    other = replace(
        evaluated,
        index_sha256="0" * 64,
        checkpoint=evaluated.checkpoint.model_copy(update={"earlier": {"teacher": teacher}}),
    )
    page = write_page(other, tmp_path / "other").read_text("utf-8")
    assert "**the photos are of other data**" in page
    assert f"taught by `{teacher.folder}`, checkpoint `{teacher.checkpoint_sha256[:12]}`" in page


def test_pictures_are_the_same_for_the_same_figures(evaluated: Evaluation, tmp_path: Path) -> None:
    """Nothing dated or random gets into an SVG."""
    write_page(evaluated, tmp_path / "first")
    write_page(evaluated, tmp_path / "second")
    for path in (tmp_path / "first").glob("*.svg"):
        assert path.read_bytes() == (tmp_path / "second" / path.name).read_bytes()
