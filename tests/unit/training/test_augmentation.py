"""What augmentation changes, and how mixed photos take their labels along."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from server.domain.task import HeadKind
from training.augmentation import Augmentation, PhotoMixing, with_bad_photos
from training.recipe import AugmentationSection
from training.report.strange_photos import BLUR_SHARES

PHOTOS = torch.randint(0, 256, (6, 32, 32, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
KINDS = {"kind": HeadKind.CATEGORY, "signs": HeadKind.ATTRIBUTES}
MODERN = AugmentationSection(preset="modern", mixed_share=1.0)


@pytest.mark.parametrize("preset", ["light", "heavy", "modern"])
def test_presets_keep_shape_and_follow_the_seed(preset: str) -> None:
    """Photos stay uint8 NHWC, are changed, and the seed decides how."""
    augmentation = Augmentation(AugmentationSection.model_validate({"preset": preset, "photos_a_draw": 2}))
    results = []
    for _ in range(2):
        torch.manual_seed(3)
        results.append(augmentation(PHOTOS))
    assert results[0].shape == PHOTOS.shape
    assert results[0].dtype == torch.uint8
    assert not torch.equal(results[0], PHOTOS)
    assert torch.equal(results[0], results[1])


def test_photos_that_have_an_upright_are_mirrored_only() -> None:
    """With symmetries = mirror a photo is itself or its mirror image, with flips also upside down; with none itself."""
    still = {"rotation_degrees": 0, "shift_share": 0, "scale_share": 0, "colour_share": 0}
    photos = PHOTOS.repeat(8, 1, 1, 1)
    ways = {"same": (), "mirrored": (1,), "upside down": (0,), "both": (0, 1)}
    for symmetries, wanted in {"mirror": {"same", "mirrored"}, "flips": set(ways)}.items():
        changed = Augmentation(AugmentationSection.model_validate({"symmetries": symmetries, **still}))(photos)
        kinds = {
            next((way for way, dims in ways.items() if torch.equal(one.flip(dims), other)), "other")
            for one, other in zip(photos, changed, strict=True)
        }
        assert kinds == wanted
    assert torch.equal(
        Augmentation(AugmentationSection.model_validate({"symmetries": "none", **still}))(PHOTOS), PHOTOS
    )


def test_a_share_of_the_photos_is_made_bad_by_strengths_of_their_own() -> None:
    """About as many as asked for, some lose contrast between neighbours and some gain it; without a share, none."""
    torch.manual_seed(0)
    texture = torch.randint(80, 170, (3, 96, 96), dtype=torch.uint8)
    fine = texture.expand(200, 3, 96, 96).contiguous()
    worse = with_bad_photos(fine, 0.5)
    assert worse.shape == fine.shape
    assert worse.dtype == torch.uint8
    changed = (worse != fine).flatten(1).any(dim=1)
    assert 60 <= int(changed.sum()) <= 115  # the weakest blurs change no byte
    roughness = [float(each.float().diff(dim=-1).abs().mean()) for each in worse[changed]]
    before = float(fine[0].float().diff(dim=-1).abs().mean())
    assert sum(each < before for each in roughness) >= 25
    assert sum(each > before for each in roughness) >= 25
    assert len(set(roughness)) > 0.9 * len(roughness)
    still = {"symmetries": "none", "rotation_degrees": 0, "shift_share": 0, "scale_share": 0, "colour_share": 0}
    for share, same in ((0.0, True), (0.999, False)):
        made = Augmentation(AugmentationSection.model_validate({**still, "bad_photo_share": share}))(PHOTOS)
        assert torch.equal(made, PHOTOS) is same


def test_blurs_reach_further_than_the_evaluation_page_goes() -> None:
    """How far an edge is smeared is the standard deviation: up to six hundredths of the side, and not only nearly."""
    torch.manual_seed(0)
    edges = torch.zeros(400, 3, 96, 96, dtype=torch.uint8)
    edges[..., 48:] = 255
    steps = with_bad_photos(edges, 0.999)[:, 0, 48].float().diff(dim=1)
    smeared = steps[(steps >= 0).all(dim=1)] / 255
    places = torch.arange(95) - 47.0
    spreads = (smeared * places**2).sum(dim=1).sqrt() / 96
    assert BLUR_SHARES[-1] < 0.055 < float(spreads.max()) < 0.06


def test_grey_photos_have_no_colour() -> None:
    """All of them or none, as the recipe says, whatever else is changed."""
    for share in (0.0, 1.0):
        made = Augmentation(AugmentationSection(grey_share=share))(PHOTOS)
        assert bool((made == made[..., :1]).all()) is (share == 1)


def test_light_is_drawn_from_a_range() -> None:
    """Factors of one value are that factor; they take the place of the shares, and the least comes first."""
    still = {"symmetries": "none", "rotation_degrees": 0, "shift_share": 0, "scale_share": 0, "colour_share": 0}
    halved = Augmentation(AugmentationSection.model_validate({**still, "brightness_factors": (0.5, 0.5)}))(PHOTOS)
    assert (halved.int() - PHOTOS.int() // 2).abs().max() <= 1
    flat = Augmentation(AugmentationSection.model_validate({**still, "contrast_factors": (1e-6, 1e-6)}))(PHOTOS)
    assert int((flat.amax((1, 2, 3)) - flat.amin((1, 2, 3))).max()) <= 1
    with pytest.raises(ValidationError, match="the least factor comes first"):
        AugmentationSection(brightness_factors=(1.2, 0.4))


@given(seed=st.integers(0, 10_000))
def test_mixed_labels_say_what_is_in_the_photo(seed: int) -> None:
    """Each photo is plain, its label its brightness: the mixture's labels give its mean brightness, for every head."""
    torch.manual_seed(seed)
    levels = torch.tensor([0, 1, 2, 3])
    photos = (60 * levels).to(torch.uint8).reshape(4, 1, 1, 1).expand(4, 16, 16, 3).contiguous()
    signs = torch.stack([levels / 3, 1 - levels / 3], dim=1)
    mixing = PhotoMixing(MODERN, KINDS, {"kind": 4, "signs": 2})
    mixed, labels, taught = mixing(photos, {"kind": levels, "signs": signs}, {"kind": torch.eye(4)})
    brightness = mixed.float().mean(dim=(1, 2, 3))
    assert torch.allclose(labels["kind"] @ (60.0 * levels), brightness, atol=0.6)
    assert torch.allclose(labels["signs"][:, 0] * 180, brightness, atol=0.6)
    assert torch.allclose(labels["kind"].sum(dim=1), torch.ones(4), atol=1e-5)
    assert torch.allclose(taught["kind"], labels["kind"])


