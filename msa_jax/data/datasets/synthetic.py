"""The embedded corpus of `msa_jax.data.synthetic`, stored like a real one."""

import dataclasses

from msa_jax.data.corpora import CORPORA
from msa_jax.data.datasets.corpus import CorpusBuilder


class SyntheticMosi(CorpusBuilder, skip_registration=True):
    """Generated clips of the shape of CMU-MOSI."""

    facts = dataclasses.replace(CORPORA["mosi"], title="Synthetic MOSI")
