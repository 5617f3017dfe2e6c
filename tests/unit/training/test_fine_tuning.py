"""What is frozen stays, what is adapted learns, and what is saved is a plain network."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from small_dataset import small_task, write_small_dataset

from training.checkpoint import EarlierRun, build_network, load_network
from training.earlier_weights import NoCommonWeightsError, load_earlier
from training.fine_tuning import NothingToAdaptError, plain_network, prepare_fine_tuning
from training.learner import undecayed_names
from training.model import InspectionNetwork
from training.recipe import FineTuningMethod, FineTuningSection, NetworkSection, StageSection, Variant
from training.task_file import TASKS_FOLDER, load_task_file
from training.train import RunRequest, RunResult, train

PHOTOS = {"train": 32, "val_select": 8, "val_calib": 4, "val_test": 4}
TASK = small_task()
ADAPTERS: tuple[FineTuningMethod, ...] = ("adalora", "vera", "ia3")


def section(backbone: str = "test_vit") -> NetworkSection:
    """A tiny network of some backbone."""
    return NetworkSection(backbone=backbone, input_size_px=32, feature_width=8, head_width=8)


def network(backbone: str = "test_vit") -> InspectionNetwork:
    """The same weights at every call."""
    torch.manual_seed(0)
    return build_network(section(backbone), TASK.to_domain())


def request(folder: Path, backbone: str, fine_tuning: FineTuningSection, **changes: Any) -> RunRequest:
    """Two epochs."""
    recipe = TASK.training.model_copy(
        update={"stages": (StageSection(epochs=2),), "fine_tuning": fine_tuning, "learning_rate": 0.05, **changes}
    )
    tiers = {"fast": TASK.tier("fast").model_copy(update={"demo": section(backbone)})}
    task = TASK.model_copy(update={"training": recipe, "tiers": tiers})
    return RunRequest(task, "fast", "demo", data_folder=folder / "data", runs_folder=folder / "runs", seed=0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small dataset on disk."""
    folder = tmp_path_factory.mktemp("fine_tuning")
    write_small_dataset(folder / "data", photos_a_split=PHOTOS)  # type: ignore[arg-type]
    return folder


def backbone_weights(path: Path) -> dict[str, torch.Tensor]:
    """What a run saved of its backbone."""
    return {name: each for name, each in load_file(path).items() if name.startswith("backbone.")}


@pytest.mark.parametrize("method", ADAPTERS)
def test_adapters_train_little_and_leave_a_plain_network(folder: Path, method: FineTuningMethod) -> None:
    """The saved network has the plain architecture, and its backbone learnt something."""
    asked = request(folder, "test_vit", FineTuningSection(method=method, rank=2))
    result: RunResult = train(asked)
    assert result.checkpoint.trained_share is not None
    assert 0 < result.checkpoint.trained_share < 0.5
    load_network(result.folder, TASK.to_domain())
    torch.manual_seed(0)
    saved = backbone_weights(result.folder / "model.safetensors")
    assert saved.keys() == {name for name in network().state_dict() if name.startswith("backbone.")}
    frozen = train(request(folder, "test_vit", FineTuningSection(method="frozen_backbone")))
    untouched = backbone_weights(frozen.folder / "model.safetensors")
    changed = {name for name in saved if not torch.equal(saved[name], untouched[name])}
    assert any("qkv" in name for name in changed)
    assert not any("norm" in name for name in changed)


