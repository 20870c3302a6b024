"""CMU-MOSI: 2199 opinion clips of 93 monologues from YouTube, English, sentiment in [-3, 3].

Zadeh, Zellers, Pincus, Morency: MOSI: Multimodal Corpus of Sentiment Intensity and Subjectivity Analysis in
Online Opinion Videos, 2016 (arXiv 1606.06259).
"""

from msa_jax.data.corpora import CORPORA
from msa_jax.data.datasets.corpus import CorpusBuilder


class CmuMosi(CorpusBuilder, skip_registration=True):
    """CMU-MOSI from a user's feature file."""

    facts = CORPORA["mosi"]
