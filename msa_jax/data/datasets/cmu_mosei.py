"""The corpus CMU-MOSEI."""

from msa_jax.corpora import CORPORA
from msa_jax.data.datasets.corpus import CorpusBuilder


class CmuMosei(CorpusBuilder):
    """CMU-MOSEI from a user's feature file."""

    facts = CORPORA["mosei"]
    about = "CMU-MOSEI: 22856 sentences of monologues from YouTube, English, sentiment in [-3, 3]."
    homepage = "http://multicomp.cs.cmu.edu/resources/cmu-mosei-dataset/"
    citation = """
    @inproceedings{zadeh2018multimodal,
      title={Multimodal Language Analysis in the Wild: {CMU-MOSEI} Dataset and Interpretable
        Dynamic Fusion Graph},
      author={Zadeh, Amir and Liang, Paul Pu and Poria, Soujanya and Cambria, Erik and
        Morency, Louis-Philippe},
      booktitle={Proceedings of the 56th Annual Meeting of the Association for Computational Linguistics},
      year={2018}
    }
    """
