"""What makes engines for the CPU: one file into another, at one precision."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from build_engines.parity import Images
from build_engines.rounding import (
    PRODUCT,
    factors_of_tokens,
    float_nodes,
    rounded_kinds,
    with_fused_products,
    with_right_mean,
    with_rounded_density,
)

_KERNEL_DIMENSIONS = 4
"""Of the weights of a convolution."""


class Compiler(Protocol):
    """Makes an engine for one target at one precision."""

    @property
    def precision(self) -> str:
        """What it reaches, e.g. `fp32`."""
        ...

    @property
    def tolerance(self) -> float | None:
        """How far the engine may be off the exported model, absolute plus relative; None: by its labels only."""
        ...

    @property
    def needs_ranges(self) -> bool:
        """Whether it looks at photos; without any it cannot be tried."""
        ...

    def compile(self, exported: Path, engine: Path, images: Images) -> None:
        """Writes the engine's file.

        Args:
            exported: The ONNX file to compile.
            engine: The file to write.
            images: Photos that the network was trained on, for the ranges of its numbers; some if it needs any.
        """
        ...


@dataclass(frozen=True, slots=True)
class FullPrecision:
    """Float32 throughout, simplified for any CPU: constants folded, normalisations merged into weights."""

    precision: str = "fp32"
    tolerance: float | None = 1e-3
    needs_ranges: bool = False

    def compile(self, exported: Path, engine: Path, images: Images) -> None:  # noqa: ARG002 -- see Compiler
        """Optimises the graph with onnxruntime, up to what does not depend on this machine."""
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = str(engine)
        onnxruntime.InferenceSession(str(exported), options, providers=["CPUExecutionProvider"])
        _save(onnx.load(engine), engine)


@dataclass(frozen=True, slots=True)
class HalfWeights:
    """Float32 arithmetic on weights that lie in the file as float16: half the size, turned back once, on loading.

    These are the kernels of convolutions, and what a backbone multiplies its tokens with. All others stay as they are:
    they weigh little, and the inverse covariance of the feature density is worth its digits.
    """

    precision: str = "fp32, weights fp16"
    tolerance: float | None = 0.05
    needs_ranges: bool = False

    def compile(self, exported: Path, engine: Path, images: Images) -> None:
        """Stores the weights of the simplified graph in halves; the runtime folds each cast when it loads the file."""
        FullPrecision().compile(exported, engine, images)
        model = onnx.load(engine)
        factors = factors_of_tokens(model)
        kept, casts = [], []
        for weight in model.graph.initializer:
            values = numpy_helper.to_array(weight)
            is_heavy = values.ndim == _KERNEL_DIMENSIONS or weight.name in factors
            if weight.data_type != TensorProto.FLOAT or not is_heavy:
                kept.append(weight)
                continue
            half = f"{weight.name}/half"
            kept.append(numpy_helper.from_array(values.astype(np.float16), half))
            casts.append(helper.make_node("Cast", [half], [weight.name], name=half, to=TensorProto.FLOAT))
        nodes = list(model.graph.node)
        del model.graph.initializer[:], model.graph.node[:]
        model.graph.initializer.extend(kept)
        model.graph.node.extend([*casts, *nodes])
        _save(model, engine)


@dataclass(frozen=True, slots=True)
class EightBits:
    """INT8 convolutions of the backbone, or the products of its tokens with weights; ranges from training photos.

    Ranges are fixed here, and not taken anew from each batch, as is often done with tokens: a photo's answer would
    depend on its neighbours. Weights have a range per channel. The backbone's first convolution, and all that comes
    behind the backbone, stay in float32: they are a small part of the work and a large part of the error. The mean of
    the embedding, which rounding has shifted, is put right (in the spirit of the bias correction of Nagel et al.,
    "Data-free quantization through weight equalization and bias correction", 2019), and the feature density is told how
    rounding changes a photo's look.
    """

    precision: str = "int8"
    tolerance: float | None = None
    needs_ranges: bool = True

    def compile(self, exported: Path, engine: Path, images: Images) -> None:
        """Quantises the simplified graph with explicit Q and DQ nodes; products of tokens become one node each."""
        simple = engine.with_suffix(".simple.onnx")
        FullPrecision().compile(exported, simple, images)
        model = onnx.load(simple)
        quantize_static(
            simple,
            engine,
            _Photos(images),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=rounded_kinds(model),
            per_channel=True,
            # Weights of seven bits: processors without VNNI add two products in 16 bits, which eight would overflow.
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=float_nodes(model),
            # Nobody behind a product would compute with its rounded result: it stays as it is, which is also faster.
            extra_options={"OpTypesToExcludeOutputQuantization": [PRODUCT]},
        )
        rounded = with_right_mean(onnx.load(engine), model, images)
        _save(with_fused_products(with_rounded_density(rounded, model, images)), engine)
        simple.unlink()


# onnxruntime has no types.
class _Photos(CalibrationDataReader):  # type: ignore[misc]
    """Feeds photos one by one."""

    def __init__(self, images: Images) -> None:
        self._rest = iter(images)

    def get_next(self) -> Mapping[str, Any] | None:
        """Returns the next photo, or None behind the last."""
        image = next(self._rest, None)
        return None if image is None else {"image": image[np.newaxis]}


COMPILERS: dict[str, tuple[Compiler, ...]] = {"cpu": (FullPrecision(), HalfWeights(), EightBits())}
"""By target, the candidates, the most exact first."""


def _save(model: onnx.ModelProto, path: Path) -> None:
    used = {node.domain for node in model.graph.node}
    # onnxruntime declares every operator set that it knows; an older server would refuse those it does not.
    kept = [each for each in model.opset_import if each.domain in used or not each.domain]
    del model.opset_import[:]
    model.opset_import.extend(kept)
    onnx.checker.check_model(model)
    onnx.save(model, path)
