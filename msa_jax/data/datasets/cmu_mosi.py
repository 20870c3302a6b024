"""The corpus CMU-MOSI."""

from msa_jax.corpora import CORPORA
from msa_jax.data.datasets.corpus import CorpusBuilder


class CmuMosi(CorpusBuilder):
    """CMU-MOSI from a user's feature file."""

    facts = CORPORA["mosi"]
    about = "CMU-MOSI: 2199 opinion clips of 93 monologues from YouTube, English, sentiment in [-3, 3]."
    homepage = "http://multicomp.cs.cmu.edu/resources/cmu-mosi-dataset/"
    citation = """
    @article{zadeh2016mosi,
      title={{MOSI}: Multimodal Corpus of Sentiment Intensity and Subjectivity Analysis in
        Online Opinion Videos},
      author={Zadeh, Amir and Zellers, Rowan and Pincus, Eli and Morency, Louis-Philippe},
      journal={arXiv preprint arXiv:1606.06259},
      year={2016}
    }
    """
