"""MMIM beside MMSA's, in the third step of an epoch: the first whose entropies have a memory.

Both are given the same memory, and no dropout: ours as in a training step, in which alone it has entropies.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tests.parity import bert
from tests.parity.carry import Theirs
from tests.parity.case import Arrays, l1, score

# Our pair to the reference's, and to its names of what the two are.
PAIRS = {
    "text_vision": ("tv", "Feature_t", "Feature_v"),
    "text_audio": ("ta", "Feature_t", "Feature_a"),
    "vision_audio": ("va", "Feature_v", "Feature_a"),
}
NAMES = {"text": ("t", ""), "audio": ("a", "acoustic_enc"), "vision": ("v", "visual_enc")}
CLIPS = 16  # of the training split


def prepare(args: Any) -> None:
    """With a bound of vision and audio, too."""
    bert.prepare(args)
    args.add_va = True


def make(args: Any) -> Any:
    """MMSA's module; in the small form its text is features."""
    from MMSA.models.AMIO import AMIO

    return bert.without_encoder(AMIO(args).Model, "bertmodel", args)


def pairs_of(module: Any) -> dict[str, tuple[str, str, str]]:
    """Those of `PAIRS` that a module has a bound for."""
    return {pair: names for pair, names in PAIRS.items() if hasattr(module, f"mi_{names[0]}")}


def remembered(pair: str, width: int) -> dict[str, np.ndarray]:
    """What is remembered of the batch before: for each sign [clips, width]."""
    rng = np.random.default_rng(list(PAIRS).index(pair))
    sizes = {"pos": 2 * width + 1, "neg": 2 * width + 3}
    return {sign: np.tanh(rng.normal(0.2, 0.7, (n, width))).astype(np.float32) for sign, n in sizes.items()}


def call(module: Any, inputs: Any, args: Any) -> Any:
    """What a step returns with a memory, and the module."""
    import torch

    memory = {}
    for pair, (short, *_) in pairs_of(module).items():
        width = getattr(module, f"mi_{short}").entropy_prj[0].out_features
        memory[short] = {k: [torch.from_numpy(x)] for k, x in remembered(pair, width).items()}
    streams = [(inputs[m], inputs[f"{m}_mask"].sum(1)) for m in ("audio", "vision")]
    text = bert.text_of(module, "bertmodel", inputs)
    return {**module(text, *streams, y=inputs["label"][:, None], mem=memory), "module": module}


def of_clips(pair: str) -> Any:
    """The likelihood of each clip, since the reference's is that of a batch."""
    import torch

    short, x, y = PAIRS[pair]

    def pick(out: Any) -> Any:
        estimator = getattr(out["module"], f"mi_{short}")
        return torch.stack([estimator(a[None], b[None])[0] for a, b in zip(out[x], out[y], strict=True)])

    return pick


def minus_likelihood(*, held: bool) -> Any:
    """The sum over the pairs, with the estimators held, or with what they are given held."""

    def loss(module: Any, out: Any, label: Any) -> Any:
        from torch.func import functional_call

        total = 0.0
        for short, x, y in pairs_of(module).values():
            estimator = getattr(module, f"mi_{short}")
            params, given = dict(estimator.named_parameters()), (out[x], out[y])
            if held:
                params = {k: p.detach() for k, p in params.items()}
            else:
                given = tuple(x.detach() for x in given)
            total = total - functional_call(estimator, params, given)[0]
        return total

    return loss


