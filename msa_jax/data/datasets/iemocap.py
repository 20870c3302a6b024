"""The corpus IEMOCAP."""

from msa_jax.corpora import CORPORA
from msa_jax.data.datasets.corpus import CorpusBuilder


class Iemocap(CorpusBuilder):
    """IEMOCAP from a user's feature file."""

    facts = CORPORA["iemocap"]
    about = (
        "IEMOCAP: 4453 turns of acted dialogues, English; happy, sad, angry and neutral, "
        "each there (1) or not (0)."
    )
    homepage = "https://sail.usc.edu/iemocap/"
    citation = """
    @article{busso2008iemocap,
      title={{IEMOCAP}: Interactive Emotional Dyadic Motion Capture Database},
      author={Busso, Carlos and Bulut, Murtaza and Lee, Chi-Chun and Kazemzadeh, Abe and Mower, Emily and Kim,
        Samuel and Chang, Jeannette N. and Lee, Sungbok and Narayanan, Shrikanth S.},
      journal={Language Resources and Evaluation},
      volume={42},
      year={2008}
    }
    """
