"""Small random BERT for the models of the reference that fine-tune one, and the text as both sides take it.

At the published sizes such a case has a BERT of the published width on both sides, which the reference reads
from a folder; in its small form, for the golden files, both take the text as features of the last layer. A
case of a model is then

    def make(args):
        module = AMIO(args).Model  # `args.pretrained` is the folder
        return bert.without_encoder(module, "bertmodel", args)

    def call(module, inputs, args):
        return module(bert.text_of(module, "bertmodel", inputs), inputs["audio"], inputs["vision"])

    def carry(theirs):
        return {"params": {**bert.carry(theirs, "bertmodel.model."), "head": theirs.dense("head")}}

    CASE = bert.BertCase(..., make=make, call=call, carry=carry)
"""

import atexit
import dataclasses
import functools
import json
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from msa_jax.text import Encoder
from msa_jax.text.pretrained import read_config
from msa_jax.text.weights import read_weights
from tests.parity.carry import Theirs
from tests.parity.case import Arrays, Case

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
CLS, SEP = 2, 3  # ids of the tokens around a text
WIDTH = 768  # of bert-base, which the reference's models expect
VOCABULARY = 48  # pieces, those of SPECIAL included


def sizes_of(
    *, hidden: int = WIDTH, layers: int = 1, heads: int = 12, inside: int = 64, vocabulary: int = VOCABULARY
) -> dict[str, Any]:
    """The contents of the config.json of a BERT of these sizes."""
    return {
        "model_type": "bert",
        "vocab_size": vocabulary,
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "intermediate_size": inside,
        "max_position_embeddings": 64,
        "type_vocab_size": 2,
        "pad_token_id": 0,
        # Wider than is usual, so that the layers do more than hand their input on.
        "initializer_range": 0.05,
    }


def new_folder() -> Path:
    """A temporary folder that is removed when the program ends."""
    path = Path(tempfile.mkdtemp(prefix="msa_jax_bert_"))
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    return path


@functools.cache
def random_folder(**sizes: int) -> Path:
    """A folder with a random BERT and its vocabulary, made once for each set of sizes.

    Args:
      **sizes: as for `sizes_of`.
    """
    import torch
    from transformers import BertConfig, BertModel

    folder, values = new_folder(), sizes_of(**sizes)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = BertModel(BertConfig(**values))
        for name, parameter in model.named_parameters():  # biases are 0 and scales 1, as they are made
            if name.endswith("bias") or "LayerNorm" in name:
                torch.nn.init.normal_(parameter, float("LayerNorm.weight" in name), 0.1)
        model.save_pretrained(folder)
    pieces = [*SPECIAL, *(f"w{k}" for k in range(values["vocab_size"] - len(SPECIAL)))]
    (folder / "vocab.txt").write_text("\n".join(pieces) + "\n")
    (folder / "tokenizer_config.json").write_text(json.dumps({"do_lower_case": True}))
    return folder


@functools.cache
def config_folder(**sizes: int) -> Path:
    """A folder with the configuration alone, of which our encoder's sizes are read."""
    folder = new_folder()
    (folder / "config.json").write_text(json.dumps(sizes_of(**sizes)))
    return folder


def encoder(**sizes: int) -> Encoder:
    """Our encoder of those sizes."""
    return Encoder(read_config(config_folder(**sizes)))


def carry(theirs: Theirs, prefix: str, *, pooler: bool = False, **sizes: int) -> dict[str, Any]:
    """{"encoder": parameters, or their gradients}; {} where the reference has no BERT, as in the small form.

    The tensors take the way of a user's: through a folder's safetensors. The pooler is not among them.

    Args:
      theirs: the reference's tensors.
      prefix: what stands before a BERT's own names, such as "bertmodel.model.".
      pooler: whether the reference reads BERT's pooler, which the caller takes then; otherwise it is left.
      **sizes: as for `sizes_of`.
    """
    from safetensors.numpy import save_file

    own = {name for name in theirs.tensors if name.startswith(prefix)}
    if not own:
        return {}
    folder = new_folder()
    tensors = {name.removeprefix(prefix): np.ascontiguousarray(theirs(name)) for name in own}
    tensors = {name: x for name, x in tensors.items() if not name.startswith("pooler.")}
    if not pooler:
        theirs.leave(f"{prefix}pooler.")
    save_file(tensors, folder / "model.safetensors")
    weights = read_weights(folder, read_config(config_folder(**sizes)))
    shutil.rmtree(folder)
    return {"encoder": weights}


def prepare(args: Any) -> None:
    """Names the folder in the reference's arguments: the random BERT of the published width.

    The small form reads one, too, because the reference's models make theirs themselves.
    """
    args.pretrained = str(random_folder())


def is_small(args: Any) -> bool:
    """Whether the reference's arguments are those of the small form."""
    return args.feature_dims[0] != WIDTH


def without_encoder(module: Any, path: str, args: Any) -> Any:
    """The reference's module, whose BERT gives the batch's features in the small form.

    Args:
      module: the reference's.
      path: the name of its `BertTextEncoder`.
      args: the reference's arguments.
    """
    import torch

    class Given(torch.nn.Module):
        """What stands for the encoder: its states are `features` [B, T, D]."""

        features = None

        def forward(self, text: Any) -> Any:
            return self.features

    if is_small(args):
        setattr(module, path, Given())
    return module


def text_of(module: Any, path: str, inputs: Mapping[str, Any]) -> Any:
    """The text as the reference takes it: [B, 3, T] float of ids, mask, and types, which are 0.

    Args:
      module: of `without_encoder`; in the small form its encoder is handed the batch's features.
      path: the name of its encoder.
      inputs: the batch, as tensors.
    """
    import torch

    text, mask_BT = inputs["text"], inputs["text_mask"].float()
    if text.ndim == 3:
        getattr(module, path).features = text
        text = torch.zeros_like(mask_BT)
    return torch.stack([text.float(), mask_BT, torch.zeros_like(mask_BT)], dim=1)


@dataclasses.dataclass(frozen=True)
class BertCase(Case):
    """A case whose text is ids that a BERT reads, and features in the small form.

    Attributes:
      of_encoder: sizes of ours, as for `sizes_of`; `make` must give the reference the same.
    """

    prepare: Callable[[Any], None] | None = prepare
    of_encoder: Mapping[str, int] = dataclasses.field(default_factory=dict)

    def batch(self, *, small: bool, seed: int = 0) -> Arrays:
        """As in `Case`, at the published sizes with ids between [CLS] and [SEP], and 0 behind them."""
        out = super().batch(small=small, seed=seed)
        if small:
            return out
        rng, mask_BT = np.random.default_rng(seed + 1), out["text_mask"]
        ids_BT = rng.integers(len(SPECIAL), VOCABULARY, mask_BT.shape)
        ids_BT[:, 0] = CLS
        ids_BT[np.arange(len(ids_BT)), mask_BT.sum(1) - 1] = SEP
        return {**out, "text": np.where(mask_BT, ids_BT, 0).astype(np.int32)}

    def model(self, *, small: bool) -> Any:
        """As in `Case`, around our encoder at the published sizes."""
        made = super().model(small=small)
        return made if small else made.clone(encoder=encoder(**self.of_encoder))
