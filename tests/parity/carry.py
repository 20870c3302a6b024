"""Table of names from PyTorch's parameters to ours, or from their gradients to ours."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np


@dataclasses.dataclass
class Theirs:
    """PyTorch's tensors by name, and the names that have been asked for.

    Attributes:
      tensors: arrays by name: parameters and buffers, or gradients.
      gradients: whether they are gradients. Of PyTorch's two biases of an LSTM, whose sum is our one, each
        has the gradient of the sum.
      used: names that a table has taken.
      left: beginnings of the names that it leaves, since nothing of theirs reads them, or ours has no such.
    """

    tensors: Mapping[str, np.ndarray]
    gradients: bool = False
    used: set[str] = dataclasses.field(default_factory=set)
    left: list[str] = dataclasses.field(default_factory=list)

    def leave(self, *beginnings: str) -> None:
        """Says which tensors are left, by the beginnings of their names; each must have some."""
        for beginning in beginnings:
            assert self.gradients or any(name.startswith(beginning) for name in self.tensors), beginning
            self.left.append(beginning)

    def __call__(self, name: str) -> np.ndarray:
        """The tensor of a name."""
        self.used.add(name)
        return self.tensors[name]

    def dense(self, name: str, *, bias: bool = True) -> dict[str, Any]:
        """nn.Linear as Linen's Dense."""
        out = {"kernel": self(f"{name}.weight").T}
        return {**out, "bias": self(f"{name}.bias")} if bias else out

    def norm(self, name: str) -> dict[str, Any]:
        """nn.LayerNorm, or the parameters of nn.BatchNorm1d, as Linen's."""
        return {"scale": self(f"{name}.weight"), "bias": self(f"{name}.bias")}

    def statistics(self, name: str) -> dict[str, Any]:
        """The buffers of nn.BatchNorm1d as Linen's "batch_stats"."""
        return {"mean": self(f"{name}.running_mean"), "var": self(f"{name}.running_var")}

    def lstm(self, name: str, suffix: str = "") -> dict[str, Any]:
        """A layer of nn.LSTM (suffix "_l0", "_l0_reverse", ...) or an nn.LSTMCell (suffix "") as our `LSTM`.

        Ours adds 1 to the forget gate, which its bias need not have then.
        """
        first, second = (self(f"{name}.bias_{which}{suffix}") for which in ("ih", "hh"))
        bias = first if self.gradients else first + second
        if not self.gradients:
            gates = bias.reshape(4, -1).copy()
            gates[1] -= 1.0
            bias = gates.reshape(-1)
        return {
            "input": {"kernel": self(f"{name}.weight_ih{suffix}").T, "bias": bias},
            "recurrent_kernel": self(f"{name}.weight_hh{suffix}").T,
        }

    def conv(self, name: str, *, bias: bool = True) -> dict[str, Any]:
        """nn.Conv1d as Linen's Conv: [out, in, kernel] becomes [kernel, in, out]."""
        out = {"kernel": self(f"{name}.weight").transpose(2, 1, 0)}
        return {**out, "bias": self(f"{name}.bias")} if bias else out


def flat(tree: Any) -> dict[str, np.ndarray]:
    """A tree of arrays by path, "a/b/c"."""
    if not isinstance(tree, Mapping):
        return {"": np.asarray(tree)}
    return {
        f"{name}/{path}".rstrip("/"): leaf for name, part in tree.items() for path, leaf in flat(part).items()
    }


def nested(paths: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """The tree of `flat`."""
    out: dict[str, Any] = {}
    for path, leaf in paths.items():
        *folders, name = path.split("/")
        at = out
        for folder in folders:
            at = at.setdefault(folder, {})
        at[name] = leaf
    return out
