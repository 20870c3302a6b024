"""Which clips form which batch: a function of (seed, epoch, lengths), so that a position is one integer."""

import functools

import numpy as np

Lengths = tuple[int, int, int]  # steps of text, audio and vision


def choose_buckets(lengths: np.ndarray, count: int) -> tuple[Lengths, ...]:
    """Batch lengths that pad the given clips least, a clip's length being that of its longest modality.

    Args:
      lengths: [N, 3] steps of each clip's text, audio and vision.
      count: at most so many buckets; each costs one compilation.

    Returns:
      Lengths of text, audio and vision, none falling from one bucket to the next; the last holds every clip.
      A clip goes into the first that holds it.
    """
    longest = lengths.max(1)
    sizes, clips = np.unique(longest, return_counts=True)
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
    return tuple(tuple(lengths[longest <= b].max(0).tolist()) for b in reversed(bounds))


class BatchPlan:
    """The batches of a whole run, as a random-access sequence of (rows, lengths).

    Each epoch visits every clip once, in full batches of `batch_size` but for one: the clips that are left
    over in a bucket join the next longer one, so only the longest bucket can end in a partial batch.
    """

    def __init__(
        self,
        lengths: np.ndarray,
        buckets: tuple[Lengths, ...],
        batch_size: int,
        *,
        epochs: int = 1,
        seed: int | None = None,
    ) -> None:
        """Plans `epochs` passes over the clips.

        Args:
          lengths: [N, 3] steps of each clip's text, audio and vision.
          buckets: batch lengths, as `choose_buckets` makes them.
          batch_size: clips in a batch.
          epochs: passes over the clips.
          seed: of the shuffle; None keeps the order of length, for evaluation.
        """
        fits = (lengths[:, None] <= np.asarray(buckets)[None]).all(-1)
        if not fits.any(1).all():
            raise ValueError(f"a clip of {lengths.max(0)} steps fits into none of the buckets {buckets}")
        self._bucket = fits.argmax(1)
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

    def __getitem__(self, i: int) -> tuple[np.ndarray, Lengths]:
        """Rows [<= batch_size] of batch i and the lengths to pad them to."""
        if not 0 <= i < len(self):
            raise IndexError(i)
        epoch, step = divmod(i, self.steps_per_epoch)
        return self._epoch(epoch)[step]

    def padding(self) -> float:
        """Share of the steps of one epoch's batches that is padding, empty rows included."""
        total = sum(self.batch_size * sum(lengths) for _, lengths in self._epoch(0))
        return 1.0 - float(self.lengths.sum()) / total

    def _batches(self, epoch: int) -> list[tuple[np.ndarray, Lengths]]:
        bucket = self._bucket
        if self.seed is None:
            order = np.argsort(self.lengths.max(1, initial=0), kind="stable")
        else:
            rng = np.random.default_rng((self.seed, epoch))
            order = rng.permutation(len(self.lengths))
        batches, waiting = [], np.zeros(0, int)
        for k, lengths in enumerate(self.buckets):
            waiting = np.concatenate([waiting, order[bucket[order] == k]])
            last = k == len(self.buckets) - 1
            full = len(waiting) if last else len(waiting) - len(waiting) % self.batch_size
            batches += [(waiting[i : i + self.batch_size], lengths) for i in range(0, full, self.batch_size)]
            waiting = waiting[full:]
        return batches if self.seed is None else [batches[i] for i in rng.permutation(len(batches))]
