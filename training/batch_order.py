"""The order in which training photos come: a function of seed and epoch, so that a run can resume inside an epoch.

A sampler that draws from a generator as it goes would have to be wound back to the epoch's
beginning; here the epoch is named, and the batches that were already seen are passed over.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch.distributed
from torch.utils.data import Sampler


class BatchOrder(Sampler[list[int]]):
    """Yields the photos of each batch of an epoch; an incomplete last batch is left out, but if it is the only one.

    With several processes each takes its own part of every round of batches.
    """

    def __init__(
        self,
        photo_count: int,
        *,
        batch_size: int,
        seed: int,
        weights: npt.NDArray[np.float64] | None = None,
        epoch_share: float = 1.0,
    ) -> None:
        """Keeps what decides the order.

        Args:
            photo_count: Photos in all.
            batch_size: Photos in a batch of one process.
            seed: Of the order.
            weights: [photo_count] float64, not negative. How often a photo is drawn, with replacement; None for each
                once an epoch.
            epoch_share: In (0, 1]. How many photos an epoch draws, as a share of all; each draws its own.
        """
        self._photo_count = photo_count
        self._batch_size = batch_size
        self._seed = seed
        self._epoch_share = epoch_share
        self._chances = None if weights is None else weights / weights.sum()
        self._epoch = 0
        self._resumed = (-1, 0)

    def __len__(self) -> int:
        """The number of batches of an epoch, for this process."""
        return batches_of_an_epoch(
            self._photo_count, batch_size=self._batch_size, epoch_share=self._epoch_share, processes=_process_count()
        )

    def set_epoch(self, epoch: int) -> None:
        """Names the epoch that is drawn next; Lightning calls this."""
        self._epoch = epoch

    def resume_at(self, epoch: int, *, batches_done: int) -> None:
        """Passes over the batches of one epoch that an earlier process has seen."""
        self._resumed = (epoch, batches_done)

    def __iter__(self) -> Iterator[list[int]]:
        """Yields lists of photo indices."""
        generator = np.random.default_rng((self._seed, self._epoch))
        if self._chances is None:
            order = generator.permutation(self._photo_count)
        else:
            order = generator.choice(self._photo_count, size=self._photo_count, p=self._chances)
        step = self._batch_size * _process_count()
        epoch, batches_done = self._resumed
        for batch in range(batches_done if epoch == self._epoch else 0, len(self)):
            first = batch * step + _process_rank() * self._batch_size
            yield order[first : first + self._batch_size].tolist()


def batches_of_an_epoch(photo_count: int, *, batch_size: int, epoch_share: float, processes: int) -> int:
    """Returns the number of batches that each process sees in an epoch: at least 1, and none that is incomplete."""
    return max(1, int(photo_count * epoch_share) // (batch_size * processes))


def _process_count() -> int:
    return torch.distributed.get_world_size() if torch.distributed.is_initialized() else 1


def _process_rank() -> int:
    return torch.distributed.get_rank() if torch.distributed.is_initialized() else 0
