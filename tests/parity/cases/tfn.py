"""TFN beside MMSA's."""

import numpy as np

from tests.parity.carry import Theirs
from tests.parity.case import Case, l1, score
from tests.parity.cases.lmf import subnets


def fusion(theirs: Theirs) -> dict:
    """The layer over the whole tensor, whose columns the reference has by audio, vision and text.

    Each axis begins with the entry 1. That of all three is a second bias, whose gradient is the bias's.
    """
    layer, widths = "post_fusion_layer_1", ("audio_subnet", "video_subnet", "text_subnet")
    A, V, T = (len(theirs(f"{name}.linear_1.bias")) + 1 for name in widths)
    kernel_FTAV = theirs(f"{layer}.weight").reshape(-1, A, V, T).transpose(0, 3, 1, 2)
    bias_F = theirs(f"{layer}.bias")
    of = {False: 0, True: slice(1, None)}

    def part(text: bool, audio: bool, vision: bool) -> np.ndarray:
        return kernel_FTAV[:, of[text], of[audio], of[vision]]

    return {
        "bias": bias_F if theirs.gradients else bias_F + part(False, False, False),
        "kernel_text": part(True, False, False),
        "kernel_audio": part(False, True, False),
        "kernel_vision": part(False, False, True),
        "kernel_text_audio": part(True, True, False),
        "kernel_text_vision": part(True, False, True),
        "kernel_audio_vision": part(False, True, True),
        "kernel_text_audio_vision": part(True, True, True).swapaxes(0, 1),
    }


def carry(theirs: Theirs) -> dict:
    """The table of names."""
    out = subnets(theirs)
    out["params"] |= {
        "fusion": fusion(theirs),
        "dense": theirs.dense("post_fusion_layer_2"),
        "head": {"output_dense": theirs.dense("post_fusion_layer_3")},
    }
    theirs.leave("output_range", "output_shift")  # constants of the reference, 6 and -3: our `bound`
    return out


CASE = Case(
    ours="tfn",
    theirs="tfn",
    carry=carry,
    averaged=True,
    aligned=False,
    faults={"batch_norm": True, "count_padding": True},
    outputs={
        "prediction": score,
        "vector_text": lambda out: out["Feature_t"],
        "vector_audio": lambda out: out["Feature_a"],
        "vector_vision": lambda out: out["Feature_v"],
    },
    losses={"l1": l1},
    small_theirs={"hidden_dims": [4, 8, 9], "text_out": 2, "post_fusion_dim": 8},
    small_ours={"text_hidden": 4, "text_width": 2, "audio_width": 8, "vision_width": 9, "hidden": 8},
)
