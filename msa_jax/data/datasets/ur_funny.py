"""UR-FUNNY: 9588 punchlines of talks (version 2), English, each funny (1) or not (0).

Hasan, Rahman, Zadeh, Zhong, Tanveer, Morency, Hoque: UR-FUNNY: A Multimodal Language Dataset for
Understanding Humor, EMNLP 2019.
"""

from msa_jax.data.corpora import CORPORA
from msa_jax.data.datasets.corpus import CorpusBuilder


class UrFunny(CorpusBuilder, skip_registration=True):
    """UR-FUNNY from a user's feature file."""

    facts = CORPORA["ur_funny"]
