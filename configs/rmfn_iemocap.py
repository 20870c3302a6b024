"""RMFN on IEMOCAP: happy, sad, angry, neutral, each or not.

    python -m msa_jax.main --config=configs/rmfn_iemocap.py --config.data.path=FILE

Takes MulT's iemocap_data.pkl, or a file in MMSA's form with text features and four labels a clip, in the
order of `msa_jax.corpora.EMOTIONS`. Qin et al. 2025 report accuracies of 87.6, 79.8, 85.6 and 68.1, and
behind cross-modal attention (the variant crossmodal) 90.1, 82.4, 87.6 and 67.2; nobody has measured this
implementation on this corpus yet. Without a data path it runs `:synthetic` of this config and says so.
"""

from msa_jax.config import base


def get_config():
    """Settings that are all ours; the paper gives none."""
    config = base.config("rmfn")
    config.data.corpus = "iemocap"
    config.batch_size = 32
    config.loss.task = "cross_entropy"
    return config
