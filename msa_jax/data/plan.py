"""Which clips form which batch: a function of (seed, epoch, lengths), so that a position is one integer."""

import functools

import numpy as np


def choose_buckets(lengths: np.ndarray, count: int) -> tuple[int, ...]:
    """Batch lengths that pad the given clips least.

    Args:
      lengths: [N] tokens of each clip.
      count: at most so many buckets; each costs one compilation.

    Returns:
      Ascending lengths; the last is the longest clip's. A clip goes into the first that holds it.
    """
    sizes, clips = np.unique(lengths, return_counts=True)
    before = np.concatenate([[0], np.cumsum(clips)])
    # cost[k, j]: tokens, padding included, of the j shortest sizes in k buckets (dynamic programming).
    cost = np.full((count + 1, len(sizes) + 1), np.inf)
    cost[:, 0] = 0
    choice = np.zeros(cost.shape, int)
    for k in range(1, count + 1):
        for j in range(1, len(sizes) + 1):
            totals = cost[k - 1, :j] + sizes[j - 1] * (before[j] - before[:j])
            choice[k, j] = totals.argmin()
            cost[k, j] = totals.min()
    bounds, k, j = [], count, len(sizes)
    while j:
        bounds.append(int(sizes[j - 1]))
        k, j = k - 1, choice[k, j]
    return tuple(reversed(bounds))


class BatchPlan:
    """The batches of a whole run, as a random-access sequence of (rows, length).

    Each epoch visits every clip once, in full batches of `batch_size` but for one: the clips that are left
    over in a bucket join the next longer one, so only the longest bucket can end in a partial batch.
    """

    def __init__(
        self,
        lengths: np.ndarray,
        buckets: tuple[int, ...],
        batch_size: int,
        *,
        epochs: int = 1,
        seed: int | None = None,
    ) -> None:
        """Plans `epochs` passes over the clips.

        Args:
          lengths: [N] tokens of each clip.
          buckets: ascending batch lengths; the last holds the longest clip.
          batch_size: clips in a batch.
          epochs: passes over the clips.
          seed: of the shuffle; None keeps the order of length, for evaluation.
        """
        if len(lengths) and lengths.max() > buckets[-1]:
            raise ValueError(f"a clip of {lengths.max()} tokens fits into none of the buckets {buckets}")
        self.lengths, self.buckets, self.batch_size, self.epochs = lengths, buckets, batch_size, epochs
        self.seed = seed
        # An epoch's batches are asked for one by one, by threads that may already be in the next epoch.
        self._epoch = functools.lru_cache(maxsize=2)(self._batches)

    @property
    def steps_per_epoch(self) -> int:
        """Batches in one epoch."""
        return -(-len(self.lengths) // self.batch_size)

    def __len__(self) -> int:
        return self.steps_per_epoch * self.epochs

    def __getitem__(self, i: int) -> tuple[np.ndarray, int]:
        """Rows [<= batch_size] of batch i and the length to pad them to."""
        if not 0 <= i < len(self):
            raise IndexError(i)
        epoch, step = divmod(i, self.steps_per_epoch)
        return self._epoch(epoch)[step]

    def padding(self) -> float:
        """Share of the tokens of one epoch's batches that is padding, empty rows included."""
        total = sum(self.batch_size * length for _, length in self._epoch(0))
        return 1.0 - float(self.lengths.sum()) / total

    def _batches(self, epoch: int) -> list[tuple[np.ndarray, int]]:
        bucket = np.searchsorted(self.buckets, self.lengths)
        if self.seed is None:
            order = np.argsort(self.lengths, kind="stable")
        else:
            rng = np.random.default_rng((self.seed, epoch))
            order = rng.permutation(len(self.lengths))
        batches, waiting = [], np.zeros(0, int)
        for k, length in enumerate(self.buckets):
            waiting = np.concatenate([waiting, order[bucket[order] == k]])
            last = k == len(self.buckets) - 1
            full = len(waiting) if last else len(waiting) - len(waiting) % self.batch_size
            batches += [(waiting[i : i + self.batch_size], length) for i in range(0, full, self.batch_size)]
            waiting = waiting[full:]
        return batches if self.seed is None else [batches[i] for i in rng.permutation(len(batches))]
