"""Self-MM on CMU-MOSI.

    python -m msa_jax.main --config=configs/self_mm_mosi.py --config.data.path=FILE

Needs bert-base-uncased, from the Hugging Face hub or a local folder. The MMSA toolkit reports MAE 0.708, Corr
0.796, Acc-7 46.67, Acc-2 83.44 (NN/N) and 85.46 (P/N); nobody has measured this implementation on this corpus
yet.
"""

from msa_jax.config import base


def get_config():
    """The toolkit's settings, column MOSI."""
    config = base.config("self_mm")
    config.data.lowercase = True
    return config
