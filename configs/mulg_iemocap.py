"""MulG on IEMOCAP: happy, sad, angry, neutral, each or not.

    python -m msa_jax.main --config=configs/mulg_iemocap.py --config.data.path=FILE

Takes MulT's iemocap_data.pkl, or a file in MMSA's form with text features and four labels a clip, in the
order of `msa_jax.corpora.EMOTIONS`. The paper reports accuracies of 90.6, 86.2, 87.0 and 72.5; nobody
has measured this implementation on this corpus yet. Without a data path it runs `:synthetic` of this config
and says so.
"""

from msa_jax.config import base


def get_config():
    """The paper's Table 1, column IEMOCAP."""
    config = base.config("mulg")
    config.data.corpus = "iemocap"
    config.epochs = 50
    config.batch_size = 32
    config.model.text_dropout = 0.3
    config.model.attention_dropout = 0.2
    config.loss.task = "cross_entropy"
    return config
