"""The corpus UR-FUNNY."""

from msa_jax.corpora import CORPORA
from msa_jax.data.datasets.corpus import CorpusBuilder


class UrFunny(CorpusBuilder):
    """UR-FUNNY from a user's feature file."""

    facts = CORPORA["ur_funny"]
    about = "UR-FUNNY: 9588 punchlines of talks (version 2), English, each funny (1) or not (0)."
    homepage = "https://github.com/ROC-HCI/UR-FUNNY"
    citation = """
    @inproceedings{hasan2019urfunny,
      title={{UR-FUNNY}: A Multimodal Language Dataset for Understanding Humor},
      author={Hasan, Md Kamrul and Rahman, Wasifur and Zadeh, Amir and Zhong, Jianyuan and Tanveer,
        Md Iftekhar and Morency, Louis-Philippe and Hoque, Mohammed (Ehsan)},
      booktitle={Proceedings of EMNLP-IJCNLP},
      year={2019}
    }
    """
