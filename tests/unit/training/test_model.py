"""The network: shapes, honest normalisation, and what its uncertainty outputs mean."""

import copy

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from scipy.stats import skew
from small_dataset import SIZE_PX, small_task

from training.checkpoint import build_network
from training.density import DensityDataError, density_classes, fit_density
from training.model import FeatureDensity, HeadOutput, InspectionNetwork, ServedNetwork, _look_of, shrunk_side
from training.photo_data import PhotoSplit
from training.recipe import NetworkSection
from training.run_sealing import fit_feature_density
from training.symmetry import SYMMETRIES, turned, turned_back
from training.task_file import load_task_file

PHOTOS = torch.randint(0, 256, (3, SIZE_PX, SIZE_PX, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def network() -> InspectionNetwork:
    """A tiny network, ready to evaluate."""
    torch.manual_seed(0)
    task = small_task()
    return build_network(task.tiers["fast"].demo, task.to_domain()).eval()


def test_a_served_network_has_one_output_a_head(network: InspectionNetwork) -> None:
    """Heads come in the task's order, then uncertainty and the attention map, all float32."""
    served = ServedNetwork(network)
    with torch.no_grad():
        outputs = served(PHOTOS)
    shapes = dict(zip(served.output_names, (tuple(each.shape) for each in outputs), strict=True))
    assert shapes == {
        "product_type": (3, 5),
        "quality_grade": (3, 5),
        "attributes": (3, 10),
        "uncertainty": (3, 2),
        "attention_map": (3, 2, 2),
    }
    assert {each.dtype for each in outputs} == {torch.float32}


def test_attention_is_a_distribution_and_its_map_has_maximum_one(network: InspectionNetwork) -> None:
    """Weights sum to 1 over a photo; the map that is served is scaled to a maximum of 1."""
    with torch.no_grad():
        attention = network(PHOTOS).attention
        served = ServedNetwork(network)(PHOTOS)[-1]
    assert torch.allclose(attention.sum(dim=(1, 2)), torch.ones(3), atol=1e-5)
    assert torch.allclose(served.amax(dim=(1, 2)), torch.ones(3))
    assert float(served.min()) >= 0


def test_one_photo_answers_as_in_a_batch(network: InspectionNetwork) -> None:
    """No photo changes its neighbours' answers."""
    with torch.no_grad():
        together = ServedNetwork(network)(PHOTOS)
        alone = ServedNetwork(network)(PHOTOS[1:2])
    for each, single in zip(together, alone, strict=True):
        assert torch.allclose(each[1:2], single, atol=1e-4)


def test_a_network_of_four_views_does_not_mind_how_the_phone_was_held(network: InspectionNetwork) -> None:
    """A photo turned by a quarter gets the same answers, and its attention map is turned with it."""
    with torch.no_grad():
        once = network(PHOTOS)
        network.views = 4
        upright, held_aslant = network(PHOTOS), network(PHOTOS.rot90(1, dims=(1, 2)))
        network.views = 1
    assert torch.allclose(upright.embedding, held_aslant.embedding, atol=1e-5)
    assert torch.allclose(upright.look, held_aslant.look, atol=1e-5)
    assert torch.allclose(upright.attention.rot90(1, dims=(1, 2)), held_aslant.attention, atol=1e-5)
    assert not torch.allclose(upright.embedding, once.embedding, atol=1e-5)


def test_four_views_may_be_flips(network: InspectionNetwork) -> None:
    """Then a photo flipped along a side, or along both, gets the same answers; one that is turned does not."""
    turning = network.section
    with torch.no_grad():
        network.section, network.views = turning.model_copy(update={"four_views": "flips"}), 4
        upright, aslant = network(PHOTOS), network(PHOTOS.rot90(1, dims=(1, 2)))
        flipped = {dims: network(PHOTOS.flip(dims)) for dims in ((1,), (2,), (1, 2))}
        network.section, network.views = turning, 1
    for dims, each in flipped.items():
        assert torch.allclose(upright.embedding, each.embedding, atol=1e-5)
        assert torch.allclose(upright.attention.flip(dims), each.attention, atol=1e-5)
    assert not torch.allclose(upright.embedding, aslant.embedding, atol=1e-5)


def test_a_network_may_look_at_fewer_pixels_than_it_is_given() -> None:
    """It answers as one that is given the small photo: halved, four pixels are one. In training sizes may be others."""
    section = small_task().tiers["fast"].demo
    shrinking = section.model_copy(update={"input_size_px": 128, "backbone_size_px": 64})
    networks = []
    for each in (section, shrinking):
        torch.manual_seed(0)
        networks.append(build_network(each, small_task().to_domain()).eval())
    small = torch.randint(0, 256, (2, 64, 64, 3), dtype=torch.uint8)
    large = small.repeat_interleave(2, dim=1).repeat_interleave(2, dim=2)
    with torch.no_grad():
        given, shrunk = (each(photos).embedding for each, photos in zip(networks, (small, large), strict=True))
        half = networks[1](small).attention
    assert torch.allclose(given, shrunk, atol=1e-5)
    assert half.shape == (2, 2, 2)
    assert [shrunk_side(px, shrinking) for px in (128, 96, 64, 32)] == [64, 64, 32, 32]


def test_a_network_does_not_see_more_than_it_is_given() -> None:
    """Enlarging would cost time and tell nothing."""
    with pytest.raises(ValidationError, match="at most input_size_px"):
        NetworkSection(backbone="test_efficientnet", input_size_px=64, backbone_size_px=96)


@pytest.mark.parametrize("symmetry", range(SYMMETRIES))
def test_every_symmetry_is_undone(symmetry: int) -> None:
    """Turned and turned back is the photo itself, and no two symmetries are the same."""
    assert torch.equal(turned_back(turned(PHOTOS, symmetry, dims=(1, 2)), symmetry, dims=(1, 2)), PHOTOS)
    others = [turned(PHOTOS, other, dims=(1, 2)) for other in range(SYMMETRIES) if other != symmetry]
    assert not any(torch.equal(turned(PHOTOS, symmetry, dims=(1, 2)), other) for other in others)


def test_noise_flattens_the_effective_logits() -> None:
    """With a larger variance the same logits say less; with none they say what they say."""
    logits = torch.tensor([[4.0, 0.0], [4.0, 0.0]])
    effective = HeadOutput(logits, torch.tensor([-20.0, 2.0])).effective_logits
    assert torch.allclose(effective[0], logits[0], atol=1e-4)
    assert 0 < float(effective[1, 0]) < 2.5


@pytest.mark.parametrize("variant", ["demo", "production"])
def test_the_task_files_networks_build(variant: str) -> None:
    """Every architecture of the task file exists in timm and runs at its own size."""
    task = load_task_file("cannabis")
    for tier in task.tiers.values():
        section = (tier.demo if variant == "demo" else tier.production).model_copy(update={"pretrained": False})
        network = build_network(section, task.to_domain()).eval()
        size = section.input_size_px
        with torch.no_grad():
            output = network(torch.zeros(1, size, size, 3, dtype=torch.uint8))
        assert output.embedding.shape == (1, section.feature_width)


def test_density_measures_mahalanobis_distance_to_the_nearest_class() -> None:
    """The fitted output equals the textbook formula where there are photos enough."""
    generator = np.random.default_rng(1)
    centres = np.array([[3.0, 0, 0], [0, 3.0, 0]])
    classes = np.repeat([0, 1], 400)
    embeddings = (centres[classes] + generator.normal(0, [0.3, 0.6, 0.9], (800, 3))).astype(np.float32)
    density = FeatureDensity(width=3, class_count=2)
    fit_density(density, embeddings, classes)

    means = np.stack([embeddings[classes == each].mean(axis=0) for each in (0, 1)])
    residuals = embeddings - means[classes]
    covariance = residuals.T @ residuals / 800
    precision = np.linalg.inv(covariance)
    stranger = np.array([0.1, 0.2, -3.0], dtype=np.float32)
    offsets = stranger - means
    expected = np.log(np.einsum("ci,ij,cj->c", offsets, precision, offsets).min())
    found = density(torch.from_numpy(stranger)[None])
    assert float(found) == pytest.approx(expected, rel=0.01)
    assert float(found) > float(density(torch.from_numpy(embeddings)).quantile(0.99))


def test_a_class_without_photos_is_nobody_s_nearest() -> None:
    """Distances are those of the classes that were seen: a stranger does not become familiar for lack of photos."""
    generator = np.random.default_rng(1)
    embeddings = generator.normal(1, 1, (400, 3)).astype(np.float32)
    classes = generator.integers(0, 2, 400)
    strangers = generator.normal(0, 9, (50, 3)).astype(np.float32)
    distances = []
    for class_count in (2, 5):
        density = FeatureDensity(width=3, class_count=class_count)
        fit_density(density, embeddings, classes)
        distances.append(density(torch.from_numpy(strangers)))
    assert torch.equal(*distances)


def test_density_is_fitted_on_photos_of_the_whole_split(
    network: InspectionNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An index sorted by class must not leave the last classes out."""
    task = small_task().to_domain()
    count = 600
    labels = {head.id: np.sort(np.arange(count) % 5) for head in task.heads}
    photos = np.zeros((count, SIZE_PX, SIZE_PX, 3), np.uint8)
    split = PhotoSplit((None,) * count, photos, labels)  # type: ignore[arg-type]
    seen: list[np.ndarray] = []
    monkeypatch.setattr("training.run_sealing.fit_density", lambda _density, _embeddings, classes: seen.append(classes))
    fit_feature_density(network, split, task, limit=100)
    assert len(seen[0]) == 100
    assert len(np.unique(seen[0])) == 5


def test_density_may_have_more_features_than_photos() -> None:
    """Strangers are farther away than photos that had no part in the fit; of a handful of photos none is made."""
    generator = np.random.default_rng(1)
    usual = generator.normal(1, generator.uniform(0.1, 0.5, 200), (300, 200)).astype(np.float32)
    density = FeatureDensity(width=200, class_count=1)
    fit_density(density, usual[:100], np.zeros(100, np.int64))
    strangers = generator.normal(1, 0.5, (200, 200)).astype(np.float32)
    unseen, strange = (density(torch.from_numpy(each)) for each in (usual[100:], strangers))
    assert float(strange.quantile(0.1)) > float(unseen.quantile(0.9))
    with pytest.raises(DensityDataError, match="at least 20"):
        fit_density(density, usual[:19], np.zeros(19, np.int64))


def test_a_strange_look_is_seen_though_the_embedding_forgets_it(network: InspectionNetwork) -> None:
    """The density looks before the layers that keep only what tells labels apart."""
    forgetful = copy.deepcopy(network)
    looks = {}
    with torch.no_grad():
        for weights in (forgetful.fine.weight, forgetful.coarse.weight):
            weights.zero_()
        for name, photos in {"usual": PHOTOS, "strange": 255 - PHOTOS // 2}.items():
            looks[name] = forgetful(photos)
    assert torch.equal(looks["usual"].embedding, looks["strange"].embedding)
    assert not torch.allclose(looks["usual"].look, looks["strange"].look, rtol=0.05)


def test_a_negative_looks_different_though_its_means_and_spreads_do_not() -> None:
    """Skewness turns round with the photo; of places that are all alike it is none."""
    spots = torch.zeros(1, 2, 8, 8)
    spots[0, 0, ::4, ::4] = 1
    usual, negative = _look_of(spots), _look_of(2 * spots.mean(dim=(2, 3), keepdim=True) - spots)
    assert torch.allclose(usual[:, :4], negative[:, :4], atol=1e-5)
    assert torch.allclose(usual[:, 4:], -negative[:, 4:], atol=1e-5)
    expected = [np.arcsinh(skew(spots[0, 0], axis=None)), 0]
    np.testing.assert_allclose(usual[0, 4:].numpy(), expected, rtol=1e-5)


def test_a_look_stays_in_half_precision_where_one_place_of_a_large_map_is_bright() -> None:
    """Of n places, one alone lies the root of n - 1 spreads from the mean: at 112 by 112 its cube is over a million."""
    spot = torch.zeros(1, 1, 112, 112)
    spot[0, 0, 50, 50] = 1
    cubes = float(_look_of(spot)[0, 2].sinh()) * 112**2
    assert 30_000 < cubes < np.finfo(np.float16).max


def test_a_look_knows_an_early_map_beside_the_last_but_one(network: InspectionNetwork) -> None:
    """What is fine in a photo shows in the early map; both have their statistics in the look."""
    with torch.no_grad():
        pixels = (PHOTOS.permute(0, 3, 1, 2).float() - network.mean) / network.std
        early, fine, _ = network.backbone(pixels)
        look = network(PHOTOS).look
    assert early.shape[2] == pixels.shape[2] // 4
    assert torch.allclose(look, torch.cat([_look_of(early), _look_of(fine)], dim=1), atol=1e-5)
    assert network.density.whitening.shape[0] == look.shape[1]


def test_density_classes_combine_decision_heads() -> None:
    """Each combination of labels is a class; a photo that lacks one has none."""
    labels = {"kind": np.array([0, 1, 2, -1]), "grade": np.array([1, 0, 1, 0])}
    assert density_classes(labels, {"kind": 3, "grade": 2}).tolist() == [1, 2, 5, -1]
