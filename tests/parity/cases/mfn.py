"""MFN beside MMSA's."""

import numpy as np

from tests.parity.carry import Theirs
from tests.parity.case import Case, l1, score

STREAMS = {"text": "l", "audio": "a", "vision": "v"}


def fusion(theirs: Theirs, prefix: str = "") -> dict:
    """The memory fusion network; our first layers of what reads the attended cells are one."""
    out = {f"{m}_lstm": theirs.lstm(f"{prefix}lstm_{letter}") for m, letter in STREAMS.items()}
    out["attention_in"] = theirs.dense(f"{prefix}att1_fc1")
    out["attention_out"] = theirs.dense(f"{prefix}att1_fc2")
    out["proposal_out"] = theirs.dense(f"{prefix}att2_fc2")
    proposal, retain, update = (theirs.dense(f"{prefix}{n}_fc1") for n in ("att2", "gamma1", "gamma2"))
    attended = len(proposal["kernel"])
    gates = np.concatenate([retain["kernel"], update["kernel"]], axis=1)
    out["memory"] = {"memory_kernel": gates[attended:]}
    out["attended_in"] = {
        "kernel": np.concatenate([proposal["kernel"], gates[:attended]], axis=1),
        "bias": np.concatenate([part["bias"] for part in (proposal, retain, update)]),
    }
    for ours, name in (("retain", "gamma1"), ("update", "gamma2")):
        second = theirs.dense(f"{prefix}{name}_fc2")
        out["memory"] |= {f"{ours}_{what}": x for what, x in second.items()}
    return out


def carry(theirs: Theirs) -> dict:
    """The table of names."""
    params = {
        "fusion": fusion(theirs),
        "output_hidden_dense": theirs.dense("out_fc1"),
        "head": {"output_dense": theirs.dense("out_fc2")},
    }
    return {"params": params}


def network(hidden: int) -> dict:
    """MMSA's arguments of one of the networks."""
    return {"drop": 0.0, "shapes": hidden}


SMALL_FUSION_THEIRS = {
    "hidden_dims": [4, 2, 3],
    "memsize": 5,
    "NN1Config": network(3),
    "NN2Config": network(4),
    "gamma1Config": network(5),
    "gamma2Config": network(6),
}
SMALL_FUSION_OURS = {
    "text_hidden": 4,
    "audio_hidden": 2,
    "vision_hidden": 3,
    "memory": 5,
    "attention_hidden": 3,
    "proposal_hidden": 4,
    "retain_hidden": 5,
    "update_hidden": 6,
}

CASE = Case(
    ours="mfn",
    theirs="mfn",
    carry=carry,
    faults={"count_padding": True},
    outputs={"prediction": score, "fused": lambda out: out["L"]},
    losses={"l1": l1},
    small_theirs={**SMALL_FUSION_THEIRS, "outConfig": network(8)},
    small_ours={**SMALL_FUSION_OURS, "output_hidden": 8},
)
