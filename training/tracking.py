"""Tracks runs with MLflow: parameters, metrics an epoch, digests, and what a run leaves behind.

MLflow is imported when a run begins to be tracked, never with this module: it takes seconds.
"""

import logging
import re
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

import lightning.pytorch as pl
import typer
from lightning.pytorch.loggers import MLFlowLogger
from torch import Tensor

from training.checkpoint import CHECKPOINT_NAME, HISTORY_NAME, Checkpoint, file_sha256, git_commit, read_checkpoint
from training.dataset import INDEX_NAME
from training.errors import DatasetMissingError, TrainingError
from training.train import RunRequest, RunResult

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

URI_VARIABLE = "LOUPE_TRAIN_MLFLOW_URI"
DATABASE_NAME = "mlflow.db"

MlflowOption = Annotated[
    str | None,
    typer.Option("--mlflow", envvar=URI_VARIABLE, help="An MLflow server's URI; <runs>/mlflow.db if not given."),
]
NoMlflowOption = Annotated[bool, typer.Option("--no-mlflow", help="Tracks nothing.")]

_ARTIFACTS_FOLDER = "mlflow_artifacts"
_RUN_TAG = "loupe.run"
_COMMIT_TAG = "mlflow.source.git.commit"
_UNWANTED = re.compile(r"[^\w\-. /]", re.ASCII)
"""What MLflow allows in no name of a metric."""
_CONNECT_S = 5.0
_DEFAULT_PORTS = {"http": 80, "https": 443}


class TrackingUnreachableError(TrainingError):
    """The tracking server, or the file in its place, cannot be written to."""

    def __init__(self, uri: str, *, reason: str) -> None:
        """Keeps the server and why it cannot be reached."""
        super().__init__(
            f"MLflow cannot be reached at {uri}: {reason}",
            cure="Start it, name another with --mlflow, or train untracked with --no-mlflow.",
        )
        self.uri = uri


def local_uri(runs: Path) -> str:
    """Returns the URI of the SQLite file that tracks a folder's runs where no server is named."""
    return f"sqlite:///{(runs / DATABASE_NAME).resolve()}"


class TrackEpochs(pl.Callback):
    """Sends what an epoch has measured, with the epoch as the step."""

    def __init__(self, logger: MLFlowLogger) -> None:
        self._logger = logger

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        """Sends this epoch's metrics; Lightning has validated by now."""
        if trainer.is_global_zero:
            measured = {
                name: float(each) for name, each in trainer.callback_metrics.items() if isinstance(each, Tensor)
            }
            self._logger.log_metrics(measured, step=trainer.current_epoch)


@dataclass(frozen=True, slots=True)
class Tracker:
    """Follows one run into MLflow; without a logger it follows nothing."""

    logger: MLFlowLogger | None

    @property
    def callbacks(self) -> tuple[pl.Callback, ...]:
        """What joins the loop."""
        return () if self.logger is None else (TrackEpochs(self.logger),)

    def keep(self, result: RunResult) -> None:
        """Keeps what a finished run left behind, under the name of its folder."""
        if self.logger is None:
            return
        client, run_id = self.logger.experiment, self.logger.run_id
        client.set_tag(run_id, _RUN_TAG, run_name(result.folder, result.checkpoint))
        client.set_tag(run_id, "mlflow.runName", f"{result.checkpoint.tier} {result.folder.name}")
        self.logger.log_metrics({f"best_{name}": value for name, value in result.checkpoint.metrics.items()})
        self.logger.log_metrics({"duration_s": result.checkpoint.duration_s})
        for name in (CHECKPOINT_NAME, HISTORY_NAME):
            client.log_artifact(run_id, str(result.folder / name))
        self.logger.finalize("success")


@contextmanager
def tracked_run(uri: str | None, request: RunRequest) -> Iterator[Tracker]:
    """Tracks what is trained inside of the block; if that fails, the tracked run says so.

    Args:
        uri: A tracking server or SQLite file; None to track nothing.
        request: What will be trained.

    Raises:
        TrackingUnreachableError: Nothing can be written there; nothing was trained yet.
        DatasetMissingError: There is nothing to train on.
    """
    if uri is None:
        yield Tracker(None)
        return
    logger = _begun(uri, request)
    try:
        yield Tracker(logger)
    except BaseException:
        logger.finalize("failed")
        raise


