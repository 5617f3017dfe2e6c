"""One training run, from a dataset to a sealed checkpoint folder; one that was killed goes on where it was."""

import logging
import shutil
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch

from training.batch_order import batches_of_an_epoch
from training.checkpoint import EarlierRun, build_network, file_sha256, latest_run, read_checkpoint, save_last_weights
from training.class_balance import label_weights
from training.dataset import INDEX_NAME
from training.devices import (
    agreed_folder,
    is_leader,
    join_processes,
    leader_first,
    mixes_precision,
    process_count,
)
from training.earlier_weights import load_earlier, resolve_start
from training.fine_tuning import TrainedShare, plain_network, prepare_fine_tuning
from training.learner import Learner
from training.loop import Loop, build_loop
from training.model import InspectionNetwork
from training.photo_data import Chances, PhotoSplit, open_splits, photo_loader, records_by_split
from training.photo_weights import sampling_weights
from training.processor import use_processor
from training.progress import Follow, unfollowed
from training.resume import (
    BEST_FOLDER,
    STATE_NAME,
    UNFINISHED_FOLDER,
    OtherRunError,
    RunRecord,
    begin_run,
    kept_answers,
    read_state,
    read_unfinished,
    spent_s,
)
from training.run_request import RunRequest, RunResult, new_run_folder
from training.run_sealing import LOOKED_AT, density_photos, fit_feature_density, measured, write_checkpoint
from training.split_errors import SplitLeakError
from training.splits import find_leaks
from training.task_file import Split
from training.teacher import ask_teacher, taught_by

__all__ = ["RunRequest", "RunResult", "resume", "train"]

_EVALUATION_BATCH = 256
_DRY_DENSITY_PHOTOS = 512
_DRY_TAUGHT_PHOTOS = 64

_log = logging.getLogger(__name__)


def train(request: RunRequest, *, on_photos: Follow = unfollowed, callbacks: Sequence[pl.Callback] = ()) -> RunResult:
    """Trains one tier.

    Args:
        request: What to train.
        on_photos: Follows the photos while their cache is made, and while the trained network looks at them.
        callbacks: Join those of the loop.

    Raises:
        TrainingError: The dataset is missing, a split is empty, a specimen stands on two sides, the labels do not
            suffice, or the loss is no number.
    """
    join_processes()
    record = _record(request)
    if not request.dry_run:
        return _train_into(_begun(new_run_folder, request, record), request, record.earlier, on_photos, callbacks)
    with tempfile.TemporaryDirectory() as passing:
        folder = _begun(lambda _: Path(passing), request, record)
        return _train_into(folder, request, record.earlier, on_photos, callbacks)


def resume(
    folder: Path, request: RunRequest, *, on_photos: Follow = unfollowed, callbacks: Sequence[pl.Callback] = ()
) -> RunResult:
    """Goes on with a run that was killed: it ends in the same weights and metrics as one that never was.

    Args:
        folder: The unfinished run's folder.
        request: Its task and folders; what may replace a part of the recipe is the run's own.
        on_photos: Follows the photos while their cache is made, and while the trained network looks at them.
        callbacks: Join those of the loop.

    Raises:
        NothingToResumeError: The folder holds no unfinished run.
        OtherRunError: Data, recipe or network are not those that it was begun with.
        TrainingError: As for `train`.
    """
    join_processes()
    begun = read_unfinished(folder, task_id=request.task.id, tier=request.tier)
    same = replace(
        request,
        seed=begun.seed,
        stages=begun.stages,
        variant=begun.variant,
        learning_rate=begun.learning_rate,
        start_from=begun.recipe.start_from,
        by_place=begun.by_place,
        command=begun.command,
    )
    differences = begun.differences(_record(same, begun.earlier))
    if differences:
        raise OtherRunError(folder, differences=differences)
    return _train_into(folder, same, begun.earlier or _earlier(same), on_photos, callbacks)


