"""MulT on CMU-MOSI.

    python -m msa_jax.main --config=configs/mult_mosi.py --config.data.path=FILE

Takes the file's own text features; --config.text.encoder=NAME fine-tunes an encoder instead. The MMSA toolkit
reports MAE 0.880, Corr 0.702, Acc-7 36.91, Acc-2 79.71 (NN/N) and 80.98 (P/N); nobody has measured this
implementation on this corpus yet.
"""

from msa_jax.config import base


def get_config():
    """The toolkit's settings, column MOSI."""
    config = base.config("mult")
    config.data.lowercase = True
    return config
