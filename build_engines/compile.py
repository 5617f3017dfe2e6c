"""Step `compile`: the exported ONNX file becomes the engine that will serve on a target.

Which precision ships is a matter of measurement: every candidate is compiled, compared with the exported model on
photos, and timed in turns with the others. The fastest that answers alike is taken; what is hardly slower, and smaller,
goes before it. Whether its confidences are honest is asked later, of the very engine that was chosen.
"""

import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import onnxruntime
from scipy.stats import spearmanr

from build_engines.checkpoint import read_held_out, read_range_photos
from build_engines.compilers import COMPILERS, Compiler, Images
from build_engines.errors import ParityError, PrecisionError
from build_engines.export import PARITY_PHOTOS, read_exported
from build_engines.parity import check_parity, in_batches, load_images, onnx_runner
from build_engines.plan import TierPlan
from build_engines.step_record import StepRecord
from server.triton.tier_models import UNCERTAINTY

STEP = "compile"
LEAST_AGREEMENT = 0.98
"""Of the labels of a decision head with those of the exported model, for an engine that is not compared by numbers."""
AGREEMENT_PHOTOS = 256
LEAST_RANK_CORRELATION = 0.95
"""Of the feature distances with those of the exported model: what looks strange must look strange to the engine too."""
WORTH = 1.05
"""An engine must be so much faster than a smaller one to go before it."""
_TIMED_PHOTOS, _TIMED_ROUNDS = 8, 7


@dataclass(frozen=True, slots=True)
class Candidate:
    """An engine at one precision, measured.

    Attributes:
        precision: What was reached.
        size_bytes: Of the file.
        photo_ms: Median milliseconds of one photo on one thread, by itself; only comparable within one run.
        agreement: By decision head, the share of photos with the exported model's label.
        differences: By output name, the largest difference from the exported model.
        refused: Why it may not serve; empty if it may.
    """

    precision: str
    size_bytes: int
    photo_ms: float
    agreement: dict[str, float]
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
    exported, size_px = read_exported(plan), plan.checkpoint.file.network.input_size_px
    held_out = read_held_out(plan.checkpoint, "val_calib", data_folder=plan.data_folder).paths
    images = load_images(held_out[:AGREEMENT_PHOTOS], size_px=size_px)
    range_photos = read_range_photos(plan.checkpoint, data_folder=plan.data_folder)
    ranges = load_images(range_photos, size_px=size_px) if range_photos else images[:0]
    tried = [each for each in COMPILERS[target] if range_photos or not each.needs_ranges]
    compilers = {plan.work_folder / f"candidate_{place}.onnx": each for place, each in enumerate(tried)}
    for path, compiler in compilers.items():
        compiler.compile(exported.path, path, ranges)
    times = _time_in_turns(list(compilers), images[:_TIMED_PHOTOS])
    candidates = {
        path: _measure(plan, compiler, path, exported.path, images, photo_ms=times[path])
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
    plan: TierPlan, compiler: Compiler, path: Path, exported: Path, images: Images, *, photo_ms: float
) -> Candidate:
    reference, converted = onnx_runner(exported), onnx_runner(path)
    expected, found = in_batches(reference, images), in_batches(converted, images)
    agreement = {
        head: float((expected[head].argmax(axis=1) == found[head].argmax(axis=1)).mean())
        for head in plan.checkpoint.task.decision_heads
    }
    differences = {name: float(np.abs(found[name] - each).max()) for name, each in expected.items()}
    refused = ""
    if compiler.tolerance is None:
        low = [f"{head} agrees in {share:.1%}" for head, share in agreement.items() if share < LEAST_AGREEMENT]
        alike = float(spearmanr(expected[UNCERTAINTY][:, 0], found[UNCERTAINTY][:, 0]).statistic)
        if not alike >= LEAST_RANK_CORRELATION:
            low.append(f"feature distances are ordered otherwise (rank correlation {alike:.2f})")
        refused = "; ".join(low)
    else:
        try:
            few = images[:PARITY_PHOTOS]
            check_parity(STEP, reference=reference, converted=converted, images=few, tolerance=compiler.tolerance)
        except ParityError as error:
            refused = error.cause
    return Candidate(compiler.precision, path.stat().st_size, photo_ms, agreement, differences, refused)


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
        candidates=tuple(Candidate(**each) for each in record.facts["candidates"]),
    )