def _earlier(request: RunRequest) -> dict[str, EarlierRun]:
    """Returns the runs that the recipe asks for, which a run then stays with: newer ones may come while it runs."""
    recipe, runs, found = request.recipe, request.runs_folder, {}
    if recipe.start_from:
        found["start_from"] = EarlierRun.of(resolve_start(recipe.start_from, runs_folder=runs))
    if recipe.teacher is not None:
        found["teacher"] = EarlierRun.of(latest_run(runs, task_id=request.task.id, tier=recipe.teacher))
    return found


def _record(request: RunRequest, earlier: dict[str, EarlierRun] | None = None) -> RunRecord:
    """Returns what is to be trained, on which photos, after which runs: the given ones, else the newest."""
    recipe, network = request.recipe, request.section
    parts = records_by_split(request.data_folder, task_id=request.task.id)
    leaks = find_leaks([record for part in parts.values() for record in part])
    if leaks:
        raise SplitLeakError(leaks)
    if recipe.sampling.by_place:
        recipe.sampling.all_target_places()
    return RunRecord(
        task_id=request.task.id,
        tier=request.tier,
        variant=request.variant,
        seed=request.seed,
        stages=request.stages,
        learning_rate=request.learning_rate,
        by_place=request.by_place,
        recipe=recipe,
        network=network,
        index_sha256=file_sha256(request.data_folder / INDEX_NAME),
        command=request.command,
        earlier=_earlier(request) if earlier is None else earlier,
    )


def _begun(choose: Callable[[RunRequest], Path], request: RunRequest, record: RunRecord) -> Path:
    """Returns the folder of a run that begins here, the same in every process."""
    folder = choose(request) if is_leader() else None
    if folder is not None:
        begin_run(folder, record)
    return agreed_folder(folder)


def _train_into(
    folder: Path,
    request: RunRequest,
    earlier: Mapping[str, EarlierRun],
    on_photos: Follow,
    callbacks: Sequence[pl.Callback],
) -> RunResult:
    began_s = time.monotonic()
    recipe, task, unfinished = request.recipe, request.task.to_domain(), folder / UNFINISHED_FOLDER
    use_processor(recipe.threads)
    pl.seed_everything(recipe.seed, workers=True, verbose=False)
    with leader_first():
        splits = _splits(request, earlier.get("teacher"), unfinished, on_photos)
    loader = photo_loader(
        splits["train"],
        batch_size=recipe.batch_size,
        shuffle_seed=recipe.seed,
        weights=sampling_weights(splits["train"].records, recipe.sampling),
        epoch_share=recipe.epoch_share,
    )
    is_begun = (unfinished / STATE_NAME).is_file()
    start = None if is_begun else earlier.get("start_from")
    steps = recipe.epochs * batches_of_an_epoch(
        len(splits["train"]),
        batch_size=recipe.batch_size,
        epoch_share=recipe.epoch_share,
        processes=process_count(recipe),
    )
    network, trained = _network(request, start, steps=steps, is_begun=is_begun)
    learner = Learner(
        network,
        task,
        recipe,
        sizes_px=recipe.sizes_px(request.section.input_size_px),
        label_weights=label_weights(splits["train"].labels, task, recipe.loss),
    )
    loop = build_loop(unfinished, request, loader, callbacks, steps=steps, began_s=began_s)
    judged = photo_loader(splits["val_select"], batch_size=_EVALUATION_BATCH, shuffle_seed=None)
    with warnings.catch_warnings():
        # Lightning looks for a loader that keeps its place itself; here the order is told where to go on.
        warnings.filterwarnings("ignore", message=".*dataloader is not resumable")
        state = str(unfinished / STATE_NAME) if is_begun else None
        loop.trainer.fit(learner, loader, judged, ckpt_path=state, weights_only=False)
    with leader_first():
        if is_leader():
            _seal(folder, request, earlier, learner, splits, loop, trained, on_photos)
    return RunResult(folder, read_checkpoint(folder), loop.callbacks)


