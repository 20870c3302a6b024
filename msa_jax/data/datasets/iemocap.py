"""IEMOCAP: 4453 turns of acted dialogues, English; happy, sad, angry and neutral, each there (1) or not (0).

Busso, Bulut, Lee, Kazemzadeh, Mower, Kim, Chang, Lee, Narayanan: IEMOCAP: Interactive Emotional Dyadic Motion
Capture Database, Language Resources and Evaluation 42, 2008.
"""

from msa_jax.data.corpora import CORPORA
from msa_jax.data.datasets.corpus import CorpusBuilder


class Iemocap(CorpusBuilder, skip_registration=True):
    """IEMOCAP from a user's feature file."""

    facts = CORPORA["iemocap"]
