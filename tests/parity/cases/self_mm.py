"""Self-MM beside MMSA's, with the same labels made for both; the labels themselves: test_self_mm_labels."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from tests.parity import bert
from tests.parity.carry import Theirs
from tests.parity.case import Arrays, l1, score

SHORT = {"text": "T", "audio": "A", "vision": "V"}
NAMES = {"text": "text", "audio": "audio", "vision": "video"}
# What stands for made labels: of each sign, near the clip's own and far from it.
MADE = {
    "text": lambda label: 0.8 * label + 0.3,
    "audio": lambda label: -0.5 * label,
    "vision": lambda label: 0.1 * label - 1,
}


def make(args: Any) -> Any:
    """MMSA's module."""
    from MMSA.models.AMIO import AMIO

    return bert.without_encoder(AMIO(args).Model, "text_model", args)


def call(module: Any, inputs: Any, args: Any) -> Any:
    """Audio and vision come with their lengths."""
    streams = ((inputs[m], inputs[f"{m}_mask"].sum(1)) for m in ("audio", "vision"))
    return module(bert.text_of(module, "text_model", inputs), *streams)


def carry(theirs: Theirs) -> dict:
    """The table of names, and tables of labels for no clip."""
    params, tables = bert.carry(theirs, "text_model.model."), {}
    for ours, name in {"fusion": "fusion", **NAMES}.items():
        layers = [theirs.dense(f"post_{name}_layer_{k}") for k in (1, 2, 3)]
        params[f"{ours}_head"] = {
            "dense_0": layers[0],
            "dense_1": layers[1],
            "head": {"output_dense": layers[2]},
        }
        if ours in ("audio", "vision"):
            params[f"{ours}_subnet"] = {
                "lstm": theirs.lstm(f"{name}_model.rnn", "_l0"),
                "dense": theirs.dense(f"{name}_model.linear_1"),
            }
        tables |= {f"{ours}_{what}": np.zeros(0, np.float32) for what in ("label", "visits")}
        tables[f"{ours}_features"] = np.zeros((0, len(layers[0]["bias"])), np.float32)
    return {"params": params} if theirs.gradients else {"params": params, "labels": tables}


def weighted(module: Any, out: Any, label: Any) -> Any:
    """The sum of the losses of the three heads, as their trainer has them."""
    import torch
    from MMSA.trains.multiTask.SELF_MM import SELF_MM

    trainer, rows, total = object.__new__(SELF_MM), torch.arange(len(label)), 0.0
    trainer.label_map = {"fusion": label, **{m: made(label) for m, made in MADE.items()}}
    for m, short in SHORT.items():
        total = total + trainer.weighted_loss(out[short], trainer.label_map[m], indexes=rows, mode=m)
    return total


@dataclasses.dataclass(frozen=True)
class Made(bert.BertCase):
    """A case with one more loss, the sum of the terms for labels that a training step would have made."""

    def our_losses(self, model: Any) -> dict[str, Callable[[Any, Any], Any]]:
        """As in `Case`, and "made"."""
        names = {"l1": None, **{f"l1_{m}": None for m in MADE}}
        every = super(Made, dataclasses.replace(self, losses=names)).our_losses(model)

        def made(out: Any, batch: Arrays) -> jax.Array:
            labels = {f"made_label_{m}": of(batch["label"]) for m, of in MADE.items()}
            return sum(every[f"l1_{m}"]({**out, **labels}, batch) for m in MADE)

        return {"l1": every["l1"], "made": made}


CASE = Made(
    ours="self_mm",
    theirs="self_mm",
    carry=carry,
    make=make,
    call=call,
    aligned=False,
    outputs={
        "prediction": score,
        "fused": lambda out: out["Feature_f"],
        **{f"prediction_{m}": lambda out, k=k: out[k][:, 0] for m, k in SHORT.items()},
        **{f"hidden_{m}": lambda out, k=k: out[f"Feature_{k.lower()}"] for m, k in SHORT.items()},
    },
    losses={
        "l1": l1,
        "made": weighted,
    },
    small_theirs={
        "text_out": 6,
        "audio_out": 3,
        "video_out": 2,
        "a_lstm_hidden_size": 3,
        "v_lstm_hidden_size": 4,
        "post_fusion_dim": 6,
        "post_text_dim": 4,
        "post_audio_dim": 3,
        "post_video_dim": 5,
    },
    small_ours={
        "audio_width": 3,
        "vision_width": 2,
        "audio_hidden": 3,
        "vision_hidden": 4,
        "fusion_head": 6,
        "text_head": 4,
        "audio_head": 3,
        "vision_head": 5,
    },
)
