"""Backbones of all kinds: those that give maps and those that give tokens build, learn and export."""

import copy
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from pydantic import ValidationError
from small_dataset import small_task
from torch.nn.functional import interpolate

from build_engines.export import to_onnx
from training.backbone import UnknownBackboneError, UnsuitableBackboneError
from training.checkpoint import build_network, save_program
from training.loss import MultiHeadLoss
from training.model import InspectionNetwork, ServedNetwork
from training.recipe import LossSection, NetworkSection
from training.task_file import TASKS_FOLDER, load_task_file

TASK = small_task().to_domain()
PRODUCTION = [
    ("mobilenetv3_large_100", 224),
    ("vit_tiny_patch16_384", 384),
    ("tf_efficientnetv2_l", 448),
    ("mobilenetv2_100", 224),
    ("resnet50", 224),
    ("efficientnet_b0", 224),
    ("vit_tiny_patch16_224", 224),
    ("vit_small_patch16_224", 224),
    ("swin_tiny_patch4_window7_224", 224),
]


def network(backbone: str, size_px: int, **changes: object) -> InspectionNetwork:
    """A network with narrow heads."""
    fields = {"backbone": backbone, "input_size_px": size_px, "feature_width": 16, "head_width": 8, **changes}
    torch.manual_seed(0)
    return build_network(NetworkSection.model_validate(fields), TASK)


