"""MulT beside MMSA's."""

from typing import Any

import numpy as np

from tests.parity.carry import Theirs
from tests.parity.case import Case, l1, score

LETTERS = {"text": "l", "audio": "a", "vision": "v"}
DIRECTIONS = [(t, s) for t in LETTERS for s in LETTERS if s != t]


def stack(theirs: Theirs, name: str, layers: int) -> dict:
    """A transformer's parameters, [layers, ...], of its last norm [1, ...]."""
    out: dict[str, list] = {}

    def add(ours: str, parts: dict) -> None:
        for part, value in parts.items():
            out.setdefault(f"{ours}_{part}", []).append(value)

    for i in range(layers):
        layer = f"{name}.layers.{i}"
        packed = {"kernel": theirs(f"{layer}.self_attn.in_proj_weight").T}
        add("in", {**packed, "bias": theirs(f"{layer}.self_attn.in_proj_bias")})
        add("out", theirs.dense(f"{layer}.self_attn.out_proj"))
        add("ffn_in", theirs.dense(f"{layer}.fc1"))
        add("ffn_out", theirs.dense(f"{layer}.fc2"))
        add("attention_norm", theirs.norm(f"{layer}.layer_norms.0"))
        add("ffn_norm", theirs.norm(f"{layer}.layer_norms.1"))
    add("norm", theirs.norm(f"{name}.layer_norm"))
    return {path: np.stack(values) for path, values in out.items()}


def encoder(theirs: Theirs, names: list[str]) -> dict:
    """Transformers side by side, [layers, transformers, ...]."""
    prefix = f"{names[0]}.layers."
    layers = 1 + max(int(n[len(prefix) :].split(".")[0]) for n in theirs.tensors if n.startswith(prefix))
    stacks = [stack(theirs, name, layers) for name in names]
    return {path: np.stack([s[path] for s in stacks], axis=1) for path in stacks[0]}


def carry(theirs: Theirs) -> dict:
    """The table of names."""
    directions = [f"trans_{LETTERS[t]}_with_{LETTERS[s]}" for t, s in DIRECTIONS]
    return {
        "params": {
            **{f"{m}_conv": theirs.conv(f"proj_{letter}", bias=False) for m, letter in LETTERS.items()},
            "crossmodal": encoder(theirs, directions),
            "self_attention": encoder(theirs, [f"trans_{letter}_mem" for letter in LETTERS.values()]),
            "block_in": theirs.dense("proj1"),
            "block_out": theirs.dense("proj2"),
            "head": {"output_dense": theirs.dense("out_layer")},
        }
    }


def make(args: Any) -> Any:
    """MMSA's module, in the small form with one layer where it has at least three.

    It leaves out the convolution of a modality that comes in its own width, as vision does in the small form;
    ours does not, and here it does not either.
    """
    from MMSA.models.AMIO import AMIO

    module = AMIO(args).Model
    module.orig_d_l = module.orig_d_a = module.orig_d_v = None
    for letter in LETTERS.values() if args.nlevels == 1 else ():
        transformer = getattr(module, f"trans_{letter}_mem")
        transformer.layers = transformer.layers[:1]
    return module


CASE = Case(
    ours="mult",
    theirs="mult",
    carry=carry,
    make=make,
    aligned=False,
    faults={"positions": False, "valid_convolution": True, "count_padding": True},
    outputs={
        "prediction": score,
        "vector_text": lambda out: out["Feature_t"],
        "vector_audio": lambda out: out["Feature_a"],
        "vector_vision": lambda out: out["Feature_v"],
    },
    losses={"l1": l1},
    small_theirs={
        "dst_feature_dim_nheads": [3, 3],
        "nlevels": 1,
        "conv1d_kernel_size_l": 3,
        "conv1d_kernel_size_a": 1,
        "conv1d_kernel_size_v": 2,
    },
    small_ours={
        "width": 3,
        "heads": 3,
        "layers": 1,
        "self_layers": 1,
        "text_kernel": 3,
        "audio_kernel": 1,
        "vision_kernel": 2,
    },
)