def track_evaluation(uri: str, run_folder: Path, *, metrics: Mapping[str, float], page_folder: Path) -> bool:
    """Adds an evaluation to the tracked run of a checkpoint.

    Args:
        uri: A tracking server or SQLite file.
        run_folder: The checkpoint.
        metrics: By name.
        page_folder: Kept whole, beside the checkpoint.

    Returns:
        Whether that run is tracked there; if not, nothing is added.

    Raises:
        TrackingUnreachableError: The server cannot be reached.
    """
    parts = urlsplit(uri)
    if parts.scheme == "sqlite" and not Path(parts.path[1:]).is_file():
        return False
    checkpoint = read_checkpoint(run_folder)
    name = run_name(run_folder, checkpoint)
    with _translated(uri):
        client = _client(uri)
        experiment = client.get_experiment_by_name(checkpoint.task_id)
        if experiment is None:
            return False
        found = client.search_runs([experiment.experiment_id], f"tags.`{_RUN_TAG}` = '{name}'", max_results=1)
        if not found:
            return False
        run_id = found[0].info.run_id
        for metric, value in metrics.items():
            client.log_metric(run_id, _UNWANTED.sub("_", metric), value)
        client.log_artifacts(run_id, str(page_folder), "evaluation")
    return True


def run_name(folder: Path, checkpoint: Checkpoint) -> str:
    """Returns by what name a run is found again, e.g. `cannabis/fast/20260102T030405Z`."""
    return f"{checkpoint.task_id}/{checkpoint.tier}/{folder.name}"


def _begun(uri: str, request: RunRequest) -> MLFlowLogger:
    """Returns the logger of a run that is open on the server, with all that is known before training."""
    parameters = _parameters(request)
    with _translated(uri):
        # Looks whether anybody listens, before MLflow tries for minutes.
        _client(uri)
        logger = MLFlowLogger(
            experiment_name=request.task.id,
            run_name=request.tier,
            tracking_uri=uri,
            tags={
                "loupe.task": request.task.id,
                "loupe.tier": request.tier,
                "loupe.command": request.command,
                _COMMIT_TAG: git_commit() or "none",
            },
            artifact_location=_artifacts(uri, request.runs_folder),
        )
        logger.log_hyperparams(parameters)
    return logger


def _parameters(request: RunRequest) -> dict[str, Any]:
    """Returns what a run is asked for; a request that cannot be trained fails here, before anything is tracked."""
    recipe, network = request.recipe, request.task.tier(request.tier).network(request.variant)
    index = request.data_folder / INDEX_NAME
    if not index.is_file():
        raise DatasetMissingError(request.data_folder, task_id=request.task.id)
    return {
        "tier": request.tier,
        "variant": request.variant,
        "recipe": recipe.model_dump(mode="json"),
        "network": network.model_dump(mode="json"),
        "data": {"folder": str(request.data_folder), "index_sha256": file_sha256(index)},
    }


def _artifacts(uri: str, runs: Path) -> str | None:
    """Returns where artefacts go: beside the SQLite file; a server chooses itself."""
    return (runs / _ARTIFACTS_FOLDER).resolve().as_uri() if urlsplit(uri).scheme == "sqlite" else None


def _client(uri: str) -> "MlflowClient":
    parts = urlsplit(uri)
    if parts.scheme in _DEFAULT_PORTS:
        address = (parts.hostname or "", parts.port or _DEFAULT_PORTS[parts.scheme])
        socket.create_connection(address, timeout=_CONNECT_S).close()
    elif parts.scheme == "sqlite":
        Path(parts.path[1:]).parent.mkdir(parents=True, exist_ok=True)
    from mlflow.tracking import MlflowClient  # noqa: PLC0415 -- it takes seconds

    # Importing it sets its loggers up; after that they may be quietened.
    for name in ("mlflow", "alembic", "lightning.pytorch.loggers.mlflow"):
        logging.getLogger(name).setLevel(logging.ERROR)
    return MlflowClient(tracking_uri=uri)


@contextmanager
def _translated(uri: str) -> Iterator[None]:
    """Turns what sockets and MLflow raise into the typed error."""
    try:
        yield
    except OSError as error:
        raise TrackingUnreachableError(uri, reason=str(error)) from error
    except Exception as error:
        # Its exceptions cannot be named before MLflow is imported.
        if type(error).__module__.partition(".")[0] not in {"mlflow", "sqlalchemy"}:
            raise
        raise TrackingUnreachableError(uri, reason=str(error).splitlines()[0]) from error
