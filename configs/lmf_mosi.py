"""LMF on CMU-MOSI.

    python -m msa_jax.main --config=configs/lmf_mosi.py --config.data.path=FILE

Needs bert-base-uncased, from the Hugging Face hub or a local folder; --config.text.encoder=features takes the
file's own text features. The MMSA toolkit reports MAE 0.950, Corr 0.651, Acc-7 33.82, Acc-2 77.9 (NN/N) and
79.18 (P/N); nobody has measured this implementation on this corpus yet.
"""

from msa_jax.config import base


def get_config():
    """The toolkit's settings, column MOSI."""
    config = base.config("lmf")
    config.data.lowercase = True
    return config
