"""MISA beside MMSA's, whose lengths of audio and vision are those of the text: all have the same here."""

from typing import Any

import numpy as np

from tests.parity import bert
from tests.parity.carry import Theirs
from tests.parity.case import l1, score

NAMES = {"text": "t", "audio": "a", "vision": "v"}  # the reference has text, vision, audio
BLOCKS = [0, 2, 1, 3, 5, 4]  # where each of our six vectors is among the reference's


def make(args: Any) -> Any:
    """MMSA's module; in the small form its text is features, whose width it does not ask for."""
    import torch
    from MMSA.models.AMIO import AMIO

    module = bert.without_encoder(AMIO(args).Model, "bertmodel", args)
    if bert.is_small(args):
        module.project_t.project_t = torch.nn.Linear(args.feature_dims[0], args.hidden_size)
        module.transformer_encoder.layers[0] = torch.nn.TransformerEncoderLayer(
            args.hidden_size, nhead=2, dim_feedforward=5
        )
    return module


def call(module: Any, inputs: Any, args: Any) -> Any:
    """The scores, and the module, which keeps its vectors."""
    text = bert.text_of(module, "bertmodel", inputs)
    return {**module(text, inputs["audio"], inputs["vision"]), "module": module}


def stacked(theirs: Theirs, m: str) -> dict:
    """Both layers of a modality, and the LayerNorm between."""
    layers = {
        f"lstm_{k}": {
            way: theirs.lstm(f"{m}rnn{k + 1}", suffix)
            for way, suffix in (("forward", "_l0"), ("backward", "_l0_reverse"))
        }
        for k in range(2)
    }
    return {**layers, "norm": theirs.norm(f"{m}layer_norm")}


def fusion(theirs: Theirs) -> dict:
    """The layer of attention: PyTorch has one product for queries, keys and values."""
    name = "transformer_encoder.layers.0"
    kernel, bias = (theirs(f"{name}.self_attn.in_proj_{what}") for what in ("weight", "bias"))
    D = len(kernel) // 3
    return {
        "attention": {
            "query": {"kernel": kernel[:D].T, "bias": bias[:D]},
            "key_value": {"kernel": kernel[D:].T, "bias": bias[D:]},
            "output": theirs.dense(f"{name}.self_attn.out_proj"),
        },
        "attention_norm": theirs.norm(f"{name}.norm1"),
        "ffn_in": theirs.dense(f"{name}.linear1"),
        "ffn_out": theirs.dense(f"{name}.linear2"),
        "ffn_norm": theirs.norm(f"{name}.norm2"),
    }


def carry(theirs: Theirs) -> dict:
    """The table of names."""
    out = {**bert.carry(theirs, "bertmodel.model."), "fusion": fusion(theirs)}
    for ours, m in NAMES.items():
        project = theirs.dense(f"project_{m}.project_{m}")
        if ours != "text":
            out[f"{ours}_lstm"] = stacked(theirs, m)
            # The last states: theirs by direction and then by layer, ours by layer and then by direction.
            blocks = np.split(project["kernel"], 4)
            project["kernel"] = np.concatenate([blocks[k] for k in (0, 2, 1, 3)])
        out[f"{ours}_project"] = project
        out[f"{ours}_norm"] = theirs.norm(f"project_{m}.project_{m}_layer_norm")
        out[f"private_{ours}"] = theirs.dense(f"private_{m}.private_{m}_{3 if m == 'a' else 1}")
        out[f"recon_{ours}"] = theirs.dense(f"recon_{m}.recon_{m}_1")
    out["shared"] = theirs.dense("shared.shared_1")
    hidden = theirs.dense("fusion.fusion_layer_1")
    blocks = np.split(hidden["kernel"], 6)
    hidden["kernel"] = np.concatenate([blocks[k] for k in BLOCKS])
    out["hidden"] = hidden
    out["head"] = {"output_dense": theirs.dense("fusion.fusion_layer_3")}
    # A discriminator whose loss the trainer does not use, and the norm of a text that BERT does not read.
    theirs.leave("sp_discriminator.", "tlayer_norm.")
    return {"params": out}


def trainer(module: Any) -> Any:
    """MMSA's trainer, which computes the losses of what the module keeps."""
    from types import SimpleNamespace

    from MMSA.trains.singleTask.MISA import CMD, MISA, MSE, DiffLoss

    losses = {"loss_diff": DiffLoss(), "loss_recon": MSE(), "loss_cmd": CMD()}
    made = object.__new__(MISA)
    made.__dict__ |= {
        **losses,
        "args": SimpleNamespace(use_cmd_sim=True),
        "model": SimpleNamespace(Model=module),
    }
    return made


CASE = bert.BertCase(
    ours="misa",
    theirs="misa",
    carry=carry,
    make=make,
    call=call,
    outputs={
        "prediction": score,
        **{f"vector_{m}": lambda out, k=k: getattr(out["module"], f"utt_{k}_orig") for m, k in NAMES.items()},
        **{f"recon_{m}": lambda out, k=k: getattr(out["module"], f"utt_{k}_recon") for m, k in NAMES.items()},
        **{
            f"{part}_{m}": lambda out, k=k, part=part: getattr(out["module"], f"utt_{part}_{k}")
            for m, k in NAMES.items()
            for part in ("private", "shared")
        },
    },
    losses={
        "l1": l1,
        "mse": lambda model, out, label: (out["M"][:, 0] - label).square().mean(),
        "sim": lambda model, out, label: trainer(model).get_cmd_loss(),
        "diff": lambda model, out, label: trainer(model).get_diff_loss(),
        "recon": lambda model, out, label: trainer(model).get_recon_loss(),
    },
    small_theirs={"hidden_size": 4},
    small_ours={"width": 4, "ffn_width": 5},
)
