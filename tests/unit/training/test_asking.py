"""What a network says of photos, batch by batch."""

import pytest
import torch
from small_dataset import SIZE_PX, small_task

from training.asking import said_of
from training.checkpoint import build_network
from training.model import InspectionNetwork

PHOTOS = torch.randint(256, (5, SIZE_PX, SIZE_PX, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
BATCHES = PHOTOS.split([3, 2])


@pytest.fixture(scope="module")
def network() -> InspectionNetwork:
    """An untrained network."""
    task = small_task(views=2)
    return build_network(task.tier("fast").network("demo"), task.to_domain()).eval()


def test_it_says_what_the_network_says(network: InspectionNetwork) -> None:
    """Batch by batch, and without a gradient."""
    with torch.no_grad():
        expected = [network(images) for images in BATCHES]
    for said, wanted in zip(said_of(network, BATCHES), expected, strict=True):
        assert not said.look.requires_grad
        torch.testing.assert_close(said.look, wanted.look, rtol=1e-3, atol=1e-3)
        torch.testing.assert_close(said.attention, wanted.attention, rtol=1e-3, atol=1e-3)
        for head, answer in wanted.heads.items():
            torch.testing.assert_close(said.heads[head].logits, answer.logits, rtol=1e-3, atol=1e-3)


def test_whoever_iterates_is_not_in_its_mode(network: InspectionNetwork) -> None:
    """Between two batches gradients flow, float32 is float32, and the switches of convolutions are the caller's."""
    before = torch.backends.cudnn.deterministic
    for said in said_of(network, BATCHES, mixed_precision=True):
        weight = torch.ones(2, 2, requires_grad=True)
        product = weight @ weight
        product.sum().backward()
        assert product.dtype is torch.float32
        assert weight.grad is not None
        assert torch.backends.cudnn.deterministic is before
        assert said.look.dtype is torch.float32
