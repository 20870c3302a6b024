"""CMU-MOSEI: 22856 sentences of monologues from YouTube, English, sentiment in [-3, 3].

Zadeh, Liang, Poria, Cambria, Morency: Multimodal Language Analysis in the Wild: CMU-MOSEI Dataset and
Interpretable Dynamic Fusion Graph, ACL 2018.
"""

from msa_jax.data.corpora import CORPORA
from msa_jax.data.datasets.corpus import CorpusBuilder


class CmuMosei(CorpusBuilder, skip_registration=True):
    """CMU-MOSEI from a user's feature file."""

    facts = CORPORA["mosei"]
