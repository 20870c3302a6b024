"""MFM on CMU-MOSI.

    python -m msa_jax.main --config=configs/mfm_mosi.py --config.data.path=FILE

Takes the file's own text features; --config.text.encoder=NAME fine-tunes an encoder instead. Qin et al.
(2025) report MAE 1.052, Corr 0.603, Acc-7 32.4, Acc-2 72.1, and 0.900, 0.614, 36.4, 78.9 with cross-modal
attention before it (`:crossmodal`); nobody has measured this implementation on this corpus yet.
"""

from msa_jax.config import base


def get_config():
    """The toolkit's settings, column MOSI."""
    config = base.config("mfm")
    config.data.lowercase = True
    return config
