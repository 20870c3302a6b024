"""Budget of a pickle: the memory and the work that its instructions may take, in proportion to its file."""

import pickle
from collections.abc import Iterable, Iterator

from msa_jax.data.readers.pickled_arrays import Array, Excess, LargeText
from msa_jax.data.readers.pickled_containers import ChainMap

# Memory in bytes that an instruction can take beyond what it reads, where that is much.
COST = {
    **dict.fromkeys((pickle.TUPLE1, pickle.TUPLE2, pickle.TUPLE3, pickle.TUPLE), 64),
    **dict.fromkeys((pickle.EMPTY_LIST, pickle.LIST, pickle.MARK), 80),
    **dict.fromkeys((pickle.EMPTY_DICT, pickle.DICT), 90),
    **dict.fromkeys((pickle.MEMOIZE, pickle.PUT, pickle.BINPUT, pickle.LONG_BINPUT), 100),
    **dict.fromkeys((pickle.EMPTY_SET, pickle.FROZENSET, pickle.REDUCE), 230),
    pickle.NEWOBJ: 230,
}
# The most that all of them may take together: so much, and so much for each byte of the file.
_MEMORY, _MEMORY_PER_BYTE = 1 << 28, 32
_PER_MEMBER = 64  # of a container that is copied or gone through
_ARGUMENTS, _PER_ARGUMENT = 4, 256  # of an honest call, and what each beyond them costs: the parts of a path
_NAME, _PER_BYTE = 128, 8  # bytes of an honest key, and what each byte of a longer one costs


class Budget:
    """What may still be taken.

    Three bytes of a pickle name a thing again, so that whatever is copied, decoded or gone through is charged
    as often as that is done.
    """

    def __init__(self, size: int) -> None:
        """Takes the bytes of the file."""
        self._left = _MEMORY + _MEMORY_PER_BYTE * size

    def take(self, cost: int, what: str) -> None:
        """Takes bytes off it.

        Raises:
          Excess: when it is spent; says that there is little else than `what`.
        """
        self._left -= cost
        if self._left < 0:
            raise Excess(f"little else than {what}")

    def take_range(self, numbers: int) -> None:
        """A range that becomes a list."""
        self.take(_PER_MEMBER * numbers, "ranges")

    def take_call(self, arguments: tuple) -> None:
        """A call of a stand-in, which may copy what it is given, and decode the keys in it."""
        self.take(_PER_ARGUMENT * max(0, len(arguments) - _ARGUMENTS), "calls")
        self._take_parts(arguments)
        self.take_keys(name for part in arguments for name in _members_of(part))

    def take_state(self, holder: object, state: object) -> None:
        """The state of something; a ChainMap goes through each of its dicts, as often as it is named."""
        parts = list(state.values()) if isinstance(state, dict) else state
        self._take_parts([state])
        self._take_parts(parts if isinstance(parts, (list, tuple)) else ())
        if type(holder) is ChainMap and isinstance(state, dict):
            self._take_parts(part for maps in parts if isinstance(maps, list) for part in maps)

    def take_keys(self, values: Iterable) -> None:
        """The keys of a dict or the members of a set, of which those in bytes are decoded."""
        lengths = (len(value) for value in values if isinstance(value, bytes))
        self.take(sum(n if n <= _NAME else _PER_BYTE * n for n in lengths), "long keys")

    def _take_parts(self, parts: Iterable) -> None:
        cost = 0
        for part in parts:
            if isinstance(part, (list, tuple, dict, set, frozenset)):
                cost += _PER_MEMBER * len(part)
            elif isinstance(part, (str, bytes, bytearray)):
                cost += len(part)
            elif isinstance(part, LargeText):
                cost += len(part.raw)
            elif isinstance(part, Array):
                cost += part.nbytes
        self.take(cost, "the same contents over and over")


def _members_of(part: object) -> Iterator:
    """What a call would take of an argument for a key: members of a list, first parts of pairs."""
    for member in part if isinstance(part, (list, tuple)) else ():
        yield member[0] if isinstance(member, (list, tuple)) and member else member