def photos(count: int, size_px: int) -> torch.Tensor:
    """Noise."""
    return torch.randint(
        0, 256, (count, size_px, size_px, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )


def step(trained: InspectionNetwork, size_px: int) -> float:
    """Trains one step on two photos; returns the loss."""
    loss = MultiHeadLoss(LossSection(head_weights={}), {head.id: head.kind for head in TASK.heads})
    labels = {
        "product_type": torch.tensor([0, 1]),
        "quality_grade": torch.tensor([0, 1]),
        "attributes": torch.zeros(2, 10),
    }
    optimiser = torch.optim.AdamW(trained.parameters(), lr=1e-3)
    total = loss(trained.train()(photos(2, size_px)).heads, labels).total
    total.backward()
    optimiser.step()
    return float(total)


def settle(trained: InspectionNetwork, size_px: int) -> None:
    """Takes the statistics of batch norm from a few photos.

    After one step a deep network's are still noughts and ones, and its answers run into the billions.
    """
    for module in trained.modules():
        if isinstance(module, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        trained.train()(photos(4, size_px))


def exported(trained: InspectionNetwork, folder: Path) -> dict[str, np.ndarray[tuple[int, ...], np.dtype[np.float32]]]:
    """Traces, converts to ONNX as the builder does, and returns what onnxruntime answers to three photos."""
    save_program(trained, folder / "program.pt2")
    names = list(ServedNetwork(trained).output_names)
    onnx.save(to_onnx(torch.export.load(folder / "program.pt2"), names), folder / "model.onnx")
    session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    image = photos(3, trained.section.input_size_px).numpy()
    return dict(zip(names, session.run(names, {"image": image}), strict=True))


def require_parity(trained: InspectionNetwork, folder: Path) -> None:
    """The exported network answers as the trained one."""
    answers = exported(trained.eval(), folder)
    with torch.no_grad():
        own = ServedNetwork(trained)(photos(3, trained.section.input_size_px))
    for (name, answer), mine in zip(answers.items(), own, strict=True):
        assert np.allclose(answer, mine.numpy(), atol=2e-3), name


@pytest.mark.parametrize(("backbone", "grid"), [("test_vit", 4), ("swin_tiny_patch4_window7_224", 4)])
def test_backbones_of_tokens_give_maps(backbone: str, grid: int) -> None:
    """They are built for the served size, whatever timm's own is, and smaller photos of early epochs pass as well."""
    trained = network(backbone, 64).eval()
    with torch.no_grad():
        assert trained(photos(2, 64)).attention.shape == (2, grid, grid)
        assert trained(photos(2, 32)).attention.shape == (2, grid // 2, grid // 2)


def test_no_attention_is_left_denormal() -> None:
    """What a shifted window hides has no weight at all, in training and in a copy: denormal weights cost time."""
    seen: list[torch.Tensor] = []

    def look(
        _block: torch.nn.Module, _inputs: tuple[torch.Tensor, ...], options: dict[str, torch.Tensor | None]
    ) -> None:
        mask = options["mask"]
        if mask is not None:
            seen.append(mask.exp())

    trained = copy.deepcopy(network("swin_tiny_patch4_window7_224", 224)).eval()
    for name, module in trained.named_modules():
        if name.endswith(".attn"):
            module.register_forward_pre_hook(look, with_kwargs=True)
    with torch.no_grad():
        trained(photos(1, 224))
    # The last stage is one window wide, and shifts none.
    assert len(seen) == 5
    for weights in seen:
        assert set(weights.unique().tolist()) == {0.0, 1.0}


def test_what_is_trained_is_what_is_traced(tmp_path: Path) -> None:
    """After a step a small network of tokens answers like its traced program, to any number of photos."""
    trained = network("test_vit", 64)
    assert np.isfinite(step(trained, 64))
    assert save_program(trained.eval(), tmp_path / "program.pt2") == (4, 4)
    with torch.no_grad():
        own = ServedNetwork(trained)(photos(3, 64))
        traced = torch.export.load(tmp_path / "program.pt2").module()(photos(3, 64))
    for mine, other in zip(own, traced, strict=True):
        assert torch.allclose(mine, other, atol=1e-4)


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("backbone", "size_px"), PRODUCTION)
def test_production_networks_learn_and_export_at_their_size(backbone: str, size_px: int, tmp_path: Path) -> None:
    """Without published weights: one step on two photos, the traced program, and the same answers in onnxruntime."""
    trained = network(backbone, size_px)
    assert np.isfinite(step(trained, size_px))
    settle(trained, size_px)
    require_parity(trained, tmp_path)


def test_every_production_variant_is_among_them() -> None:
    """No task file asks for a network that nobody tried."""
    tasks = [load_task_file(path.stem) for path in TASKS_FOLDER.glob("*.toml")]
    sections = [tier.production for task in tasks for tier in task.tiers.values()]
    assert {(each.backbone, each.input_size_px) for each in sections} <= set(PRODUCTION)


def test_a_network_may_do_without_attention_and_batch_norm() -> None:
    """All places count alike, the served map says so, and each head has its own dropout."""
    trained = network(
        "test_efficientnet", 64, spatial_attention=False, head_batch_norm=False, head_dropouts={"attributes": 0.5}
    ).eval()
    with torch.no_grad():
        served = ServedNetwork(trained)(photos(2, 64))[-1]
    assert torch.equal(served, torch.ones_like(served))
    heads = {name: [type(each).__name__ for each in head.hidden] for name, head in trained.heads.items()}  # type: ignore[union-attr]
    assert not any("BatchNorm1d" in kinds for kinds in heads.values())
    dropouts = {name: head.hidden[-1].p for name, head in trained.heads.items()}  # type: ignore[union-attr, index]
    assert dropouts == {"product_type": 0.1, "quality_grade": 0.1, "attributes": 0.5}


def test_statistics_see_every_place_alike(tmp_path: Path) -> None:
    """Pooled by statistics, both maps have their say channel by channel; the map is even, the export the same."""
    trained = network("test_efficientnet", 64, pooling="statistics")
    assert np.isfinite(step(trained, 64))
    settle(trained, 64)
    with torch.no_grad():
        served = ServedNetwork(trained)(photos(2, 64))[-1]
    assert torch.equal(served, torch.ones_like(served))
    channels = trained.backbone.feature_info.channels()[1:]  # type: ignore[union-attr, operator]
    assert trained.statistics.projected[0].num_features == 3 * sum(channels)  # type: ignore[union-attr, index]
    fine, coarse = torch.rand(2, channels[0], 4, 4), torch.rand(2, channels[1], 2, 2)
    moved, _ = trained.statistics(fine.flip(3), coarse.flip(2))
    assert torch.allclose(moved, trained.statistics(fine, coarse)[0], atol=1e-5)
    require_parity(trained, tmp_path)


def test_statistics_of_a_pyramid_are_those_of_smaller_photos(tmp_path: Path) -> None:
    """The same backbone sees each side, in training also its share of a smaller photo; the export is the same."""
    trained = network("test_efficientnet", 96, pooling="statistics", pyramid_px=(64, 32))
    assert np.isfinite(step(trained, 96))
    assert np.isfinite(step(trained, 64))
    settle(trained, 96)
    channels = trained.backbone.feature_info.channels()[1:]  # type: ignore[union-attr, operator]
    given: list[torch.Tensor] = []
    hook = trained.statistics.register_forward_pre_hook(lambda _module, maps: given.extend(maps))  # type: ignore[union-attr, operator]
    trained.eval()
    with torch.no_grad():
        trained(photos(2, 96))
        pixels = (photos(2, 96).permute(0, 3, 1, 2).float() - trained.mean) / trained.std
        expected = [
            each
            for side in (96, 64, 32)
            for each in trained.backbone(interpolate(pixels, size=(side, side), mode="bilinear"))[1:]
        ]
    hook.remove()
    assert [each.shape[1] for each in given] == channels * 3
    assert all(torch.allclose(own, each, atol=1e-5) for own, each in zip(given, expected, strict=True))
    require_parity(trained, tmp_path)


@pytest.mark.parametrize(
    ("changes", "why"),
    [({"pyramid_px": (32,)}, "statistics"), ({"pooling": "statistics", "pyramid_px": (64,)}, "smaller than")],
)
def test_a_pyramid_that_cannot_be_is_refused(changes: dict[str, object], why: str) -> None:
    """Where places are weighed, and where a side is no smaller than the first."""
    with pytest.raises(ValidationError, match=why):
        network("test_efficientnet", 64, **changes)


def test_a_backbone_that_nobody_has_is_named() -> None:
    """With those that are near, in place of timm's traceback."""
    with pytest.raises(UnknownBackboneError, match=r"resnet_fifty.*\n.*resnet"):
        network("resnet_fifty", 64)


@pytest.mark.parametrize("backbone", ["levit_128s", "pit_ti_224", "crossvit_9_240"])
def test_a_backbone_without_enough_maps_is_named(backbone: str) -> None:
    """Two have three maps, one has none: each ends in an error of timm's own."""
    with pytest.raises(UnsuitableBackboneError, match=rf"timm cannot make {backbone} .*: .+\.\n.*another backbone"):
        network(backbone, 224)


def test_pixels_may_be_scaled_as_the_published_weights_want_them() -> None:
    """With normalisation = backbone the mean is timm's own; ImageNet's is the default."""
    own = network("test_vit", 64, normalisation="backbone")
    assert own.mean.flatten().tolist() == pytest.approx([127.5] * 3)
    assert network("test_vit", 64).mean.flatten().tolist() == pytest.approx([123.675, 116.28, 103.53])
