"""The corpus CH-SIMS."""

from msa_jax.corpora import CORPORA
from msa_jax.data.datasets.corpus import CorpusBuilder


class ChSims(CorpusBuilder):
    """CH-SIMS from a user's feature file."""

    facts = CORPORA["sims"]
    about = "CH-SIMS: 2281 clips of 60 films, series and shows, Chinese, sentiment in [-1, 1]."
    homepage = "https://github.com/thuiar/MMSA"
    citation = """
    @inproceedings{yu2020chsims,
      title={{CH-SIMS}: A {C}hinese Multimodal Sentiment Analysis Dataset with
        Fine-grained Annotation of Modality},
      author={Yu, Wenmeng and Xu, Hua and Meng, Fanyang and Zhu, Yilin and Ma, Yixiao and Wu, Jiele and
        Zou, Jiyun and Yang, Kaicheng},
      booktitle={Proceedings of the 58th Annual Meeting of the Association for Computational Linguistics},
      year={2020}
    }
    """
