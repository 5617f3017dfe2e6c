"""A trained network in another number of views, or of before: its weights stay, its feature density is made anew."""

import json
import time
from dataclasses import replace

from training.checkpoint import HISTORY_NAME, latest_run, load_network, read_checkpoint
from training.devices import mixes_precision
from training.errors import OtherNetworkError
from training.photo_data import open_splits, records_by_split
from training.processor import use_processor
from training.progress import Follow, unfollowed
from training.run_request import RunRequest, RunResult, new_run_folder
from training.run_sealing import LOOKED_AT, density_photos, fit_feature_density, measured, write_checkpoint


def refit(request: RunRequest, *, on_photos: Follow = unfollowed) -> RunResult:
    """Gives the newest run's weights the task file's number of views: density, program and metrics are made anew.

    How many views pay is measured on a trained network (`loupe-train evaluate --views`), and wants no new training.

    Args:
        request: Which tier; its stages and seed do not matter.
        on_photos: Follows the photos while their cache is made, and while the network looks at them.

    Raises:
        TrainingError: There is no run, or its network is another one than the task file's in more than its views.
    """
    task = request.task.to_domain()
    earlier = latest_run(request.runs_folder, task_id=task.id, tier=request.tier)
    told = read_checkpoint(earlier)
    began_s = time.monotonic() - told.duration_s
    section = request.task.tier(request.tier).network(request.variant)
    views = {"views": section.views, "four_views": section.four_views}
    if told.network.model_copy(update=views) != section:
        raise OtherNetworkError(earlier, trained=told.network.model_dump(), wanted=section.model_dump())
    use_processor(told.training.threads)
    network = load_network(earlier, task, with_density=False)
    network.views, network.section = section.views, section
    records = records_by_split(request.data_folder, task_id=task.id)
    splits = open_splits(
        request.data_folder,
        task,
        splits=LOOKED_AT,
        size_px=section.input_size_px,
        framing=section.framing,
        on_progress=on_photos,
    )
    limit = density_photos(network.views)
    fit_feature_density(network, splits["train"], task, limit=limit, on_photo=on_photos)
    is_mixed = mixes_precision(told.training)
    metrics = measured(network, splits["val_select"], task, mixed_precision=is_mixed, on_photo=on_photos)
    folder = new_run_folder(request)
    checkpoint = write_checkpoint(
        folder,
        replace(request, command=f"{told.command} && {request.command}"),
        network,
        records,
        history=json.loads((earlier / HISTORY_NAME).read_text("utf-8")),
        metrics=metrics,
        recipe=told.training,
        began_s=began_s,
        trained_share=told.trained_share,
        precision=told.precision,
        earlier=told.earlier,
    )
    return RunResult(folder, checkpoint, {})
