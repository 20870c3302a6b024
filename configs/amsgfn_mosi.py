"""AMSGFN on CMU-MOSI.

    python -m msa_jax.main --config=configs/amsgfn_mosi.py --config.data.path=FILE

Needs bert-base-uncased, from the Hugging Face hub or a local folder. The paper reports MAE 0.699, Corr 0.803,
Acc-7 48.02, Acc-2 84.35 (NN/N) and 86.27 (P/N); nobody has measured this implementation with it yet.
Without a data path, and with no corpus built, the command runs `:synthetic` of this config and says so.
"""

from msa_jax.config import base


def get_config():
    """Settings that are all ours; the paper gives none."""
    config = base.config("amsgfn")
    config.data.lowercase = True
    return config
