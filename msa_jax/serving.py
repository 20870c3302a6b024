"""Serving: scores of a few clips at once, by programs of few shapes that are compiled once and kept."""

import dataclasses
import math
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import flax.linen as nn
import jax
import numpy as np

from msa_jax import evaluate
from msa_jax.corpora import MODALITIES
from msa_jax.data.pipeline import Split
from msa_jax.data.plan import Lengths, levels
from msa_jax.data.preparation import Preparation
from msa_jax.layers.head import output_name

ROWS = 16  # clips in a batch
# One clip has a program of its own for each of at most six lengths, and a batch for each of at most two of
# these: however many calls there are, a run compiles no more than eight programs for them.
_ALONE, _TOGETHER = 6, 2
_DEAREST = 1.5  # a batch may compute so many times the steps that its clips have one by one
Shape = tuple[int, Lengths]  # clips, and their steps


@dataclasses.dataclass(frozen=True)
class Grid:
    """The lengths that clips are padded to, in the order in which they are tried.

    Attributes:
      alone: steps of text, audio and vision for one clip; the last are the longest that there can be.
      together: for a batch, some of these, and the last.
    """

    alone: tuple[Lengths, ...]
    together: tuple[Lengths, ...]

    @classmethod
    def of(cls, preparation: Preparation) -> "Grid":
        """The lengths for a run, from how long its model's text, audio and vision can be."""
        how = preparation.preprocessing
        text, *streams = how.longest
        if how.time_line == "text":
            alone = tuple((t, t, t) for t in levels(text, _ALONE))
            return cls(alone, tuple(dict.fromkeys((alone[(len(alone) - 1) // 2], alone[-1]))))
        longest = max(streams)
        # With an encoder it is the steps of the text that cost time, otherwise those of the streams.
        for_text = _ALONE if longest == 1 else 3 if preparation.encoder is not None else 2
        texts = levels(text, for_text)
        frames = levels(longest, _ALONE // len(texts), widen=False)
        alone = tuple((t, *(min(f, most) for most in streams)) for f in frames for t in texts)
        return cls(alone, tuple(one for one in alone if one[0] == texts[-1])[-_TOGETHER:])


def _first_that_holds(steps: np.ndarray, lengths: tuple[Lengths, ...]) -> int:
    return next(i for i, one in enumerate(lengths) if (steps <= np.asarray(one)).all())


def shapes(preparation: Preparation, *, clips: int | None = None, rows: int | None = None) -> list[Shape]:
    """The shapes that scoring may need.

    Args:
      preparation: of the run.
      clips: at most so many at once; None: any number.
      rows: at most so many steps in each modality of a clip; None: any number.
    """
    grid = Grid.of(preparation)
    sizes = {1: grid.alone}
    if clips is None or clips * _DEAREST >= ROWS:
        sizes[ROWS] = grid.together
    out = []
    for size, lengths in sizes.items():
        # Each modality may have any number of steps up to `rows`: all that the first that holds them holds.
        largest = np.minimum(math.inf if rows is None else rows, lengths[-1])
        first = lengths[_first_that_holds(largest, lengths)]
        out += [(size, one) for one in lengths if (np.asarray(one) <= first).all()]
    return out


def plan(split: Split, preparation: Preparation) -> Iterator[tuple[np.ndarray, Shape]]:
    """(places of clips, shape of their batch), every clip once."""
    grid = Grid.of(preparation)
    alone = [grid.alone[_first_that_holds(steps, grid.alone)] for steps in split.lengths]
    level = np.array([_first_that_holds(steps, grid.together) for steps in split.lengths], int)
    for k, lengths in enumerate(grid.together):
        places = np.flatnonzero(level == k)
        places = places[np.argsort(split.lengths[places].sum(1), kind="stable")]
        for start in range(0, len(places), ROWS):
            some = places[start : start + ROWS]
            if ROWS * sum(lengths) <= _DEAREST * sum(sum(alone[place]) for place in some):
                yield some, (ROWS, lengths)
            else:
                yield from ((place[None], (1, alone[place])) for place in some)


class Programs:
    """The compiled programs of one model; any number of threads may ask it at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._model: nn.Module | None = None
        self._compiled: dict[Shape, Callable[..., Mapping[str, jax.Array]]] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        return Programs, ()  # a copy of a run compiles its own: programs cannot be written

    def __len__(self) -> int:
        """How many are compiled."""
        return len(self._compiled)

    def compile(
        self, model: nn.Module, variables: Any, preparation: Preparation, wanted: Iterable[Shape]
    ) -> None:
        """Compiles those of the shapes that are not yet compiled."""
        for shape in wanted:
            self._program(model, variables, preparation, shape)

    def score(self, model: nn.Module, variables: Any, preparation: Preparation, split: Split) -> np.ndarray:
        """[N] scores or [N, ..., classes] logits, float32, in the order of the split; as `evaluate.score`."""
        out: np.ndarray | None = None
        name = output_name(getattr(model, "outputs", ()))
        for places, shape in plan(split, preparation):
            rows, lengths = shape
            program = self._program(model, variables, preparation, shape)
            batch = split.batch(places, lengths, rows, preparation.statistics)
            scores = np.asarray(program(variables, {k: batch[k] for k in _inputs(preparation, shape)})[name])
            if out is None:
                out = np.full((len(split), *scores.shape[1:]), np.nan, np.float32)
            out[places] = scores[: len(places)]
        return np.zeros(0, np.float32) if out is None else out

    def _program(
        self, model: nn.Module, variables: Any, preparation: Preparation, shape: Shape
    ) -> Callable[..., Mapping[str, jax.Array]]:
        with self._lock:  # one thread compiles, the others wait for what it makes
            if self._model is not model:
                self._model, self._compiled = model, {}
            if shape not in self._compiled:
                lowered = evaluate.forward.lower(model, variables, _inputs(preparation, shape))
                self._compiled[shape] = lowered.compile()
            return self._compiled[shape]


def _inputs(preparation: Preparation, shape: Shape) -> dict[str, jax.ShapeDtypeStruct]:
    """The arrays of a batch that a model may read when it scores, by name."""
    rows, lengths = shape
    steps = dict(zip(MODALITIES, lengths, strict=True))
    out = {}
    for name, array in preparation.blank_batch(rows=rows, length=1).items():
        length = steps.get(name.removesuffix("_mask"))
        axes = array.shape if length is None else (rows, length, *array.shape[2:])
        out[name] = jax.ShapeDtypeStruct(axes, array.dtype)
    return out
