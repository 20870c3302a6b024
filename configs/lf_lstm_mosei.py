"""LF-LSTM on CMU-MOSEI.

    python -m msa_jax.main --config=configs/lf_lstm_mosei.py --config.data.path=FILE

Takes the file's own text features; --config.text.encoder=NAME fine-tunes an encoder instead. Qin et al.
(2025) report Acc-2 71.5, Acc-7 41.5, F1 73.2, Corr 0.601, and 79.8, 47.3, 80.1, 0.653 with cross-modal
attention before it (`:crossmodal`); nobody has measured this implementation on this corpus yet.
"""

from msa_jax.config import base


def get_config():
    """Settings that are all ours; no paper gives any."""
    config = base.config("lf_lstm")
    config.data.corpus = "mosei"
    config.data.lowercase = True
    config.batch_size = 128
    return config