@pytest.mark.parametrize("method", ADAPTERS)
def test_merged_adapters_answer_like_adapters(method: FineTuningMethod) -> None:
    """Merging changes no answer, and adapters that have moved change them."""
    photos = torch.randint(0, 256, (2, 32, 32, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    adapted = network().eval()
    before = adapted(photos).embedding
    prepare_fine_tuning(adapted, FineTuningSection(method=method, rank=2), steps=20)
    generator = torch.Generator().manual_seed(1)
    for weight in adapted.backbone.parameters():
        if weight.requires_grad:
            weight.data += 0.3 * torch.randn(weight.shape, generator=generator)
    after = adapted(photos).embedding
    assert not torch.allclose(before, after, atol=1e-3)
    assert torch.allclose(plain_network(adapted)(photos).embedding, after, atol=1e-4)


def test_a_convolutional_backbone_is_adapted_by_ia3_alone() -> None:
    """Methods that want linear layers say so; IA3 finds convolutions, and merges into them."""
    for method in ("adalora", "vera"):
        with pytest.raises(NothingToAdaptError, match=f"{method} can adapt"):
            prepare_fine_tuning(network("test_efficientnet"), FineTuningSection(method=method), steps=20)
    adapted = network("test_efficientnet").eval()
    prepare_fine_tuning(adapted, FineTuningSection(method="ia3"), steps=20)
    for weight in adapted.backbone.parameters():
        if weight.requires_grad:
            weight.data *= 1.1
    photos = torch.zeros(2, 32, 32, 3, dtype=torch.uint8)
    assert torch.allclose(plain_network(adapted)(photos).embedding, adapted(photos).embedding, atol=1e-4)


@pytest.mark.parametrize("method", ADAPTERS)
def test_adapters_train_at_most_a_twentieth_of_the_roadwork_vit(method: FineTuningMethod) -> None:
    """Heads and all; the smallest network of the task has the largest share."""
    task = load_task_file("roadwork")
    tier = task.tier("fast")
    vit = build_network(tier.production.model_copy(update={"pretrained": False}), task.to_domain())
    asked = tier.recipe(task.training, "production").fine_tuning.model_copy(update={"method": method})
    assert prepare_fine_tuning(vit, asked, steps=100).share <= 0.05


def test_only_the_production_variant_of_roadwork_has_adapters() -> None:
    """A tier's variants may be trained differently: the small convolutional networks of the demo learn whole."""
    task = load_task_file("roadwork")
    methods = {variant: task.recipe("full", variant).fine_tuning.method for variant in ("demo", "production")}
    assert methods == {"demo": "full", "production": "adalora"}


def test_modules_are_chosen_by_the_ends_of_their_names() -> None:
    """Only what is named gets adapters; a name that nothing has is an error."""
    adapted = network()
    prepare_fine_tuning(adapted, FineTuningSection(method="adalora", target_modules=("qkv",)), steps=20)
    trained = [name for name, weight in adapted.backbone.named_parameters() if weight.requires_grad]
    assert trained
    assert all(".qkv." in name for name in trained)
    with pytest.raises(NothingToAdaptError, match="named attention_of_all"):
        prepare_fine_tuning(network(), FineTuningSection(method="ia3", target_modules=("attention_of_all",)), steps=20)


def test_a_frozen_backbone_keeps_its_statistics_until_it_is_thawed(folder: Path) -> None:
    """Neither weights nor batch norm's statistics move while it is frozen; from the epoch of thawing on they do."""
    earlier = train(request(folder, "test_efficientnet", FineTuningSection())).folder
    start = backbone_weights(earlier / "model.safetensors")
    freezing = FineTuningSection(method="frozen_backbone")
    frozen = train(request(folder, "test_efficientnet", freezing, start_from=str(earlier)))
    assert frozen.checkpoint.earlier == {"start_from": EarlierRun.of(earlier)}
    kept = backbone_weights(frozen.folder / "last.safetensors")
    assert all(torch.equal(kept[name], each) for name, each in start.items())
    thawing = FineTuningSection(method="frozen_backbone", unfreeze_after_epochs=1)
    later = train(request(folder, "test_efficientnet", thawing, start_from=str(earlier)))
    thawed = backbone_weights(later.folder / "last.safetensors")
    for kind in ("running_mean", "weight"):
        assert any(name.endswith(kind) and not torch.equal(thawed[name], kept[name]) for name in thawed)


def test_no_decay_pulls_at_what_is_neutral_elsewhere() -> None:
    """IA3's factors change nothing at 1, and a ViT names its embeddings of places."""
    adapted = network()
    prepare_fine_tuning(adapted, FineTuningSection(method="ia3"), steps=20)
    undecayed = undecayed_names(adapted)
    known = dict(adapted.named_parameters())
    assert undecayed <= set(known)
    assert {name for name in known if "ia3_l" in name} < undecayed
    assert {name.rpartition(".")[2] for name in undecayed if "ia3_l" not in name} == {"pos_embed", "cls_token"}


def test_every_task_says_which_tier_comes_first() -> None:
    """The one that needs no other: on a fresh checkout the others would find neither teacher nor weights."""
    first = {path.stem: load_task_file(path.stem).first_tier for path in TASKS_FOLDER.glob("*.toml")}
    begins_with_fast = {"cannabis", "crop_health", "roadwork"}
    assert first == {task: "fast" if task in begins_with_fast else "full" for task in first}
    assert begins_with_fast < set(first)


@pytest.mark.parametrize("variant", ["demo", "production"])
def test_a_tier_begins_with_weights_that_fit(variant: Variant) -> None:
    """What a task file names as the first weights is a tier of the same backbone, in the variant that is trained."""
    for task in map(load_task_file, sorted(path.stem for path in TASKS_FOLDER.glob("*.toml"))):
        for tier in task.tiers:
            if start := task.recipe(tier, variant).start_from:
                of_task, other = start.split("/")
                earlier = load_task_file(of_task).tier(other).network(variant)
                assert task.tier(tier).network(variant).backbone == earlier.backbone, f"{task.id}/{tier}"


def test_a_run_begins_with_the_weights_of_an_earlier_one(folder: Path) -> None:
    """What fits is loaded and counted; of another task's run only the backbone; another backbone is refused."""
    earlier = train(request(folder, "test_vit", FineTuningSection()))
    begun = request(folder, "test_vit", FineTuningSection(method="frozen_backbone"), start_from="cannabis/fast")
    later = train(begun)
    before = backbone_weights(earlier.folder / "model.safetensors")
    after = backbone_weights(later.folder / "model.safetensors")
    assert all(torch.equal(before[name], after[name]) for name in before)
    count, task = len(network().state_dict()), small_task().to_domain()
    assert load_earlier(network(), earlier.folder, task)[1:] == (count, 0)
    assert load_earlier(network(), earlier.folder, replace(task, id="bread"))[1:] == (len(before), count - len(before))
    with pytest.raises(NoCommonWeightsError, match="test_vit"):
        load_earlier(network("test_efficientnet"), earlier.folder, task)
