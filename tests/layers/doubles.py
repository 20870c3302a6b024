"""NumPy doubles that tests of several layers and models share, and parameters for both."""

import jax
import numpy as np


def draw(module, *args, seed=9):
    """Parameters for a module, away from the special values of the start, so that every term shows."""
    shapes = jax.eval_shape(lambda: module.init(jax.random.key(0), *args, train=False)).get("params", {})
    rng = np.random.default_rng(seed)

    def values(path, leaf):
        mean = 1.0 if path[-1].key == "scale" else 0.0
        return (mean + 0.3 * rng.normal(size=leaf.shape)).astype(np.float32)

    return jax.tree_util.tree_map_with_path(values, shapes)


def double(tree):
    """Arrays as float64."""
    return jax.tree.map(lambda p: np.asarray(p, np.float64), tree)


def dense_numpy(x, p):
    return x @ p["kernel"] + p["bias"]


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def lstm_all_numpy(p, x, valid):
    """(hidden states, cells) of one clip, [T + 1, F], the first before any step."""
    arrays = (p["input"]["kernel"], p["input"]["bias"], p["recurrent_kernel"])
    kernel, bias, recurrent = (np.asarray(a, np.float64) for a in arrays)
    F = len(recurrent)
    hidden, cells = [np.zeros(F)], [np.zeros(F)]
    for x_D, counts in zip(x, valid, strict=True):
        if not counts:  # an invalid step keeps both
            hidden.append(hidden[-1])
            cells.append(cells[-1])
            continue
        i, f, g, o = np.split(x_D @ kernel + bias + hidden[-1] @ recurrent, 4)
        cells.append(sigmoid(f + 1) * cells[-1] + sigmoid(i) * np.tanh(g))
        hidden.append(sigmoid(o) * np.tanh(cells[-1]))
    return np.array(hidden), np.array(cells)


def lstm_numpy(p, x, valid):
    """The hidden state after each step of one clip, [T, F]; 0 on an invalid one."""
    return np.where(np.asarray(valid, bool)[:, None], lstm_all_numpy(p, x, valid)[0][1:], 0.0)
