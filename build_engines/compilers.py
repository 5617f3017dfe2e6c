"""What makes engines for the CPU: one file into another, at one precision."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

Images = npt.NDArray[np.uint8]
"""[photo_count, size, size, 3] uint8. RGB."""

_KERNEL_DIMENSIONS = 4
"""Of the weights of a convolution."""

_CONVOLUTION, _PRODUCT = "Conv", "MatMul"
_BACKBONE = "network.backbone."
"""How the names of a served network's weights begin that belong to its backbone."""

_HIDDEN_WEIGHT = re.compile(r"network\.heads\.\w+\.hidden\.0\.weight")
"""Of the layer of a head that takes the embedding."""


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
    "Data-free quantization through weight equalization and bias correction", 2019).
    """

    precision: str = "int8"
    tolerance: float | None = None
    needs_ranges: bool = True

    def compile(self, exported: Path, engine: Path, images: Images) -> None:
        """Quantises the simplified graph with explicit Q and DQ nodes."""
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
            extra_options={"OpTypesToExcludeOutputQuantization": [_PRODUCT]},
        )
        _save(with_right_mean(onnx.load(engine), model, images), engine)
        simple.unlink()


def rounded_kinds(model: onnx.ModelProto) -> list[str]:
    """Returns the kinds of nodes that INT8 rounds.

    The sums of a network of tokens carry all that later layers read: they stay in float32.

    Args:
        model: Of an exported `training.model.ServedNetwork`.
    """
    return [_CONVOLUTION, _PRODUCT] if factors_of_tokens(model) else [_CONVOLUTION, "Add", "Relu"]


def factors_of_tokens(model: onnx.ModelProto) -> set[str]:
    """Returns the names of the weights with which the backbone multiplies its tokens; none if it has no tokens."""
    outside = set(float_nodes(model))
    weights = {each.name for each in model.graph.initializer}
    products = (node for node in model.graph.node if node.op_type == _PRODUCT and node.name not in outside)
    return {name for node in products for name in node.input if name in weights}


def float_nodes(model: onnx.ModelProto) -> list[str]:
    """Returns the names of the nodes that INT8 leaves alone.

    They are the first convolution, all behind the backbone, and products of two computed factors, as of queries with
    keys.

    Args:
        model: Of an exported `training.model.ServedNetwork`; its nodes are in topological order.
    """
    behind: set[str] = set()
    weights = {each.name for each in model.graph.initializer}
    first, *_ = (node.name for node in model.graph.node if node.op_type == _CONVOLUTION)
    names = [first]
    for node in model.graph.node:
        is_of_neck = node.op_type == _CONVOLUTION and not node.input[1].startswith(_BACKBONE)
        if is_of_neck or behind.intersection(node.input):
            behind.update(node.output)
            names.append(node.name)
        elif node.op_type == _PRODUCT and not weights.intersection(node.input):
            names.append(node.name)
    return names


def with_right_mean(rounded: onnx.ModelProto, exact: onnx.ModelProto, images: Images) -> onnx.ModelProto:
    """Shifts the embedding, which all heads take, so that it has the mean of the exact one.

    Args:
        rounded: Changed in place.
        exact: The same network, but for its rounding.
        images: Over which means are taken.
    """
    name = next(node.input[0] for node in rounded.graph.node if _HIDDEN_WEIGHT.fullmatch("".join(node.input[1:2])))
    lost = _mean(exact, name, images) - _mean(rounded, name, images)
    shift, shifted = f"{name}/shift", f"{name}/shifted"
    for node in rounded.graph.node:
        node.input[:] = [shifted if each == name else each for each in node.input]
    rounded.graph.initializer.append(numpy_helper.from_array(lost, shift))
    nodes = list(rounded.graph.node)
    place = next(place for place, node in enumerate(nodes) if name in node.output)
    nodes.insert(place + 1, helper.make_node("Add", [name, shift], [shifted], name=shifted))
    del rounded.graph.node[:]
    rounded.graph.node.extend(nodes)
    return rounded


def _mean(model: onnx.ModelProto, name: str, images: Images) -> npt.NDArray[np.float32]:
    """Returns [width] float32: the mean over photos of a tensor [batch, width]."""
    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    del watched.graph.output[:]
    watched.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
    session = onnxruntime.InferenceSession(watched.SerializeToString(), providers=["CPUExecutionProvider"])
    seen = [session.run([name], {"image": image[np.newaxis]})[0] for image in images]
    mean: npt.NDArray[np.float32] = np.concatenate(seen).mean(axis=0, dtype=np.float64).astype(np.float32)
    return mean


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
