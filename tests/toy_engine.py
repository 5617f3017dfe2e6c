"""A small engine with the outputs that every engine has, and a photo for it: made in milliseconds, without torch."""

import io
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from server.domain.release import EngineRef
from server.domain.task import Task
from server.triton.repository import TierModelSpec

SIZE_PX = 64
GRID = (4, 4)
_CHANNELS = 8


def toy_photo(width: int = 320, height: int = 240, *, seed: int = 0, photo_format: str = "JPEG") -> bytes:
    """Returns the encoded bytes of a photo-like picture; another seed gives another picture."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC).save(buffer, photo_format)
    return buffer.getvalue()


def toy_spec(task: Task, engine_path: Path, *, model: str = "bread_r1_fast") -> TierModelSpec:
    """Returns the tier that serves an engine written by `write_toy_engine`."""
    heads = tuple((head.id, len(head.labels)) for head in task.heads)
    return TierModelSpec(model, SIZE_PX, heads, GRID, engine_path, gives_pixels=True)


def toy_ref(spec: TierModelSpec) -> EngineRef:
    """Returns what the gateway knows of a tier's engine."""
    return EngineRef(spec.model, "fp32", "a" * 64, spec.engine_path.name, SIZE_PX, GRID, spec.gives_pixels)


def write_toy_engine(path: Path, task: Task, *, seed: int = 0) -> Path:
    """Writes an ONNX engine: normalisation, a convolution, pooling, linear heads, uncertainty, attention.

    Args:
        path: Where to.
        task: Its heads become outputs.
        seed: Another seed gives other weights, hence other answers.
    """
    random = np.random.default_rng(seed)
    nodes, weights, outputs = [], [], []

    def constant(name: str, values: npt.ArrayLike) -> str:
        weights.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def output(name: str, *shape: int) -> str:
        outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *shape]))
        return name

    def node(kind: str, inputs: list[str], result: str, **attributes: object) -> str:
        nodes.append(helper.make_node(kind, inputs, [result], **attributes))
        return result

    floats = node("Cast", ["image"], "floats", to=TensorProto.FLOAT)
    centred = node("Sub", [floats, constant("mean", np.float32([124, 116, 104]))], "centred")
    scaled = node("Div", [centred, constant("deviation", np.float32([58, 57, 57]))], "scaled")
    planes = node("Transpose", [scaled], "planes", perm=[0, 3, 1, 2])
    kernel = constant("kernel", random.normal(0, 0.1, (_CHANNELS, 3, 8, 8)).astype(np.float32))
    features = node("Relu", [node("Conv", [planes, kernel], "convolved", strides=[8, 8])], "features")
    pooled = node("Flatten", [node("GlobalAveragePool", [features], "averaged")], "pooled")
    for name, width in [*((head.id, len(head.labels)) for head in task.heads), ("uncertainty", 2)]:
        matrix = constant(f"{name}_weights", random.normal(0, 2, (_CHANNELS, width)).astype(np.float32))
        node("MatMul", [pooled, matrix], output(name, width))
    coarse = node("AveragePool", [features], "coarse", kernel_shape=[2, 2], strides=[2, 2])
    mean = node("ReduceMean", [coarse, constant("axes", np.int64([1]))], "mean_feature", keepdims=0)
    node("Sigmoid", [mean], output("attention_map", *GRID))

    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", SIZE_PX, SIZE_PX, 3])
    graph = helper.make_graph(nodes, "toy", [image], outputs, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)
    return path
