"""MAG-BERT beside MMSA's gate, put where its BERT_MAG.py puts it.

Its BERT is a subclass for an earlier transformers, and cannot be made with version 5. Here transformers' own
BertModel has MMSA's `MAG` behind its embeddings, and the dropout and the linear layer of its classifier.
"""

import dataclasses
from typing import Any

import numpy as np

from tests.parity import bert
from tests.parity.carry import Theirs
from tests.parity.case import Arrays, Case, l1, score

SMALL = {"hidden": 8, "layers": 1, "heads": 2, "inside": 8, "vocabulary": 20}


def prepare(args: Any) -> None:
    """Names the folder of the random BERT."""
    args.pretrained = str(bert.random_folder(**SMALL if bert.is_small(args) else {}))


def make(args: Any) -> Any:
    """The model of the reference, from its gate and transformers' parts."""
    import torch
    from MMSA.models.singleTask.BERT_MAG import MAG
    from transformers import BertModel

    class Assembled(torch.nn.Module):
        """BERT with the gate between its embeddings and its layers, and a classifier."""

        def __init__(self) -> None:
            super().__init__()
            self.bert = BertModel.from_pretrained(args.pretrained)
            self.MAG = MAG(self.bert.config, args)
            self.dropout = torch.nn.Dropout(self.bert.config.hidden_dropout_prob)
            self.classifier = torch.nn.Linear(self.bert.config.hidden_size, 1)
            self.rows: Any = None
            self.bert.embeddings.register_forward_hook(lambda _, __, out: self.MAG(out, *self.rows))

        def forward(self, ids: Any, mask: Any, audio: Any, vision: Any) -> dict[str, Any]:
            self.rows = vision, audio
            pooled = self.bert(ids, attention_mask=mask).pooler_output
            return {"M": self.classifier(self.dropout(pooled)), "pooled": pooled}

    return Assembled()


def call(module: Any, inputs: Any, args: Any) -> Any:
    """The score and the pooled vector."""
    text = inputs["text"].long(), inputs["text_mask"].float()
    return module(*text, inputs["audio"], inputs["vision"])


def carry(theirs: Theirs) -> dict:
    """The table of names."""
    small = len(theirs("bert.pooler.dense.bias")) == SMALL["hidden"]
    out = bert.carry(theirs, "bert.", pooler=True, **SMALL if small else {})
    out["mag"] = {"norm": theirs.norm("MAG.LayerNorm")}
    for ours, m in (("audio", "a"), ("vision", "v")):
        out["mag"][f"{ours}_dense"] = theirs.dense(f"MAG.W_{m}")
        out["mag"][f"{ours}_gate"] = theirs.dense(f"MAG.W_h{m}")
    out["pooler"] = theirs.dense("bert.pooler.dense")
    out["head"] = {"output_dense": theirs.dense("classifier")}
    return {"params": out}


@dataclasses.dataclass(frozen=True)
class MagCase(bert.BertCase):
    """A case whose model lives in BERT: in the small form it reads ids, too."""

    def sizes(self, *, small: bool) -> tuple[int, int, tuple[int, int, int]]:
        """As in `Case`; the text's width is that of BERT's states."""
        return (3, 5, (SMALL["hidden"], 4, 3)) if small else super().sizes(small=small)

    def batch(self, *, small: bool, seed: int = 0) -> Arrays:
        """As in `BertCase`, with ids in the small form, too."""
        out = super().batch(small=small, seed=seed)
        if small:
            ids_BT = np.random.default_rng(seed).integers(1, SMALL["vocabulary"], out["text_mask"].shape)
            out["text"] = np.where(out["text_mask"], ids_BT, 0).astype(np.int32)
        return out

    def model(self, *, small: bool) -> Any:
        """As in `Case`, around our encoder."""
        sizes = SMALL if small else self.of_encoder
        return Case.model(self, small=small).clone(encoder=bert.encoder(**sizes))


CASE = MagCase(
    ours="mag_bert",
    theirs="bert_mag",
    carry=carry,
    prepare=prepare,
    make=make,
    call=call,
    outputs={
        "prediction": score,
        "fused": lambda out: out["pooled"],
    },
    losses={"l1": l1},
    # So that some shifts are cut and some are not.
    small_theirs={"beta_shift": 0.15},
    small_ours={"mag": {"beta": 0.15}},
)
