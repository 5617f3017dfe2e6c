"""Tracked runs: what MLflow knows of a run afterwards, and what happens where it cannot be reached."""

import socket
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient
from small_dataset import small_task, write_small_dataset

from training.errors import DatasetMissingError
from training.tracking import TrackingUnreachableError, local_uri, track_evaluation, tracked_run
from training.train import RunRequest, RunResult, train

PHOTOS = {"train": 24, "val_select": 8, "val_calib": 4, "val_test": 4}


@pytest.fixture(scope="module")
def data_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small dataset on disk."""
    folder = tmp_path_factory.mktemp("dataset")
    write_small_dataset(folder, photos_a_split=PHOTOS)  # type: ignore[arg-type]
    return folder


def request(data_folder: Path, runs: Path) -> RunRequest:
    """Two epochs of the tiny network."""
    return RunRequest(small_task(epochs=2), "fast", "demo", data_folder, runs, command="loupe-train train cannabis")


@pytest.fixture(scope="module")
def finished(data_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, RunResult]:
    """The runs' folder, and a run that was tracked there."""
    runs = tmp_path_factory.mktemp("runs")
    asked = request(data_folder, runs)
    with tracked_run(local_uri(runs), asked) as tracker:
        result = train(asked, callbacks=tracker.callbacks)
        tracker.keep(result)
    return runs, result


def test_a_run_is_tracked_with_all_that_names_it(finished: tuple[Path, RunResult]) -> None:
    """Recipe, network and data digest are parameters, every epoch is a step, the checkpoint's JSON is an artefact."""
    runs, result = finished
    client = MlflowClient(local_uri(runs))
    experiment = client.get_experiment_by_name("cannabis")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED"
    assert run.data.params["recipe/batch_size"] == "8"
    assert run.data.params["network/backbone"] == "test_efficientnet"
    assert run.data.params["data/index_sha256"] == result.checkpoint.data.index_sha256
    assert run.data.tags["mlflow.source.git.commit"] == (result.checkpoint.git_commit or "none")
    history = client.get_metric_history(run.info.run_id, "val_product_type_mcc")
    assert [each.step for each in history] == [0, 1]
    assert {each.path for each in client.list_artifacts(run.info.run_id)} == {"checkpoint.json", "history.json"}


def test_an_evaluation_joins_the_run_that_it_judges(finished: tuple[Path, RunResult], tmp_path: Path) -> None:
    """The page becomes an artefact of the run that trained the network; names are made such as MLflow takes."""
    runs, result = finished
    (tmp_path / "evaluation.md").write_text("page", encoding="utf-8")
    assert track_evaluation(local_uri(runs), result.folder, metrics={"ood/of (x)": 0.5}, page_folder=tmp_path)
    client = MlflowClient(local_uri(runs))
    experiment = client.get_experiment_by_name("cannabis")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.data.metrics["ood/of _x_"] == 0.5
    assert [each.path for each in client.list_artifacts(run.info.run_id, "evaluation")] == ["evaluation/evaluation.md"]


def test_an_evaluation_of_an_untracked_run_makes_no_database(finished: tuple[Path, RunResult], tmp_path: Path) -> None:
    """Where nothing was tracked, nothing is added."""
    assert not track_evaluation(local_uri(tmp_path), finished[1].folder, metrics={}, page_folder=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_nobody_runs_is_named_before_training(data_folder: Path, tmp_path: Path) -> None:
    """The error says where and what to do, and no run folder is left."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        uri = f"http://127.0.0.1:{free.getsockname()[1]}"
        asked = request(data_folder, tmp_path / "runs")
        with pytest.raises(TrackingUnreachableError, match="--no-mlflow"), tracked_run(uri, asked):
            pytest.fail("training began")
    assert not (tmp_path / "runs").exists()


def test_what_cannot_be_trained_is_not_tracked(tmp_path: Path) -> None:
    """A missing dataset is told before any tracking file is made."""
    asked = request(tmp_path / "nowhere", tmp_path / "runs")
    with pytest.raises(DatasetMissingError), tracked_run(local_uri(tmp_path / "runs"), asked):
        pytest.fail("training began")
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_fails_is_tracked_as_failed(data_folder: Path, tmp_path: Path) -> None:
    """Whoever looks later sees that it ended badly."""
    asked = request(data_folder, tmp_path)
    with pytest.raises(KeyboardInterrupt), tracked_run(local_uri(tmp_path), asked):
        raise KeyboardInterrupt
    client = MlflowClient(local_uri(tmp_path))
    experiment = client.get_experiment_by_name("cannabis")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FAILED"
