"""Corpora on disk: built once from a user's file (TFDS, ArrayRecord, no TensorFlow), then read at random.

Importing this module makes the builders known to TFDS: `tfds.builder("cmu_mosei", data_dir=...)`.
"""

from msa_jax.data.content import content_hash
from msa_jax.data.datasets.build import build_examples, load
from msa_jax.data.datasets.built import Built, Split, find_built, open_built
from msa_jax.data.datasets.ch_sims import ChSims
from msa_jax.data.datasets.cmu_mosei import CmuMosei
from msa_jax.data.datasets.cmu_mosi import CmuMosi
from msa_jax.data.datasets.iemocap import Iemocap
from msa_jax.data.datasets.prepared import Prepared, prepare
from msa_jax.data.datasets.ur_funny import UrFunny

__all__ = [
    "Built",
    "ChSims",
    "CmuMosei",
    "CmuMosi",
    "Iemocap",
    "Prepared",
    "Split",
    "UrFunny",
    "build_examples",
    "content_hash",
    "find_built",
    "load",
    "open_built",
    "prepare",
]
