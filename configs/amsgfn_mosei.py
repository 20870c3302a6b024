"""AMSGFN on CMU-MOSEI.

    python -m msa_jax.main --config=configs/amsgfn_mosei.py --config.data.path=FILE

Needs bert-base-uncased, from the Hugging Face hub or a local folder. The paper reports MAE 0.528, Corr 0.801,
Acc-7 54.32, Acc-2 84.36 (NN/N) and 86.52 (P/N); nobody has measured this implementation on this corpus yet.
"""

from msa_jax.config import base


def get_config():
    """Settings that are all ours; the paper gives none."""
    config = base.config("amsgfn")
    config.data.corpus = "mosei"
    config.data.lowercase = True
    config.epochs = 20
    return config
