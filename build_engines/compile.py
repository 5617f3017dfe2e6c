"""Step `compile`: the exported ONNX file becomes the engine that will serve on a target.

A compiler turns one file into another at one precision. Which precision ships is a matter of
measurement and gates, later; here it is only reached.
"""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import onnx
import onnxruntime

from build_engines.checkpoint import read_held_out
from build_engines.export import PARITY_PHOTOS, read_exported
from build_engines.parity import check_parity, load_images, onnx_runner
from build_engines.plan import BuildPlan
from build_engines.step_record import StepRecord

STEP = "compile"


class Compiler(Protocol):
    """Makes an engine for one target at one precision."""

    @property
    def precision(self) -> str:
        """What it reaches, e.g. `fp32`."""
        ...

    @property
    def tolerance(self) -> float:
        """How far the engine may be off the exported model, absolute plus relative."""
        ...

    def compile(self, exported: Path, engine: Path) -> None:
        """Writes the engine's file.

        Args:
            exported: The ONNX file to compile.
            engine: The file to write.
        """
        ...


@dataclass(frozen=True, slots=True)
class CpuCompiler:
    """ONNX at full precision, simplified for any CPU: constants folded, normalisations merged into weights."""

    precision: str = "fp32"
    tolerance: float = 1e-3

    def compile(self, exported: Path, engine: Path) -> None:
        """Optimises the graph with onnxruntime, up to what does not depend on this machine."""
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = str(engine)
        onnxruntime.InferenceSession(str(exported), options, providers=["CPUExecutionProvider"])
        model = onnx.load(engine)
        used = {node.domain for node in model.graph.node}
        # onnxruntime declares every operator set that it knows; an older server would refuse those it does not.
        kept = [each for each in model.opset_import if each.domain in used or not each.domain]
        del model.opset_import[:]
        model.opset_import.extend(kept)
        onnx.checker.check_model(model)
        onnx.save(model, engine)


COMPILERS: dict[str, Compiler] = {"cpu": CpuCompiler()}
"""By target. TensorRT plans and INT8 join here when they are measured and pass the gates."""


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
    """

    path: Path
    sha256: str
    precision: str
    target: str
    size_bytes: int
    differences: dict[str, float]


def compile_engine(plan: BuildPlan, *, target: str = "cpu") -> CompiledEngine:
    """Compiles what `export` left.

    Args:
        plan: What is being built.
        target: A key of `COMPILERS`.

    Raises:
        StepMissingError: Nothing was exported from this checkpoint.
        ParityError: The engine answers otherwise.
    """
    started = time.monotonic()
    exported, compiler = read_exported(plan), COMPILERS[target]
    compiler.compile(exported.path, plan.engine_path)
    photos = read_held_out(plan.checkpoint, "val_calib", data_folder=plan.data_folder).paths[:PARITY_PHOTOS]
    differences = check_parity(
        STEP,
        reference=onnx_runner(exported.path),
        converted=onnx_runner(plan.engine_path),
        images=load_images(photos, size_px=plan.checkpoint.file.network.input_size_px),
        tolerance=compiler.tolerance,
    )
    record = StepRecord.make(
        STEP,
        inputs={"exported": exported.sha256},
        outputs=(plan.engine_path,),
        facts={"precision": compiler.precision, "target": target, "differences": differences},
        command=plan.command(STEP),
        duration_s=time.monotonic() - started,
    )
    record.write(plan.work_folder)
    return _result(plan, record)


def read_engine(plan: BuildPlan) -> CompiledEngine:
    """Reads what `compile_engine` left for this checkpoint.

    Raises:
        StepMissingError: It left nothing, or something else.
    """
    record = StepRecord.read(plan.work_folder, STEP, command=plan.command(STEP))
    record.require_input("exported", read_exported(plan).sha256, command=plan.command(STEP))
    return _result(plan, record)


def _result(plan: BuildPlan, record: StepRecord) -> CompiledEngine:
    return CompiledEngine(
        path=plan.engine_path,
        sha256=record.outputs[plan.engine_path.name],
        precision=record.facts["precision"],
        target=record.facts["target"],
        size_bytes=plan.engine_path.stat().st_size,
        differences=record.facts["differences"],
    )
