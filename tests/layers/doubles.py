"""NumPy doubles that tests of several layers and models share: an LSTM, clip by clip and step by step."""

import numpy as np


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
