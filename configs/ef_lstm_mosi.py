"""EF-LSTM on CMU-MOSI.

    python -m msa_jax.main --config=configs/ef_lstm_mosi.py --config.data.path=FILE

Takes the file's own text features; --config.text.encoder=NAME fine-tunes an encoder instead. The MMSA toolkit
reports MAE 0.949, Corr 0.669, Acc-7 35.39, Acc-2 77.38 (NN/N) and 78.48 (P/N), with its normalisation of the
steps (`:step_norm`); Qin et al. (2025) report MAE 1.109, Corr 0.586, Acc-7 29.1, Acc-2 66.2, and 1.014,
0.601, 33.4, 74.2 with cross-modal attention before it (`:crossmodal`). Nobody has measured this
implementation on this corpus yet.
"""

from msa_jax.config import base


def get_config():
    """The toolkit's settings, column MOSI."""
    config = base.config("ef_lstm")
    config.data.lowercase = True
    return config
