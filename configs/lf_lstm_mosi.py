"""LF-LSTM on CMU-MOSI.

    python -m msa_jax.main --config=configs/lf_lstm_mosi.py --config.data.path=FILE

Takes the file's own text features; --config.text.encoder=NAME fine-tunes an encoder instead. Qin et al.
(2025) report MAE 1.121, Corr 0.598, Acc-7 29.8, Acc-2 71.7, and 1.021, 0.621, 34.2, 78.5 with cross-modal
attention before it (`:crossmodal`); nobody has measured this implementation on this corpus yet.
"""

from msa_jax.config import base


def get_config():
    """Settings that are all ours; no paper gives any."""
    config = base.config("lf_lstm")
    config.data.lowercase = True
    return config
