"""Plans of batches: a function of (seed, epoch, lengths), so that a position is one integer."""

import functools
import math

import numpy as np

Lengths = tuple[int, int, int]  # steps of text, audio and vision
_SHORTEST = 16  # steps; padding a shorter clip to them costs next to nothing
_BEYOND = 8  # sizes, at most, for what is longer in one modality than any training clip


def levels(longest: int, count: int, *, widen: bool = True) -> tuple[int, ...]:
    """At most `count` rising lengths for clips that nobody has seen yet; each costs one compilation.

    Args:
      longest: the last one.
      count: at most so many.
      widen: each is 1.4 times the one before, or as much more as brings the first near `_SHORTEST`; False:
        each is twice the one before.
    """
    ratio = max(math.sqrt(2), (longest / _SHORTEST) ** (1 / count)) if widen else 2.0
    found = [longest]
    while len(found) < count and (shorter := math.ceil(longest / ratio ** len(found))) >= _SHORTEST:
        found.append(shorter)
    return tuple(reversed(found))


def beyond(buckets: tuple[Lengths, ...], lengths: np.ndarray, most: Lengths) -> tuple[Lengths, ...]:
    """The buckets, and one more where clips are longer than the last.

    What is longer than any training clip is rounded up, so that it is one of few whatever the clips are.

    Args:
      buckets: as `choose_buckets` makes them.
      lengths: [N, 3] steps of each clip's text, audio and vision.
      most: steps that any clip can have of each.

    Returns:
      Buckets that hold all clips.
    """
    needed = lengths.max(0, initial=1).tolist()
    last = tuple(
        _rounded(length, limit) if length > held else held
        for length, held, limit in zip(needed, buckets[-1], most, strict=True)
    )
    return buckets if last == buckets[-1] else (*buckets, last)


def _rounded(length: int, most: int) -> int:
    """The first of the `levels` up to `most` that is not shorter."""
    return next(level for level in levels(most, _BEYOND, widen=False) if level >= length)


def choose_buckets(lengths: np.ndarray, count: int) -> tuple[Lengths, ...]:
    """Batch lengths that pad the given clips little, each modality having a length of its own.

    The buckets form a chain, so that what is left over in one fits into the next. Along a fixed order of the
    clips the best chain is found exactly (dynamic programming); the orders tried are by the longest modality,
    by the sum of the three, and by each modality alone.

    Args:
      lengths: [N, 3] steps of each clip's text, audio and vision.
      count: at most so many buckets; each costs one compilation.

    Returns:
      Lengths of text, audio and vision, none falling from one bucket to the next; the last holds every clip.
      A clip goes into the first that holds it.
    """
    orders = (lengths.max(1), lengths.sum(1), *lengths.T)
    chains = [_chain(lengths, order, count) for order in orders]
    return min(chains, key=lambda chain: _steps(lengths, chain))


def _chain(lengths: np.ndarray, order: np.ndarray, count: int) -> tuple[Lengths, ...]:
    """The buckets with the fewest steps when clips are put into them by rising `order`."""
    values, clips = np.unique(order, return_counts=True)
    before = np.concatenate([[0], np.cumsum(clips)])
    largest = np.stack([lengths[order == value].max(0) for value in values])
    sizes = np.maximum.accumulate(largest)  # [n, 3]: holds the clips up to each value
    steps = sizes.sum(1)
    # cost[k, j]: steps, padding included, of the clips of the j lowest values in k buckets.
    cost = np.full((count + 1, len(values) + 1), np.inf)
    cost[:, 0] = 0
    choice = np.zeros(cost.shape, int)
    for k in range(1, count + 1):
        for j in range(1, len(values) + 1):
            totals = cost[k - 1, :j] + steps[j - 1] * (before[j] - before[:j])
            choice[k, j] = totals.argmin()
            cost[k, j] = totals.min()
    chain: list[Lengths] = []
    k, j = count, len(values)
    while j:
        chain.append(tuple(sizes[j - 1].tolist()))
        k, j = k - 1, choice[k, j]
    return tuple(dict.fromkeys(reversed(chain)))  # two bounds may ask for the same lengths


def _first_that_holds(lengths: np.ndarray, buckets: tuple[Lengths, ...]) -> np.ndarray:
    """[N] the place of each clip's bucket."""
    fits = (lengths[:, None] <= np.asarray(buckets)[None]).all(-1)
    if not fits.any(1).all():
        raise ValueError(f"a clip of {lengths.max(0)} steps fits into none of the buckets {buckets}")
    return fits.argmax(1)


def _steps(lengths: np.ndarray, buckets: tuple[Lengths, ...]) -> int:
    """Steps of all clips, padding included."""
    return int(np.asarray(buckets)[_first_that_holds(lengths, buckets)].sum())


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
        self._bucket = _first_that_holds(lengths, buckets)
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
