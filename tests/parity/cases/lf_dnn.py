"""LF-DNN beside MMSA's."""

import numpy as np

from tests.parity.carry import Theirs
from tests.parity.case import Case, l1, score
from tests.parity.cases.lmf import subnets

# The order in which each side joins the vectors of its modalities.
OURS, THEIRS = ("text", "audio", "vision"), ("audio", "vision", "text")


def carry(theirs: Theirs) -> dict:
    """The table of names; the joined vectors are put in our order."""
    out = subnets(theirs)
    params = out["params"]
    params |= {
        "dense_1": theirs.dense("post_fusion_layer_2"),
        "head": {"output_dense": theirs.dense("post_fusion_layer_3")},
    }
    widths = {
        "text": params["text_subnet"]["dense"]["kernel"].shape[1],
        **{m: params[f"{m}_subnet"]["dense_2"]["kernel"].shape[1] for m in ("audio", "vision")},
    }
    ends = np.cumsum([widths[m] for m in THEIRS])[:-1]
    joined = theirs.dense("post_fusion_layer_1")
    parts = dict(zip(THEIRS, np.split(joined["kernel"], ends), strict=True))
    params["dense_0"] = {**joined, "kernel": np.concatenate([parts[m] for m in OURS])}
    return out


CASE = Case(
    ours="lf_dnn",
    theirs="lf_dnn",
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
    small_theirs={"hidden_dims": [4, 8, 9], "text_out": 5, "post_fusion_dim": 6},
    small_ours={
        "text_hidden": 4,
        "text_width": 5,
        "audio_width": 8,
        "vision_width": 9,
        "fusion_width": 6,
    },
)
