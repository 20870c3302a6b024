"""LMF on CMU-MOSI.

    python -m msa_jax.main --config=configs/lmf_mosi.py --config.data.path=FILE

Takes the text features of the file; --config.text.encoder=bert-base-uncased trains an encoder in their place.
The MMSA toolkit reports MAE 0.950, Corr 0.651, Acc-7 33.82, Acc-2 77.9 (NN/N) and 79.18 (P/N); nobody has
measured this implementation on this corpus yet.
"""

from msa_jax.config import base


def get_config():
    """The toolkit's settings, column MOSI."""
    config = base.config("lmf")
    config.data.lowercase = True
    return config
