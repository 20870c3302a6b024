"""Pretrained (or fresh) text encoders and their tokenizers."""

from msa_jax.text.config import EncoderConfig
from msa_jax.text.encoder import Encoder, EncoderOutput
from msa_jax.text.loading import load_tokenizer
from msa_jax.text.pretrained import load_encoder
from msa_jax.text.tokenizer import Tokenizer, train_tokenizer, words_of

__all__ = [
    "Encoder",
    "EncoderConfig",
    "EncoderOutput",
    "Tokenizer",
    "load_encoder",
    "load_tokenizer",
    "train_tokenizer",
    "words_of",
]
