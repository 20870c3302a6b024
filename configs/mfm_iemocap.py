"""MFM on IEMOCAP: happy, sad, angry, neutral, each or not.

    python -m msa_jax.main --config=configs/mfm_iemocap.py --config.data.path=FILE

Takes MulT's iemocap_data.pkl, or a file in MMSA's form with text features and four labels a clip, in the
order of `msa_jax.corpora.EMOTIONS`. Qin et al. (2025) report accuracies of 82.3, 81.6, 84.5 and 68.6, and of
88.1, 85.4, 87.5 and 72.1 with cross-modal attention before it (`:crossmodal`); nobody has measured this
implementation on this corpus yet.
"""

from msa_jax.config import base


def get_config():
    """Sizes as for MOSI (ours; the toolkit has none for this corpus)."""
    config = base.config("mfm")
    config.data.corpus = "iemocap"
    config.loss.task = "cross_entropy"
    return config