def moments(vectors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What we keep of them, of one batch."""
    x = [np.float64(vectors[sign]) for sign in ("pos", "neg")]
    out = {
        "count": [len(v) for v in x],
        "mean": [v.mean(0) for v in x],
        "scatter": [len(v) * np.cov(v.T, bias=True) for v in x],
    }
    return {k: np.float32(v)[None] for k, v in out.items()}


def carry(theirs: Theirs) -> dict:
    """The table of names."""
    params: dict[str, Any] = {**bert.carry(theirs, "bertmodel.model."), "entropy": {}}
    memory = {"visits": np.zeros(CLIPS, int), "epoch": np.array(1), "batches": np.array(2)}
    for pair, (short, *_) in PAIRS.items():
        params[f"mmilb_{pair}"] = {
            f"{ours}_{end}": theirs.dense(f"mi_{short}.mlp_{name}.{k}")
            for ours, name in (("mean", "mu"), ("log_variance", "logvar"))
            for k, end in ((0, "in"), (2, "out"))
        }
        layer = params["entropy"][pair] = theirs.dense(f"mi_{short}.entropy_prj.0")
        memory[pair] = moments(remembered(pair, layer["kernel"].shape[1]))
    for m, (letter, name) in NAMES.items():
        params[f"predict_{m}"] = theirs.dense(f"cpc_z{letter}.net")
        if name:
            params[f"{m}_lstm"] = {
                way: theirs.lstm(f"{name}.rnn", suffix)
                for way, suffix in (("forward", "_l0"), ("backward", "_l0_reverse"))
            }
            params[f"{m}_dense"] = theirs.dense(f"{name}.linear_1")
    for k, ours in enumerate(("fusion_0", "fusion_1", "output_dense")):
        params[ours] = theirs.dense(f"fusion_prj.linear_{k + 1}")
    return {"params": params, "memory": {"entropy": memory}}


def typed(path: Any, leaf: Any) -> Any:
    """An array of the type that it has in a run: the golden file holds floats alone."""
    count = path[-1].key in ("visits", "epoch", "batches")
    return jnp.asarray(leaf, jnp.int32 if count else jnp.float32)


class Training:
    """A model whose evaluation is a training step; it draws nothing where no dropout is left."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def __getattr__(self, name: str) -> Any:
        return getattr(self.model, name)

    def apply(self, variables: Any, batch: Any, *, train: bool) -> Any:
        """The outputs."""
        others = [name for name in variables if name != "params"]
        variables = jax.tree_util.tree_map_with_path(typed, variables)
        return self.model.apply(variables, batch, train=True, mutable=others)[0]


class MMIMCase(bert.BertCase):
    """A case whose numbers are those of a training step without dropout."""

    def sizes(self, *, small: bool) -> tuple[int, int, tuple[int, int, int]]:
        """As in `Case`; the small form has clips enough of each sign."""
        return (8, 5, (6, 4, 3)) if small else super().sizes(small=False)

    def model(self, *, small: bool) -> Any:
        """As in `BertCase`, without dropout in the encoder."""
        made = super().model(small=small).clone(clips=CLIPS)
        if small:
            return made
        config = dataclasses.replace(made.encoder.config, hidden_dropout=0.0, attention_dropout=0.0)
        return made.clone(encoder=made.encoder.clone(config=config))

    def our_numbers(self, model: Any, variables: Any, batch: Arrays, *, losses: bool = True) -> Any:
        """As in `Case`, of a training step."""
        return super().our_numbers(Training(model), variables, batch, losses=losses)


CASE = MMIMCase(
    ours="mmim",
    theirs="mmim",
    carry=carry,
    aligned=False,
    prepare=prepare,
    make=make,
    call=call,
    faults={
        "bounds": tuple(PAIRS),
        "bounded": False,
        "train_projection": True,
        "ridge": 0.0,
        "dropout": 0.0,
    },
    loss={"nce_noise": "predictions"},
    outputs={
        "prediction": score,
        "vector_text": lambda out: out["Feature_t"],
        "vector_audio": lambda out: out["Feature_a"],
        "vector_vision": lambda out: out["Feature_v"],
        "fused": lambda out: out["Feature_f"],
        "predicted_text": lambda out: out["module"].cpc_zt.net(out["Feature_f"]),
        "predicted_audio": lambda out: out["module"].cpc_za.net(out["Feature_f"]),
        "predicted_vision": lambda out: out["module"].cpc_zv.net(out["Feature_f"]),
        "lld_text_vision": lambda out: of_clips("text_vision")(out),
        "lld_text_audio": lambda out: of_clips("text_audio")(out),
        "lld_vision_audio": lambda out: of_clips("vision_audio")(out),
        "entropy": lambda out: out["H"].expand(len(out["M"])),
    },
    losses={
        "l1": l1,
        "nce": lambda model, out, label: out["nce"],
        "lld": minus_likelihood(held=True),
        "fit": minus_likelihood(held=False),
        "entropy": lambda model, out, label: -out["H"],
    },
    stages=(("fit",), ("l1", "nce", "lld", "entropy")),
    small_theirs={"d_vh": 3, "d_ah": 2, "d_vout": 8, "d_aout": 8, "d_prjh": 5},
    small_ours={
        "audio_hidden": 2,
        "vision_hidden": 3,
        "audio_width": 8,
        "vision_width": 8,
        "width": 5,
    },
)
