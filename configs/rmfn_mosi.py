"""RMFN on CMU-MOSI.

    python -m msa_jax.main --config=configs/rmfn_mosi.py --config.data.path=FILE

Takes the file's own text features; --config.text.encoder=NAME fine-tunes an encoder instead. Qin et al. 2025
report MAE 1.018, Corr 0.649, Acc-7 30.1, Acc-2 69.7, and behind cross-modal attention (the variant
crossmodal) MAE 0.912, Corr 0.693, Acc-7 35.2, Acc-2 76.4; nobody has measured this implementation on this
corpus yet.
"""

from msa_jax.config import base


def get_config():
    """Settings that are all ours; the paper gives none."""
    config = base.config("rmfn")
    config.data.lowercase = True
    return config
