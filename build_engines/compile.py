"""Step `compile`: the exported ONNX file becomes the engine that will serve on a target.

Which precision ships is a matter of measurement: every candidate is compiled, compared with the exported model on
photos, and timed in turns with the others. One that only rounds must give the exported model's numbers; an INT8 engine
cannot, and must be as often right as it on val_select, head by head. The fastest that may serve is taken; what is
hardly slower, and smaller, goes before it. Whether its confidences are honest is asked later, of the very engine that
was chosen, on photos that had no part in the choice.
"""

import time
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime
from pydantic import TypeAdapter
from sklearn.metrics import roc_auc_score

from build_engines.cascade_solver import Estimate
from build_engines.checkpoint import HeldOutPhotos, read_held_out, read_range_photos
from build_engines.compilers import COMPILERS, Compiler
from build_engines.errors import ParityError, PrecisionError
from build_engines.export import PARITY_PHOTOS, read_exported
from build_engines.parity import Images, Outputs, Runner, check_parity, in_batches, load_images, onnx_runner
from build_engines.plan import TierPlan
from build_engines.share import share_of
from build_engines.step_record import StepRecord
from server.triton.tier_models import UNCERTAINTY

STEP = "compile"
LARGEST_LOSS = 0.01
"""Of a head's accuracy against the exported model's, for an engine that is not compared by numbers: the upper end of
the 95 % interval."""
COMPARED_PHOTOS, ROUNDED_PHOTOS = 3_000, 256
"""Photos on which an INT8 engine is compared, and on which one that only rounds is; the latter also as negatives."""
SPLIT = "val_select"
"""Chose the epoch; chooses the precision. Nothing is calibrated or promised on it."""
LARGEST_BLINDNESS = 0.02
"""What looks strange must look strange to the engine too: of the AUROC by which feature distances tell photos from
their negatives, so much may be lost against the exported model's."""
WORTH = 1.05
"""An engine must be so much faster than a smaller one to go before it."""
_TIMED_PHOTOS, _TIMED_ROUNDS = 8, 7
_SEED = 7


@dataclass(frozen=True, slots=True)
class Candidate:
    """An engine at one precision, measured.

    Attributes:
        precision: What was reached.
        size_bytes: Of the file.
        photo_ms: Median milliseconds of one photo on one thread, by itself; only comparable within one run.
        agreement: By decision head, the share of photos with the exported model's label.
        losses: By head, how much less often it is right than the exported model; empty if it is compared by numbers.
        differences: By output name, the largest difference from the exported model.
        refused: Why it may not serve; empty if it may.
    """

    precision: str
    size_bytes: int
    photo_ms: float
    agreement: dict[str, float]
    losses: dict[str, Estimate]
    differences: dict[str, float]
    refused: str


@dataclass(frozen=True, slots=True)
class CompiledEngine:
    """An engine that answers like the exported model.

    Attributes:
        path: The file.
        sha256: Of the file.
        precision: What was reached.
        target: What it was compiled for.
        size_bytes: Of the file.
        differences: By output name, the largest difference from the exported model.
        candidates: Every precision that was tried, measured.
    """

    path: Path
    sha256: str
    precision: str
    target: str
    size_bytes: int
    differences: dict[str, float]
    candidates: tuple[Candidate, ...]


def compile_engine(plan: TierPlan, *, target: str = "cpu") -> CompiledEngine:
    """Compiles what `export` left, at every precision, and keeps the engine that is chosen.

    Args:
        plan: What is being built.
        target: A key of `COMPILERS`.

    Raises:
        StepMissingError: Nothing was exported from this checkpoint.
        PrecisionError: No candidate answers like the exported model.
    """
    started = time.monotonic()
    exported, network = read_exported(plan), plan.checkpoint.file.network
    load = partial(load_images, size_px=network.input_size_px, framing=network.framing)
    photos = some_photos(read_held_out(plan.checkpoint, SPLIT, data_folder=plan.data_folder))
    images = load(photos.paths)
    range_photos = read_range_photos(plan.checkpoint, data_folder=plan.data_folder)
    ranges = load(range_photos) if range_photos else images[:0]
    tried = [each for each in COMPILERS[target] if range_photos or not each.needs_ranges]
    compilers = {plan.work_folder / f"candidate_{place}.onnx": each for place, each in enumerate(tried)}
    for path, compiler in compilers.items():
        compiler.compile(exported.path, path, ranges)
    times = _time_in_turns(list(compilers), images[:_TIMED_PHOTOS])
    exported_outputs = in_batches(onnx_runner(exported.path), images)
    candidates = {
        path: _measure(compiler, path, exported.path, exported_outputs, photos, images, photo_ms=times[path])
        for path, compiler in compilers.items()
    }
    chosen = choose(list(candidates.values()))
    for path, candidate in candidates.items():
        if candidate is chosen:
            path.rename(plan.engine_path)
        else:
            path.unlink()
    record = StepRecord.make(
        STEP,
        inputs={"exported": exported.sha256},
        outputs=(plan.engine_path,),
        facts={
            "target": target,
            "precision": chosen.precision,
            "differences": chosen.differences,
            "candidates": [asdict(each) for each in candidates.values()],
        },
        command=plan.command(STEP),
        duration_s=time.monotonic() - started,
    )
    record.write(plan.work_folder)
    return _result(plan, record)


