"""The weights that are validated and saved: an exponential moving average of those that learn."""

from lightning.pytorch.callbacks import WeightAveraging
from torch.optim.swa_utils import get_ema_multi_avg_fn


class MovingAverage(WeightAveraging):
    """Averages weights and buffers after every step, and validates and saves the average.

    Lightning's own `EMAWeightAveraging` goes from tensor to tensor, which takes longer where there are hundreds.
    """

    def __init__(self, *, decay: float, from_step: int) -> None:
        """Keeps what to do.

        Args:
            decay: Of the average, a step; in (0, 1).
            from_step: The step after which the average begins, as a copy.
        """
        super().__init__(multi_avg_fn=get_ema_multi_avg_fn(decay))  # type: ignore[no-untyped-call]
        self.from_step = from_step

    def should_update(self, step_idx: int | None = None, epoch_idx: int | None = None) -> bool:  # noqa: ARG002 -- Lightning's signature
        """Returns whether the average takes this step in."""
        return step_idx is not None and step_idx >= self.from_step
