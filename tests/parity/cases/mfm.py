"""MFM beside MMSA's, with the same noise drawn for both.

Its parts are read where its own forward pass calls them. Its generative loss is compared as a whole, with its
weights.
"""

import dataclasses
import unittest.mock
from collections.abc import Callable
from typing import Any

import numpy as np

from msa_jax import config as configs
from msa_jax import models
from msa_jax.corpora import MODALITIES
from msa_jax.losses import TASKS, present
from msa_jax.models._mfm_parts import mmd
from tests.parity.carry import Theirs
from tests.parity.case import Case
from tests.parity.cases.mfn import SMALL_FUSION_OURS, SMALL_FUSION_THEIRS, STREAMS, fusion, network

# In the order of the toolkit's draws, which those of the same size could not be told apart by.
CODES = (*MODALITIES, "all")


def noise(which: int, shape: Any) -> np.ndarray:
    """What is drawn for a code."""
    return np.random.default_rng(which).normal(size=shape).astype(np.float32)


def call(module: Any, inputs: Any, args: Any) -> dict[str, Any]:
    """What it returns, and what its parts return on the way."""
    import torch

    del args
    found, drawn = {}, iter(range(len(CODES)))

    def recorded(name: str, forward: Any) -> Any:
        def run(*given: Any) -> Any:
            found[name] = forward(*given)
            return found[name]

        return run

    parts = [f"{kind}_{letter}" for kind in ("encoder", "decoder") for letter in STREAMS.values()]
    with unittest.mock.patch.object(
        torch, "randn", lambda size: torch.from_numpy(noise(next(drawn), tuple(size)))
    ):
        for name in [*parts, "last_to_zy_fc1"]:
            part = getattr(module, name)
            part.forward = recorded(name, type(part).forward.__get__(part))
        score, generation, discrepancy, _ = module(*(inputs[m] for m in MODALITIES))
    return found | {"score": score[:, 0], "generation": generation, "mmd": discrepancy}


def carry(theirs: Theirs) -> dict:
    """The table of names. The fusion network's own two layers for the label are there and read by nothing."""
    theirs.leave("mfn_encoder.out_fc")
    params = {
        "fusion": fusion(theirs, "mfn_encoder."),
        "code_dense": theirs.dense("last_to_zy_fc1"),
        "output_hidden_dense": theirs.dense("fy_to_y_fc1"),
        "head": {"output_dense": theirs.dense("fy_to_y_fc2")},
    }
    for m, letter in {"": "y", **STREAMS}.items():
        layers = (theirs.dense(f"z{letter}_to_f{letter}_fc{k}") for k in (1, 2))
        params[f"{m}_factor_layers".lstrip("_")] = dict(zip(("dense_0", "dense_1"), layers, strict=True))
        if not m:
            continue
        params[f"{m}_coder"] = {
            "lstm": theirs.lstm(f"encoder_{letter}.lstm"),
            "dense": theirs.dense(f"encoder_{letter}.fc1"),
        }
        cell = theirs.lstm(f"decoder_{letter}.lstm")
        params[f"{m}_decoder"] = {
            "input_kernel": cell["input"]["kernel"],
            "bias": cell["input"]["bias"],
            "recurrent_kernel": cell["recurrent_kernel"],
            "dense": theirs.dense(f"decoder_{letter}.fc1"),
        }
    return {"params": params}


@dataclasses.dataclass(frozen=True)
class WithNoise(Case):
    """The case whose losses draw what the reference drew, and add up what is generated."""

    def our_losses(self, model: Any) -> dict[str, Callable[[Any, Any], Any]]:
        """`l1`; `mmd` of the same noise; `generation`, the weighted sum of its terms."""
        config, _ = configs.load(f"configs/{self.ours}_mosi.py")
        loss = models.find(self.ours).loss(**config.loss.to_dict())
        terms = [term for term in loss.terms(model) if term.name.startswith("generation")]

        def discrepancy(out: Any, batch: Any) -> Any:
            return sum(
                mmd(out[f"code_{name}"], noise(k, out[f"code_{name}"].shape), present(batch))
                for k, name in enumerate(CODES)
            )

        return {
            "l1": TASKS["l1"].loss,
            "mmd": discrepancy,
            "generation": lambda out, batch: sum(t.weight * t.value(out, batch, None) for t in terms),
        }


CASE = WithNoise(
    ours="mfm",
    theirs="mfm",
    carry=carry,
    call=call,
    faults={"count_padding": True},
    outputs={
        "prediction": lambda out: out["score"],
        "code_all": lambda out: out["last_to_zy_fc1"],
        **{f"code_{m}": lambda out, n=f"encoder_{s}": out[n] for m, s in STREAMS.items()},
        **{
            f"generated_{m}": lambda out, n=f"decoder_{s}": out[n].transpose(0, 1) for m, s in STREAMS.items()
        },
    },
    losses={
        "l1": lambda module, out, label: (out["score"] - label).abs().mean(),
        "mmd": lambda module, out, label: out["mmd"],
        "generation": lambda module, out, label: out["generation"],
    },
    small_theirs={
        **SMALL_FUSION_THEIRS,
        "outConfig": network(2),
        **{"zy_size": 4, "zl_size": 3, "za_size": 2, "zv_size": 4},
        **{"fy_size": 8, "fl_size": 7, "fa_size": 6, "fv_size": 8},
    },
    small_ours={
        **SMALL_FUSION_OURS,
        **{"code": 4, "text_code": 3, "audio_code": 2, "vision_code": 4},
        **{"factor": 8, "text_factor": 7, "audio_factor": 6, "vision_factor": 8},
    },
)
