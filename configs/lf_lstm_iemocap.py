"""LF-LSTM on IEMOCAP: happy, sad, angry, neutral, each or not.

    python -m msa_jax.main --config=configs/lf_lstm_iemocap.py --config.data.path=FILE

Takes MulT's iemocap_data.pkl, or a file in MMSA's form with text features and four labels a clip, in the
order of `msa_jax.corpora.EMOTIONS`. Qin et al. (2025) report accuracies of 80.9, 74.6, 80.1 and 57.3, and of
85.9, 76.9, 84.6 and 61.7 with cross-modal attention before it (`:crossmodal`); nobody has measured this
implementation on this corpus yet.
"""

from msa_jax.config import base


def get_config():
    """Settings that are all ours; no paper gives any."""
    config = base.config("lf_lstm")
    config.data.corpus = "iemocap"
    config.loss.task = "cross_entropy"
    return config
