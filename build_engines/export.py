"""Step `export`: the traced network becomes an ONNX file, uint8 photos in, one output a head out, any batch size."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import torch

from build_engines.checkpoint import PROGRAM_NAME, read_held_out
from build_engines.parity import Outputs, Runner, check_parity, load_images, onnx_runner
from build_engines.plan import TierPlan
from build_engines.step_record import StepRecord

STEP = "export"
TOLERANCE = 1e-3
PARITY_PHOTOS = 32

_OPSET = 20
"""The first that says GELU in one word; understood by onnxruntime from 1.17 on, of January 2024."""


@dataclass(frozen=True, slots=True)
class ExportedModel:
    """The network as ONNX, at full precision and not optimised.

    Attributes:
        path: The file.
        sha256: Of the file.
        differences: By output name, the largest difference from the network.
    """

    path: Path
    sha256: str
    differences: dict[str, float]


def export(plan: TierPlan) -> ExportedModel:
    """Exports the checkpoint's program and proves that both answer alike.

    Raises:
        ParityError: They do not.
    """
    started = time.monotonic()
    checkpoint = plan.checkpoint
    program = torch.export.load(checkpoint.folder / PROGRAM_NAME)
    plan.work_folder.mkdir(parents=True, exist_ok=True)
    onnx.save(to_onnx(program, checkpoint.output_names), plan.exported_path)
    photos = read_held_out(checkpoint, "val_calib", data_folder=plan.data_folder).paths[:PARITY_PHOTOS]
    network = checkpoint.file.network
    differences = check_parity(
        STEP,
        reference=_program_runner(program, checkpoint.output_names),
        converted=onnx_runner(plan.exported_path),
        images=load_images(photos, size_px=network.input_size_px, framing=network.framing),
        tolerance=TOLERANCE,
    )
    record = StepRecord.make(
        STEP,
        inputs={"checkpoint": checkpoint.sha256},
        outputs=(plan.exported_path,),
        facts={"opset": _OPSET, "differences": differences, "parity_photos": len(photos)},
        command=plan.command(STEP),
        duration_s=time.monotonic() - started,
    )
    record.write(plan.work_folder)
    return _result(plan, record)


def to_onnx(program: torch.export.ExportedProgram, output_names: Sequence[str]) -> onnx.ModelProto:
    """Returns a traced `training.model.ServedNetwork` in the format that all engines are compiled from.

    Args:
        program: The trace.
        output_names: In its order.
    """
    converted = torch.onnx.export(
        program,
        input_names=["image"],
        output_names=list(output_names),
        opset_version=_OPSET,
        dynamo=True,
        verbose=False,
    )
    if converted is None:
        raise TypeError("torch.onnx.export returned no program; its dynamo exporter always does")
    return _with_plain_names(converted.model_proto)


def read_exported(plan: TierPlan) -> ExportedModel:
    """Reads what `export` left for this checkpoint.

    Raises:
        StepMissingError: It left nothing, or something else.
    """
    record = StepRecord.read(plan.work_folder, STEP, command=plan.command(STEP))
    record.require_input("checkpoint", plan.checkpoint.sha256, command=plan.command(STEP))
    return _result(plan, record)


def _result(plan: TierPlan, record: StepRecord) -> ExportedModel:
    return ExportedModel(plan.exported_path, record.outputs[plan.exported_path.name], record.facts["differences"])


def _with_plain_names(model: onnx.ModelProto) -> onnx.ModelProto:
    """Calls the free dimension `batch`, and drops what only the exporter wanted to know."""
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    # The stubs of onnx know no metadata on the graph's own parts.
    parts: tuple[Any, ...] = (model, model.graph, *model.graph.node, *model.graph.input, *model.graph.output)
    for part in parts:
        del part.metadata_props[:]
    del model.graph.value_info[:]
    onnx.checker.check_model(model, full_check=True)
    return model


def _program_runner(program: torch.export.ExportedProgram, names: tuple[str, ...]) -> Runner:
    module = program.module()

    def run(images: npt.NDArray[np.uint8]) -> Outputs:
        with torch.no_grad():
            outputs = module(torch.from_numpy(images))
        return {name: output.numpy() for name, output in zip(names, outputs, strict=True)}

    return run
