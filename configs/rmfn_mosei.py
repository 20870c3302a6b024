"""RMFN on CMU-MOSEI.

    python -m msa_jax.main --config=configs/rmfn_mosei.py --config.data.path=FILE

Takes the file's own text features; --config.text.encoder=NAME fine-tunes an encoder instead. Qin et al. 2025
report Acc-2 72.6, Acc-7 40.1, F1 70.6, Corr 0.521, and behind cross-modal attention (the variant crossmodal)
Acc-2 80.1, Acc-7 45.2, F1 77.0, Corr 0.564; nobody has measured this implementation on this corpus yet.
"""

from msa_jax.config import base


def get_config():
    """Settings that are all ours; the paper gives none."""
    config = base.config("rmfn")
    config.data.corpus = "mosei"
    config.data.lowercase = True
    config.epochs = 50
    return config
