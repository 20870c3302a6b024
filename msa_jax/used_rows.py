"""Used rows of the word embedding: those of the training texts, which a step computes alone.

A vocabulary has 30,000 rows and more, a corpus uses some thousands. The others have no gradient and no
moments, and Adam leaves them as they are; yet a dense gradient writes them, its norm reads them and the
optimiser goes over all of them, which takes half of the time of a small encoder's update on a CPU. Nothing is
approximated.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jaxtyping import Array
from ml_collections import ConfigDict

from msa_jax import models, optim
from msa_jax.text import Tokenizer
from msa_jax.text.encoder import USED

_TABLE = ("encoder", "embeddings", "word")
_WORTH = 1000  # at least so many rows must be unused: a smaller table is quicker whole


@dataclasses.dataclass(frozen=True, eq=False)
class UsedRows:
    """The rows of the table that a training uses.

    Attributes:
      ids: [U] int32, in order.
      place: [V] int32, the place of each id of the vocabulary among them; U where it is not one of them, so
        that a text that has it becomes NaN.
    """

    ids: np.ndarray
    place: np.ndarray

    def of(self, tree: Any) -> Any:
        """A tree of parameters, or of an optimiser's state, with the used rows in place of the table."""
        return self._at_tables(lambda x: x.at[self.ids].get(mode="promise_in_bounds"), tree)

    def back(self, tree: Any, whole: Any) -> Any:
        """The tree with the whole table; `whole` is what `of` was given."""

        def put(path: Any, x: Array, before: Array) -> Array:
            if not _is_table(path):
                return x
            return before.at[self.ids].set(x, indices_are_sorted=True, unique_indices=True)

        return jax.tree_util.tree_map_with_path(put, tree, whole)

    def variables(self, params: Any) -> dict[str, Any]:
        """The collection that has an encoder look up the used rows in a tree that `of` gave."""
        return {USED: {"encoder": {"embeddings": {"word": _table(params), "place": self.place}}}}

    def whole(self, params: Any, table: Any) -> Any:
        """The tree with the whole table of another, which has no gradient."""
        constant = jax.lax.stop_gradient(_table(table))
        return self._at_tables(lambda _: constant, params)

    @staticmethod
    def _at_tables(change: Any, tree: Any) -> Any:
        return jax.tree_util.tree_map_with_path(lambda p, x: change(x) if _is_table(p) else x, tree)


def find(
    config: ConfigDict, params: Any, tokenizer: Tokenizer | None, tokens: Sequence[np.ndarray]
) -> UsedRows | None:
    """The used rows of a training; None where there is no such table, or rows that no text uses change, too.

    A model from elsewhere may use the table in other ways, as for its output, and always has the whole one.

    Args:
      config: `optim`, `text.frozen` and `parallel.shard_state`.
      params: of the model.
      tokenizer: its special tokens count as used.
      tokens: ids of the training texts.
    """
    table = _table(params)
    if table is None or tokenizer is None or config.text.frozen or config.parallel.shard_state:
        return None
    if config.model.name not in models.names():
        return None
    decays = optim.group_values(params, config.optim.groups, weight_decay=config.optim.weight_decay)[1]
    if _table(decays):  # weight decay moves every row
        return None
    # Rows of padding have id 0 where no tokenizer says otherwise.
    used = np.unique(np.concatenate([*tokens, tokenizer.special_ids, [0]]).astype(np.int32))
    size = table.shape[0]
    used = used[(used >= 0) & (used < size)]
    if size - len(used) < _WORTH:
        return None
    place = np.full(size, len(used), np.int32)
    place[used] = np.arange(len(used))
    return UsedRows(used, place)


def _table(params: Any) -> Any:
    for name in _TABLE:
        params = params.get(name) if isinstance(params, dict) else None
    return params


def _is_table(path: Any) -> bool:
    names = tuple(key.key for key in path if isinstance(key, jax.tree_util.DictKey))
    return names == _TABLE
