"""CH-SIMS: 2281 clips of 60 films, series and shows, Chinese, sentiment in [-1, 1].

Yu, Xu, Meng, Zhu, Ma, Wu, Zou, Yang: CH-SIMS: A Chinese Multimodal Sentiment Analysis Dataset with
Fine-grained Annotations of Modality, ACL 2020.
"""

from msa_jax.data.corpora import CORPORA
from msa_jax.data.datasets.corpus import CorpusBuilder


class ChSims(CorpusBuilder, skip_registration=True):
    """CH-SIMS from a user's feature file."""

    facts = CORPORA["sims"]
