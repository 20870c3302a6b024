"""Corpora on disk: built once from a user's file (TFDS, ArrayRecord, no TensorFlow), then read at random."""

from msa_jax.data.datasets.build import build_examples, load
from msa_jax.data.datasets.built import Built, Split, find_built, open_built

__all__ = ["Built", "Split", "build_examples", "find_built", "load", "open_built"]