def choose(candidates: list[Candidate]) -> Candidate:
    """Returns the smallest of those that are about as fast as the fastest and may serve.

    Args:
        candidates: At least one.

    Raises:
        PrecisionError: None may serve.
    """
    fit = [each for each in candidates if not each.refused]
    if not fit:
        raise PrecisionError({each.precision: each.refused for each in candidates})
    fastest = min(each.photo_ms for each in fit)
    return min((each for each in fit if each.photo_ms <= WORTH * fastest), key=lambda each: each.size_bytes)


def _time_in_turns(engines: list[Path], images: Images) -> dict[Path, float]:
    """Returns the median milliseconds of a photo by engine; each photo goes to all of them in turn."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    sessions = {
        path: onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"]) for path in engines
    }
    taken: dict[Path, list[float]] = {path: [] for path in engines}
    for spell in range(_TIMED_ROUNDS + 1):
        for image in images:
            for path, session in sessions.items():
                began = time.perf_counter()
                session.run(None, {"image": image[np.newaxis]})
                if spell > 0:
                    taken[path].append((time.perf_counter() - began) * 1e3)
    return {path: float(np.median(each)) for path, each in taken.items()}


def _measure(
    compiler: Compiler,
    path: Path,
    exported: Path,
    expected: Outputs,
    photos: HeldOutPhotos,
    images: Images,
    *,
    photo_ms: float,
) -> Candidate:
    converted = onnx_runner(path)
    seen = len(images) if compiler.tolerance is None else min(len(images), ROUNDED_PHOTOS)
    expected = {name: each[:seen] for name, each in expected.items()}
    found = in_batches(converted, images[:seen])
    agreement = {
        head: float((expected[head].argmax(axis=1) == found[head].argmax(axis=1)).mean())
        for head, labels in photos.labels.items()
        if labels.ndim == 1
    }
    differences = {name: float(np.abs(found[name] - each).max()) for name, each in expected.items()}
    losses: dict[str, Estimate] = {}
    refused = ""
    if compiler.tolerance is None:
        losses = losses_of(expected, found, photos)
        low = [
            f"{head} may lose {each.high:.1%} of its accuracy"
            for head, each in losses.items()
            if not each.high <= LARGEST_LOSS
        ]
        few = images[:ROUNDED_PHOTOS]
        own, kept = (told_from_negatives(run, few) for run in (onnx_runner(exported), converted))
        if not kept >= own - LARGEST_BLINDNESS:
            low.append(f"it tells photos from their negatives with an AUROC of {kept:.2f} in place of {own:.2f}")
        refused = "; ".join(low)
    else:
        try:
            few = images[:PARITY_PHOTOS]
            reference = onnx_runner(exported)
            check_parity(STEP, reference=reference, converted=converted, images=few, tolerance=compiler.tolerance)
        except ParityError as error:
            refused = error.cause
    return Candidate(compiler.precision, path.stat().st_size, photo_ms, agreement, losses, differences, refused)


def some_photos(photos: HeldOutPhotos) -> HeldOutPhotos:
    """Returns about `COMPARED_PHOTOS` of them, whole specimens, the same ones each time."""
    specimens = np.unique(photos.groups, return_inverse=True)[1]
    order = np.random.default_rng(_SEED).permutation(specimens.max() + 1)[specimens]
    last = np.sort(order)[:COMPARED_PHOTOS][-1]
    return photos.taken(order <= last)


def losses_of(expected: Outputs, found: Outputs, photos: HeldOutPhotos) -> dict[str, Estimate]:
    """Returns by head how much less often an engine is right than the exported model, photo by photo.

    Args:
        expected: Of the exported model, by output name, [photo_count, label_count] float32 logits.
        found: Of the engine.
        photos: With their labels; a head without any label has no loss to tell.
    """
    losses = {}
    for head, labels in photos.labels.items():
        known = labels >= 0 if labels.ndim == 1 else (labels >= 0).all(axis=1)
        if known.any():
            lost = _right(expected[head], labels) - _right(found[head], labels)
            losses[head] = share_of(lost[known], photos.groups[known])
    return losses


def told_from_negatives(run: Runner, images: Images) -> float:
    """Returns how well feature distances tell photos from their negatives, which nobody was trained on: an AUROC.

    Args:
        run: An engine.
        images: At least one photo.
    """
    usual, strange = (in_batches(run, each)[UNCERTAINTY][:, 0] for each in (images, np.invert(images)))
    is_strange = np.repeat([False, True], [len(usual), len(strange)])
    return float(roc_auc_score(is_strange, np.concatenate([usual, strange])))


def _right(logits: npt.NDArray[np.float32], labels: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Returns [photo_count] float64: whether a category is right, or the share of attributes that are."""
    if labels.ndim == 1:
        return np.equal(logits.argmax(axis=1), labels).astype(np.float64)
    right: npt.NDArray[np.float64] = ((logits > 0) == labels).mean(axis=1)
    return right


def read_engine(plan: TierPlan) -> CompiledEngine:
    """Reads what `compile_engine` left for this checkpoint.

    Raises:
        StepMissingError: It left nothing, or something else.
    """
    record = StepRecord.read(plan.work_folder, STEP, command=plan.command(STEP))
    record.require_input("exported", read_exported(plan).sha256, command=plan.command(STEP))
    return _result(plan, record)


def _result(plan: TierPlan, record: StepRecord) -> CompiledEngine:
    return CompiledEngine(
        path=plan.engine_path,
        sha256=record.outputs[plan.engine_path.name],
        precision=record.facts["precision"],
        target=record.facts["target"],
        size_bytes=plan.engine_path.stat().st_size,
        differences=record.facts["differences"],
        candidates=TypeAdapter(tuple[Candidate, ...]).validate_python(record.facts["candidates"]),
    )
