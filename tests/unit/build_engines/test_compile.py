"""Which precision may serve, and which of those that may does."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import NodeProto, TensorProto, helper, numpy_helper
from small_build import outputs_without_triton
from small_dataset import SIZE_PX

from build_engines.cascade_solver import Estimate
from build_engines.checkpoint import HeldOutPhotos, read_held_out
from build_engines.compile import (
    COMPARED_PHOTOS,
    Candidate,
    CompiledEngine,
    choose,
    losses_of,
    some_photos,
    told_from_negatives,
)
from build_engines.compilers import EightBits, FullPrecision
from build_engines.errors import PrecisionError
from build_engines.export import export
from build_engines.parity import Runner, load_images, onnx_runner
from build_engines.plan import TierPlan
from build_engines.rounding import _seen, float_nodes, rounded_kinds, with_fused_products
from server.domain.framing import Framing

PLAIN = Candidate("fp32", 100, 10.0, {}, {}, {}, "")


@pytest.mark.parametrize(
    ("others", "chosen"),
    [
        ([replace(PLAIN, precision="halves", size_bytes=50, photo_ms=10.4)], "halves"),
        ([replace(PLAIN, precision="halves", size_bytes=50, photo_ms=11.0)], "fp32"),
        ([replace(PLAIN, precision="int8", size_bytes=200, photo_ms=5.0)], "int8"),
        ([replace(PLAIN, precision="int8", size_bytes=25, photo_ms=5.0, refused="kind agrees in 90 %")], "fp32"),
    ],
)
def test_the_fastest_that_may_serve_ships_or_a_smaller_one_about_as_fast(others: list[Candidate], chosen: str) -> None:
    """Speed first, then size, and never what answers otherwise."""
    assert choose([PLAIN, *others]).precision == chosen


def test_without_an_admissible_precision_all_reasons_are_named() -> None:
    """Nothing ships that answers otherwise than what was exported."""
    refused = [replace(PLAIN, refused="off by 3"), replace(PLAIN, precision="int8", refused="kind agrees in 90 %")]
    with pytest.raises(PrecisionError, match="fp32: off by 3; int8: kind agrees in 90 %"):
        choose(refused)


def test_an_engine_loses_what_it_is_less_often_right(plan: TierPlan, engine: CompiledEngine) -> None:
    """No loss against itself; all that was right is lost if each label is answered with its neighbour."""
    photos = read_held_out(plan.checkpoint, "val_calib")
    own = outputs_without_triton(plan, engine, photos).logits
    assert all(each == Estimate(0.0, 0.0, 0.0) for each in losses_of(own, own, photos).values())
    head = next(head for head, labels in photos.labels.items() if labels.ndim == 1)
    perfect = np.eye(own[head].shape[1], dtype=np.float32)[photos.labels[head]]
    wrong = np.roll(perfect, 1, axis=1)
    lost = losses_of({**own, head: perfect}, {**own, head: wrong}, photos)[head]
    assert (lost.mean, lost.low, lost.high) == (1.0, 1.0, 1.0)


def test_photos_are_drawn_by_specimen() -> None:
    """About so many photos, no specimen in part, and the same ones each time."""
    groups = np.repeat(np.arange(2_000), 2)
    paths = tuple(map(str, range(len(groups))))
    photos = HeldOutPhotos("val_select", "", paths, groups, {"kind": groups % 3}, {})  # type: ignore[arg-type]
    drawn = some_photos(photos)
    assert COMPARED_PHOTOS <= len(drawn.paths) <= COMPARED_PHOTOS + 1
    assert set(np.unique(drawn.groups, return_counts=True)[1]) == {2}
    assert some_photos(photos).paths == drawn.paths
    few = photos.taken(groups < 10)
    assert len(some_photos(few).paths) == len(few.paths)


def test_ends_of_a_network_stay_in_floats() -> None:
    """Its first convolution, and what comes behind the backbone, whichever map it starts from."""

    def convolution(name: str, of: str, weight: str) -> NodeProto:
        return helper.make_node("Conv", [of, weight], [name], name=name)

    nodes = [
        convolution("stem", "image", "network.backbone.stem.weight"),
        convolution("body", "stem", "network.backbone.body.weight"),
        helper.make_node("Add", ["stem", "body"], ["sum"], name="sum"),
        convolution("fine", "stem", "network.fine.weight"),
        convolution("coarse", "sum", "network.coarse.weight"),
        helper.make_node("Add", ["fine", "coarse"], ["fused"], name="fused"),
        helper.make_node("Relu", ["fused"], ["out"], name="out"),
        helper.make_node("ReduceMean", ["stem"], ["look"], name="look"),
        helper.make_node("MatMul", ["look", "network.density.whitening"], ["whitened"], name="whitened"),
    ]
    assert float_nodes(helper.make_model(helper.make_graph(nodes, "net", [], []))) == [
        "stem",
        "fine",
        "coarse",
        "fused",
        "out",
        "whitened",
    ]


@pytest.mark.parametrize(
    ("factor", "kinds"), [("network.backbone.qkv", ["Conv", "MatMul"]), ("keys", ["Conv", "Add", "Relu"])]
)
def test_products_with_weights_are_rounded_and_sums_of_tokens_are_not(factor: str, kinds: list[str]) -> None:
    """A network of tokens is known by them: one that multiplies only what it computed is none."""
    nodes = [
        helper.make_node("Conv", ["image", "network.backbone.stem.weight"], ["tokens"], name="stem"),
        helper.make_node("MatMul", ["tokens", factor], ["product"], name="product"),
        helper.make_node("Add", ["tokens", "product"], ["sum"], name="sum"),
        helper.make_node("Conv", ["sum", "network.coarse.weight"], ["coarse"], name="coarse"),
        helper.make_node("MatMul", ["coarse", "network.heads.kind.weight"], ["out"], name="out"),
    ]
    names = ("network.backbone.qkv", "network.heads.kind.weight")
    weights = [numpy_helper.from_array(np.ones((2, 2), np.float32), each) for each in names]
    assert rounded_kinds(helper.make_model(helper.make_graph(nodes, "net", [], [], weights))) == kinds


def test_rounding_leaves_the_mean_of_the_embedding(plan: TierPlan, tmp_path: Path) -> None:
    """What rounding does to the mean of what the heads take is put right, on the photos over which it was taken."""
    exported, simple, engine = export(plan).path, tmp_path / "simple.onnx", tmp_path / "engine.onnx"
    images = np.random.default_rng(0).integers(0, 256, (8, SIZE_PX, SIZE_PX, 3), dtype=np.uint8)
    FullPrecision().compile(exported, simple, images)
    EightBits().compile(exported, engine, images)
    exact, rounded = onnx.load(simple), onnx.load(engine)
    [shifted] = [node for node in rounded.graph.node if node.name.endswith("/shifted")]
    wanted = _seen(exact, shifted.input[0], images).mean(axis=0)
    before, after = (
        _seen(rounded, name, images).mean(axis=0) - wanted for name in (shifted.input[0], shifted.output[0])
    )
    assert np.abs(after).max() < 1e-5 < np.abs(before).max()
    assert all(shifted.input[0] not in node.input for node in rounded.graph.node if node != shifted)


def test_no_photo_is_strange_for_being_rounded(plan: TierPlan, tmp_path: Path) -> None:
    """The density knows what rounding does to looks: without it, usual photos would lie farther out."""
    exported, simple, engine = export(plan).path, tmp_path / "simple.onnx", tmp_path / "engine.onnx"
    some = read_held_out(plan.checkpoint, "val_calib").paths
    images = load_images(some, size_px=SIZE_PX, framing=Framing.CENTRE)
    FullPrecision().compile(exported, simple, images)
    EightBits().compile(exported, engine, images)
    untold = onnx.load(engine)
    told = {each.name: each for each in onnx.load(simple).graph.initializer}
    for each in untold.graph.initializer:
        if each.name.startswith("network.density."):
            each.CopyFrom(told[each.name])
    onnx.save(untold, tmp_path / "untold.onnx")
    exact, rounded, strange = (
        float(onnx_runner(path)(images)["uncertainty"][:, 0].mean())
        for path in (simple, engine, tmp_path / "untold.onnx")
    )
    assert rounded < exact + 0.1
    assert strange > rounded + 0.1


def test_an_engine_that_confuses_photos_with_negatives_is_found(plan: TierPlan, engine: CompiledEngine) -> None:
    """An engine to which all photos are alike tells nothing; one that finds negatives strange tells all."""
    images = load_images(read_held_out(plan.checkpoint, "val_calib").paths[:9], size_px=SIZE_PX, framing=Framing.CENTRE)

    def run(distance: Callable[[float], float]) -> Runner:
        return lambda photos: {"uncertainty": np.array([[distance(each.mean())] for each in photos], np.float32)}

    middle = float(np.mean([each.mean() for each in images]))
    assert told_from_negatives(run(lambda _: 1.0), images) == 0.5
    assert told_from_negatives(run(lambda brightness: abs(brightness - middle)), images) > 0.9
    assert told_from_negatives(onnx_runner(engine.path), images) > 0.9


def test_a_bias_is_added_within_its_product() -> None:
    """One node for each product of rounded factors; a sum that others also read stays; the answers are the same."""
    rng = np.random.default_rng(0)
    values = {
        "scale": np.float32(0.02),
        "zero": np.uint8(128),
        "weight": rng.integers(-60, 60, (6, 4)).astype(np.int8),
        "scales": rng.uniform(0.01, 0.03, 4).astype(np.float32),
        "zeros": np.zeros(4, np.int8),
        "bias": rng.normal(size=4).astype(np.float32),
        "rows": rng.normal(size=(3, 4)).astype(np.float32),
    }
    nodes = [
        helper.make_node("QuantizeLinear", ["given", "scale", "zero"], ["rounded"]),
        helper.make_node("DequantizeLinear", ["rounded", "scale", "zero"], ["tokens"]),
        helper.make_node("DequantizeLinear", ["weight", "scales", "zeros"], ["factor"], axis=1),
        helper.make_node("MatMul", ["tokens", "factor"], ["product"], name="first"),
        helper.make_node("Add", ["bias", "product"], ["biased"]),
        helper.make_node("MatMul", ["tokens", "factor"], ["shared"], name="second"),
        helper.make_node("Add", ["shared", "bias"], ["once"]),
        helper.make_node("Add", ["shared", "once"], ["twice"]),
        helper.make_node("MatMul", ["tokens", "factor"], ["bare"], name="third"),
        helper.make_node("Add", ["bare", "rows"], ["placed"]),
    ]
    names = ("biased", "twice", "placed")
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("given", TensorProto.FLOAT, (3, 6))],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, (3, 4)) for name in names],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in values.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)

    def answers() -> list[np.ndarray[tuple[int, ...], np.dtype[np.float32]]]:
        session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        found: list[np.ndarray[tuple[int, ...], np.dtype[np.float32]]] = session.run(
            names, {"given": np.random.default_rng(1).normal(size=(3, 6)).astype(np.float32)}
        )
        return found

    before = answers()
    kinds = [node.op_type for node in with_fused_products(model).graph.node]
    assert kinds == ["QuantizeLinear", *["MatMulIntegerToFloat"] * 2, "Add", "Add", "MatMulIntegerToFloat", "Add"]
    for found, wanted in zip(answers(), before, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)
