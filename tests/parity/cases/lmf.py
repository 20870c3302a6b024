"""LMF beside MMSA's."""

from tests.parity.carry import Theirs
from tests.parity.case import Case, l1, score


def subnets(theirs: Theirs) -> dict:
    """The parts of TFN's kind: an LSTM over the text, and three Dense layers over each mean."""
    params = {
        "text_subnet": {
            "lstm": theirs.lstm("text_subnet.rnn", "_l0"),
            "dense": theirs.dense("text_subnet.linear_1"),
        }
    }
    statistics = {}
    for ours, name in (("audio", "audio_subnet"), ("vision", "video_subnet")):
        params[f"{ours}_subnet"] = {
            "norm": theirs.norm(f"{name}.norm"),
            **{f"dense_{k}": theirs.dense(f"{name}.linear_{k + 1}") for k in range(3)},
        }
        if not theirs.gradients:
            statistics[f"{ours}_subnet"] = {"norm": theirs.statistics(f"{name}.norm")}
    return {"params": params, "batch_stats": statistics}


def carry(theirs: Theirs) -> dict:
    """The table of names."""
    out = subnets(theirs)
    out["params"] |= {
        **{f"{ours}_factor": theirs(f"{name}_factor") for ours, name in FACTORS.items()},
        "rank_weight": theirs("fusion_weights")[0],
        "bias": theirs("fusion_bias")[0],
    }
    return out


FACTORS = {"text": "text", "audio": "audio", "vision": "video"}

CASE = Case(
    ours="lmf",
    theirs="lmf",
    carry=carry,
    averaged=True,
    aligned=False,
    faults={"batch_norm": True, "count_padding": True},
    outputs={
        "prediction": score,
        "vector_text": lambda out: out["Feature_t"],
        "vector_audio": lambda out: out["Feature_a"],
        "vector_vision": lambda out: out["Feature_v"],
        "fused": lambda out: out["Feature_f"][..., None],
    },
    losses={"l1": l1},
    small_theirs={"hidden_dims": [4, 8, 9], "rank": 2},
    small_ours={"text_hidden": 4, "text_width": 2, "audio_width": 8, "vision_width": 9, "rank": 2},
)
