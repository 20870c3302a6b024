"""Config of a BERT or RoBERTa encoder: its sizes, and how they are read from a Hugging Face `config.json`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from msa_jax.errors import UserError

FAMILIES = ("bert", "roberta")
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
        family = values.get("model_type")
        if family not in FAMILIES:
            raise UserError(
                f"model_type {family!r} in the encoder's config.json: supported are {', '.join(FAMILIES)}"
            )
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
