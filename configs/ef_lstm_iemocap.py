"""EF-LSTM on IEMOCAP: happy, sad, angry, neutral, each or not.

    python -m msa_jax.main --config=configs/ef_lstm_iemocap.py --config.data.path=FILE

Takes MulT's iemocap_data.pkl, or a file in MMSA's form with text features and four labels a clip, in the
order of `msa_jax.corpora.EMOTIONS`. Qin et al. (2025) report accuracies of 80.6, 76.9, 80.6 and 60.8, and of
85.5, 80.1, 85.3 and 67.9 with cross-modal attention before it (`:crossmodal`); nobody has measured this
implementation on this corpus yet.
"""

from msa_jax.config import base


def get_config():
    """The toolkit's settings for CMU-MOSI: none are published for this corpus."""
    config = base.config("ef_lstm")
    config.data.corpus = "iemocap"
    config.loss.task = "cross_entropy"
    return config
