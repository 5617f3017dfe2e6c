"""The average of weights that a training validates and saves."""

import lightning.pytorch as pl
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from training.moving_average import MovingAverage

_DECAY = 0.8
_FROM_STEP = 2
_STEPS = 7


class _Drifting(pl.LightningModule):
    """Learns, and remembers its weights and its buffer after each step."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.layers = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4))
        self.seen: list[dict[str, Tensor]] = []

    def training_step(self, batch: Tensor) -> Tensor:
        loss: Tensor = (self.layers(batch) - 3 * batch).square().mean()
        return loss

    def on_train_batch_end(self, outputs: object, batch: Tensor, batch_idx: int) -> None:  # noqa: ARG002 -- Lightning's
        self.seen.append({name: each.detach().clone() for name, each in self.state_dict().items()})

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


@pytest.fixture(scope="module")
def trained() -> _Drifting:
    """Trained for some steps."""
    module = _Drifting()
    trainer = pl.Trainer(
        accelerator="cpu",
        max_steps=_STEPS,
        callbacks=[MovingAverage(decay=_DECAY, from_step=_FROM_STEP)],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, DataLoader(torch.randn(_STEPS * 8, 4), batch_size=8))
    return module


@pytest.mark.parametrize("name", ["layers.0.weight", "layers.1.bias", "layers.1.running_mean", "layers.1.running_var"])
def test_the_average_is_the_stated_one(trained: _Drifting, name: str) -> None:
    """It begins as a copy after the step that it was told, and then forgets at its decay; buffers are averaged, too."""
    expected = trained.seen[_FROM_STEP][name]
    for after in trained.seen[_FROM_STEP + 1 :]:
        expected = _DECAY * expected + (1 - _DECAY) * after[name]
    assert len(trained.seen) == _STEPS
    assert not torch.allclose(expected, trained.seen[-1][name], atol=1e-4)
    torch.testing.assert_close(trained.state_dict()[name], expected)
