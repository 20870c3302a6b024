"""Batches of a plan, made ahead of time by background threads, or one process's share of them."""

import dataclasses

import grain
import numpy as np

from msa_jax.data.pipeline import Split
from msa_jax.data.plan import BatchPlan
from msa_jax.data.preprocessing import Statistics


@dataclasses.dataclass(frozen=True)
class Share:
    """Which rows of every batch a process makes, where several train together.

    All processes go through the same plan, so each sees the same lengths at the same step; the rows of the
    processes, in their order, are the batch.

    Attributes:
      process: 0 to processes - 1.
      processes: how many train together.
      devices: of each process.
      parts: that each device computes its rows in. A batch that all this does not divide gets rows of padding
        at its end.
    """

    process: int = 0
    processes: int = 1
    devices: int = 1
    parts: int = 1

    def of(self, rows: np.ndarray, batch_size: int) -> tuple[np.ndarray, int]:
        """(rows of this process, its batch size); the last rows of a partial batch may leave it none."""
        least = self.devices * self.parts
        size = -(-batch_size // (self.processes * least)) * least
        return rows[self.process * size : (self.process + 1) * size], size


ALONE = Share()


class _Batches:
    """The batches of a plan as a Grain source."""

    def __init__(self, split: Split, plan: BatchPlan, statistics: Statistics, share: Share) -> None:
        self._split, self._plan, self._statistics, self._share = split, plan, statistics, share

    def __len__(self) -> int:
        return len(self._plan)

    def __getitem__(self, i: int) -> dict[str, np.ndarray]:
        rows, lengths = self._plan[int(i)]
        rows, size = self._share.of(rows, self._plan.batch_size)
        return self._split.batch(rows, lengths, size, self._statistics)


def batches(
    split: Split,
    plan: BatchPlan,
    statistics: Statistics,
    *,
    threads: int,
    share: Share = ALONE,
    start: int = 0,
) -> grain.DatasetIterator:
    """An iterator over the batches of a plan, made ahead of time by background threads.

    Args:
      split: the clips.
      plan: which clips form which batch.
      statistics: of the training split.
      threads: background threads; 0 makes each batch when it is asked for.
      share: the rows of each batch to make; by default all.
      start: the first batch, from 0; a run that goes on starts with the one after those that it has had.
    """
    options = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=4 * threads)
    every = grain.MapDataset.source(_Batches(split, plan, statistics, share))
    return iter(every[start:].to_iter_dataset(options))
