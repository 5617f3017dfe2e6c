"""Rounding to eight bits: what it leaves alone in a network, and what is done with the rounded one."""

import re
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from sklearn.covariance import ledoit_wolf

from build_engines.parity import Images

PRODUCT = "MatMul"
_CONVOLUTION, _EXPANDED = "Conv", "DequantizeLinear"
_BACKBONE = "network.backbone."
"""How the names of a served network's weights begin that belong to its backbone."""

_DENSITY = "network.density."
"""The same of its feature density."""

_HIDDEN_WEIGHT = re.compile(r"network\.heads\.\w+\.hidden\.0\.weight")
"""Of the layer of a head that takes the embedding."""

_RUNTIME_DOMAIN = "com.microsoft"
"""Of the operators that onnxruntime adds to the standard ones."""


def rounded_kinds(model: onnx.ModelProto) -> list[str]:
    """Returns the kinds of nodes that INT8 rounds.

    The sums of a network of tokens carry all that later layers read: they stay in float32.

    Args:
        model: Of an exported `training.model.ServedNetwork`.
    """
    return [_CONVOLUTION, PRODUCT] if factors_of_tokens(model) else [_CONVOLUTION, "Add", "Relu"]


def factors_of_tokens(model: onnx.ModelProto) -> set[str]:
    """Returns the names of the weights with which the backbone multiplies its tokens; none if it has no tokens."""
    outside = set(float_nodes(model))
    weights = {each.name for each in model.graph.initializer}
    products = (node for node in model.graph.node if node.op_type == PRODUCT and node.name not in outside)
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
        if _begins_behind_backbone(node) or behind.intersection(node.input):
            behind.update(node.output)
            names.append(node.name)
        elif node.op_type == PRODUCT and not weights.intersection(node.input):
            names.append(node.name)
    return names


def _begins_behind_backbone(node: onnx.NodeProto) -> bool:
    """Returns whether it is a convolution that fuses the backbone's maps, or the product that whitens a look."""
    if node.op_type == _CONVOLUTION:
        return not node.input[1].startswith(_BACKBONE)
    return node.op_type == PRODUCT and node.input[1].startswith(_DENSITY)


def with_right_mean(rounded: onnx.ModelProto, exact: onnx.ModelProto, images: Images) -> onnx.ModelProto:
    """Shifts the embedding, which all heads take, so that it has the mean of the exact one.

    Args:
        rounded: Changed in place.
        exact: The same network, but for its rounding.
        images: Over which means are taken.
    """
    name = next(node.input[0] for node in rounded.graph.node if _HIDDEN_WEIGHT.fullmatch("".join(node.input[1:2])))
    lost = (_seen(exact, name, images) - _seen(rounded, name, images)).mean(axis=0, dtype=np.float64).astype(np.float32)
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


def with_rounded_density(rounded: onnx.ModelProto, exact: onnx.ModelProto, images: Images) -> onnx.ModelProto:
    """Tells the feature density how rounding changes a photo's look, so that no photo is strange for being rounded.

    Rounding moves looks by little, but also in directions in which photos hardly differ, where a little is far. Its
    mean is added to that of each class, and its covariance (shrunk as Ledoit and Wolf do) to theirs.

    Args:
        rounded: Changed in place.
        exact: The same network, but for its rounding.
        images: Photos from which both are taken.
    """
    names = (f"{_DENSITY}whitening", f"{_DENSITY}class_means")
    look = next(node.input[0] for node in exact.graph.node if names[0] in node.input)
    errors = _seen(rounded, look, images).astype(np.float64) - _seen(exact, look, images)
    shift = errors.mean(axis=0)
    noise, _ = ledoit_wolf(errors - shift, assume_centered=True)
    weights = {each.name: each for each in exact.graph.initializer}
    whitening, means = (numpy_helper.to_array(weights[name]).astype(np.float64) for name in names)
    coloured = np.linalg.inv(whitening)
    values, vectors = np.linalg.eigh(coloured.T @ coloured + noise)
    told = vectors / np.sqrt(values)
    fitted = dict(zip(names, (told, (means @ coloured + shift) @ told), strict=True))
    for each in rounded.graph.initializer:
        if each.name in fitted:
            each.CopyFrom(numpy_helper.from_array(fitted[each.name].astype(np.float32), each.name))
    return rounded


def with_fused_products(rounded: onnx.ModelProto) -> onnx.ModelProto:
    """Makes one node of each product of rounded factors and the bias that is added to it.

    By itself onnxruntime makes a node of the product alone, and goes over what it gave once more for the bias.

    Args:
        rounded: Changed in place. Quantised with explicit Q and DQ nodes.
    """
    graph = rounded.graph
    makers = {name: node for node in graph.node for name in node.output}
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    vectors = {each.name for each in graph.initializer if len(each.dims) == 1}
    nodes: dict[str, onnx.NodeProto] = {}
    for node in graph.node:
        factors = [makers[name] for name in node.input if name in makers and makers[name].op_type == _EXPANDED]
        if node.op_type == PRODUCT and len(factors) == len(node.input):
            output, bias = _biased(node.output[0], readers, vectors)
            # The rounded factors, their scales, their zero points.
            inputs = [name for names in zip(*(each.input for each in factors), strict=True) for name in names]
            nodes[output] = helper.make_node(
                "MatMulIntegerToFloat", [*inputs, *bias], [output], name=node.name, domain=_RUNTIME_DOMAIN
            )
        else:
            # A sum that is part of a product comes behind it.
            nodes.setdefault(node.output[0], node)
    used = {name for node in nodes.values() for name in node.input}
    del graph.node[:]
    graph.node.extend(node for name, node in nodes.items() if node.op_type != _EXPANDED or name in used)
    rounded.opset_import.append(helper.make_opsetid(_RUNTIME_DOMAIN, 1))
    return rounded


def _biased(product: str, readers: Mapping[str, Sequence[onnx.NodeProto]], vectors: set[str]) -> tuple[str, list[str]]:
    """Returns what a product is called with the bias that alone is added to it, and that bias, if there is one."""
    match readers.get(product, ()):
        case [onnx.NodeProto(op_type="Add", input=terms, output=[total])]:
            bias = [name for name in terms if name in vectors]
            return (total, bias) if bias else (product, [])
    return product, []


def _seen(model: onnx.ModelProto, name: str, images: Images) -> npt.NDArray[np.float32]:
    """Returns [photo_count, width] float32: what a tensor [batch, width] is, photo by photo."""
    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    del watched.graph.output[:]
    watched.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
    session = onnxruntime.InferenceSession(watched.SerializeToString(), providers=["CPUExecutionProvider"])
    seen: npt.NDArray[np.float32] = np.concatenate(
        [session.run([name], {"image": image[np.newaxis]})[0] for image in images]
    )
    return seen
