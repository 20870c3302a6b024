"""AMSGFN on CH-SIMS.

    python -m msa_jax.main --config=configs/amsgfn_sims.py --config.data.path=FILE

Needs bert-base-chinese, from the Hugging Face hub or a local folder. The paper reports MAE 0.409, Corr 0.605,
Acc-5 43.15, Acc-2 80.46; nobody has measured this implementation on this corpus yet.
"""

from msa_jax.config import base


def get_config():
    """Settings that are all ours; the paper gives none."""
    config = base.config("amsgfn")
    config.data.corpus = "sims"
    config.text.encoder = "bert-base-chinese"
    return config