def _splits(
    request: RunRequest, teacher: EarlierRun | None, unfinished: Path, on_photos: Follow
) -> dict[Split, PhotoSplit]:
    """Returns the photos that training looks at, with a teacher's answers if there is one."""
    splits = open_splits(
        request.data_folder,
        request.task.to_domain(),
        splits=LOOKED_AT,
        size_px=request.section.input_size_px,
        framing=request.section.framing,
        on_progress=on_photos,
    )
    if teacher is not None:
        splits["train"] = _taught(splits["train"], request, Path(teacher.folder), unfinished, on_photos)
    return splits


def _network(
    request: RunRequest, start: EarlierRun | None, *, steps: int, is_begun: bool
) -> tuple[InspectionNetwork, TrainedShare]:
    """Returns the network as training begins with it; if a state will replace its weights, none is loaded."""
    recipe = request.recipe
    section = request.section.model_copy(update={"pretrained": False}) if is_begun else request.section
    network = build_network(section, request.task.to_domain())
    network.section = request.section
    # Augmentation draws one view of a photo at a time; averaging over several is for the trained network.
    network.views = 1
    if start is not None:
        loaded = load_earlier(network, Path(start.folder), request.task.to_domain())
        _log.info("%s: %d tensors loaded, %d begin anew", *loaded)
    trained = prepare_fine_tuning(network, recipe.fine_tuning, steps=steps)
    _log.info("%s trains %s of %s weights (%.2f %%)", recipe.fine_tuning.method, *trained, 100 * trained.share)
    return network, trained


def _taught(split: PhotoSplit, request: RunRequest, teacher: Path, unfinished: Path, on_photos: Follow) -> PhotoSplit:
    """Returns the split with what the teaching run says of it."""

    def ask() -> Chances:
        return ask_teacher(
            teacher,
            request.task.to_domain(),
            data_folder=request.data_folder,
            split="train",
            limit=_DRY_TAUGHT_PHOTOS if request.dry_run else None,
            on_photo=on_photos,
        )

    return taught_by(split, kept_answers(unfinished, ask))


def _seal(
    folder: Path,
    request: RunRequest,
    earlier: Mapping[str, EarlierRun],
    learner: Learner,
    splits: Mapping[Split, PhotoSplit],
    loop: Loop,
    trained: TrainedShare,
    on_photos: Follow,
) -> None:
    """Writes the last and the best weights as safetensors, and all that belongs to them; removes what was unfinished.

    All comes from the last state on disk: the loop may have run in other processes.
    """
    unfinished, recipe = folder / UNFINISHED_FOLDER, request.recipe
    state = read_state(unfinished)
    began_s = time.monotonic() - spent_s(state)
    loop.history.load_state_dict(state["callbacks"][loop.history.state_key])
    save_last_weights(_averaged(learner, state), folder, metrics=loop.history.epochs[-1])
    path = unfinished / BEST_FOLDER / Path(state["callbacks"][loop.best.state_key]["best_model_path"]).name
    best = torch.load(path, weights_only=False, map_location="cpu")
    network, metrics = _averaged(learner, best).eval(), loop.history.of(best["epoch"])
    network.views, task = request.section.views, request.task.to_domain()
    limit = _DRY_DENSITY_PHOTOS if request.dry_run else density_photos(network.views)
    fit_feature_density(network, splits["train"], task, limit=limit, on_photo=on_photos)
    if network.views > 1 and not request.dry_run:
        # The loop judges in one view.
        is_mixed = mixes_precision(recipe)
        seen = measured(network, splits["val_select"], task, mixed_precision=is_mixed, on_photo=on_photos)
        metrics = {"epoch": metrics["epoch"], **seen}
    write_checkpoint(
        folder,
        request,
        network,
        records_by_split(request.data_folder, task_id=task.id),
        history=loop.history.epochs,
        metrics=metrics,
        recipe=recipe,
        began_s=began_s,
        trained_share=trained.share,
        precision=loop.trainer.precision,
        earlier=earlier,
    )
    shutil.rmtree(unfinished)


def _averaged(learner: Learner, state: Mapping[str, Any]) -> InspectionNetwork:
    """Returns the network with the averaged weights of a state, which Lightning keeps under `state_dict`."""
    learner.cpu().load_state_dict(state["state_dict"])
    return plain_network(learner.network)
