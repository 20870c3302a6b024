"""Config of a BERT or RoBERTa encoder: its sizes, and how they are read from a Hugging Face `config.json`."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from msa_jax.errors import UserError

FAMILIES = ("bert", "roberta")
# What config.json calls them; XLM-RoBERTa and CamemBERT are RoBERTa with another vocabulary.
MODEL_TYPES = {"bert": "bert", "roberta": "roberta", "xlm-roberta": "roberta", "camembert": "roberta"}
_ARCHITECTURES = {"Bert": "bert", "Roberta": "roberta", "XLMRoberta": "roberta", "Camembert": "roberta"}
_ARCHITECTURE = re.compile(rf"(?:TF|Flax)?({'|'.join(_ARCHITECTURES)})(?:For\w+|(?:LMHead)?Model)")
ACTIVATIONS = ("gelu", "gelu_new", "gelu_pytorch_tanh", "relu", "silu")


@dataclass(frozen=True)
class EncoderConfig:
    """Sizes and rates of an encoder; the defaults of the last eight are BERT's.

    Attributes:
      family: "bert" or "roberta" (which differ in how they number positions).
      vocab_size: rows of the word embedding.
      hidden_size: width d of every layer, a multiple of `num_heads`.
      num_layers: transformer layers.
      num_heads: attention heads per layer.
      intermediate_size: width inside the perceptron.
      max_positions: rows of the position embedding.
      type_vocab_size: rows of the token-type embedding.
      activation: "gelu" (exact), "gelu_new" or "gelu_pytorch_tanh" (tanh approximation), "relu", "silu".
      layer_norm_eps: added to the variance in layer norms.
      hidden_dropout: dropout rate after the embeddings and both halves of a layer, in [0, 1).
      attention_dropout: dropout rate on attention probabilities, in [0, 1).
      pad_id: id of the padding token.
      initializer_range: standard deviation of freshly drawn weights.
      input_width: columns of the features that take the place of words, [B, T, input_width]; 0 = words.
    """

    family: str
    vocab_size: int
    hidden_size: int
    num_layers: int
    num_heads: int
    intermediate_size: int
    max_positions: int = 512
    type_vocab_size: int = 2
    activation: str = "gelu"
    layer_norm_eps: float = 1e-12
    hidden_dropout: float = 0.1
    attention_dropout: float = 0.1
    pad_id: int = 0
    initializer_range: float = 0.02
    input_width: int = 0

    def __post_init__(self) -> None:
        if self.family not in FAMILIES:
            raise UserError(f"encoder family {self.family!r}: supported are {', '.join(FAMILIES)}")
        if self.activation not in ACTIVATIONS:
            raise UserError(f"encoder activation {self.activation!r}: supported are {', '.join(ACTIVATIONS)}")
        if self.hidden_size % self.num_heads:
            raise UserError(
                f"encoder hidden_size {self.hidden_size} is not a multiple of num_heads {self.num_heads}"
            )
        for name in ("hidden_dropout", "attention_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise UserError(f"encoder {name} is {getattr(self, name)}: give a rate in [0, 1)")

    @property
    def max_tokens(self) -> int:
        """The longest sequence, special tokens included, that the position embeddings cover."""
        return self.max_positions - (self.pad_id + 1 if self.family == "roberta" else 0)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "EncoderConfig":
        """Reads the contents of a Hugging Face `config.json`.

        Args:
          values: the parsed file.

        Returns:
          The configuration.

        Raises:
          UserError: when the model is of another family, uses what is not supported, or lacks a size.
        """
        family = family_of(values)
        # Absent keys mean the defaults of the published BERT and RoBERTa configurations.
        if (positions := values.get("position_embedding_type", "absolute")) != "absolute":
            raise UserError(
                f"position_embedding_type {positions!r} in the encoder's config.json: only 'absolute'"
            )
        sizes = {
            "vocab_size": "vocab_size",
            "hidden_size": "hidden_size",
            "num_layers": "num_hidden_layers",
            "num_heads": "num_attention_heads",
            "intermediate_size": "intermediate_size",
            "max_positions": "max_position_embeddings",
        }
        if missing := [key for key in sizes.values() if not isinstance(values.get(key), int)]:
            raise UserError(f"the encoder's config.json lacks {', '.join(missing)}")
        pad_id = values.get("pad_token_id")
        return cls(
            family=family,
            **{field: values[key] for field, key in sizes.items()},
            type_vocab_size=values.get("type_vocab_size", 2),
            activation=values.get("hidden_act", "gelu"),
            layer_norm_eps=values.get("layer_norm_eps", 1e-12),
            hidden_dropout=values.get("hidden_dropout_prob", 0.1),
            attention_dropout=values.get("attention_probs_dropout_prob", 0.1),
            pad_id=pad_id if pad_id is not None else FAMILIES.index(family),
            initializer_range=values.get("initializer_range", 0.02),
        )


def family_of(values: Mapping[str, Any]) -> str:
    """Tells from the contents of a `config.json` which family its model is of.

    `model_type` says it, and where it is missing the class that saved the model (`architectures`). The
    folder's name says nothing: Chinese RoBERTa-wwm is a BERT.

    Args:
      values: the parsed file.

    Returns:
      One of `FAMILIES`.

    Raises:
      UserError: when the model is of another family, or the file does not tell, or contradicts itself.
    """
    named, supported = values.get("model_type"), ", ".join(MODEL_TYPES)
    classes = values.get("architectures")
    classes = [name for name in classes if isinstance(name, str)] if isinstance(classes, list) else []
    saved_by = {_ARCHITECTURES[found[1]] for name in classes if (found := _ARCHITECTURE.fullmatch(name))}
    if named is None and len(saved_by) == 1:
        return saved_by.pop()
    if named is None:
        what = f"architectures {', '.join(classes)}" if classes else "no architectures"
        raise UserError(
            f"the encoder's config.json has no model_type, and {what}: write the model_type that the model "
            f"was made with; supported are {supported} (a Chinese RoBERTa-wwm is a bert)"
        )
    if named not in MODEL_TYPES:
        raise UserError(
            f"model_type {named!r} in the encoder's config.json: supported are {supported}; name an encoder "
            "of these, or store the features that this one gives and take --config.text.encoder=features"
        )
    if saved_by - {MODEL_TYPES[named]}:
        raise UserError(
            f"the encoder's config.json has model_type {named!r} but architectures {', '.join(classes)}: the "
            "two number positions differently; write the model_type that the model was made with"
        )
    return MODEL_TYPES[named]
