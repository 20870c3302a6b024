"""Batches that the tests of several models' losses share."""

import numpy as np
import pytest

from msa_jax.corpora import MODALITIES


@pytest.fixture
def batch():
    """Six rows: the last pads, the second has no audio, the third no vision."""
    rng = np.random.default_rng(0)
    out = {f"{m}_mask": np.ones((6, 3), bool) for m in MODALITIES}
    out["audio_mask"][1] = out["vision_mask"][2] = False
    for m in MODALITIES:
        out[f"{m}_mask"][5] = False
    return {**out, "mask": np.arange(6) < 5, "label": rng.uniform(-3, 3, 6).astype(np.float32)}