def test_a_mixture_lacks_what_one_of_its_photos_lacks() -> None:
    """A missing label is missing from both mixtures that its photo is part of, and from no other."""
    torch.manual_seed(0)
    kind = torch.tensor([0, -1, 1, 2, 0, 1])
    signs = torch.tensor([[1.0, 0.0], [1.0, 1.0], [-1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 0.0]])
    said = torch.full((6, 3), 1 / 3)
    said[4] = torch.nan
    _, labels, taught = PhotoMixing(MODERN, KINDS, {"kind": 3, "signs": 2})(
        PHOTOS, {"kind": kind, "signs": signs}, {"kind": said}
    )
    # torchvision mixes each photo with the one before it.
    assert (labels["kind"] < 0).any(dim=1).tolist() == [False, True, True, False, False, False]
    assert (labels["signs"][:, 0] < 0).tolist() == [False, False, True, True, False, False]
    assert not (labels["signs"][:, 1] < 0).any()
    assert taught["kind"].isnan().any(dim=1).tolist() == [False, False, False, False, True, True]


def test_nothing_is_mixed_unless_asked_for() -> None:
    """Other presets leave labels as they are, and draw nothing."""
    torch.manual_seed(0)
    before = torch.get_rng_state()
    photos, labels, _ = PhotoMixing(AugmentationSection(), KINDS, {"kind": 3, "signs": 2})(
        PHOTOS, {"kind": torch.arange(6)}, {}
    )
    assert photos is PHOTOS
    assert labels["kind"].tolist() == list(range(6))
    assert torch.equal(torch.get_rng_state(), before)
