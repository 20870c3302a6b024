"""MISA on CMU-MOSI.

    python -m msa_jax.main --config=configs/misa_mosi.py --config.data.path=FILE

Needs bert-base-uncased, from the Hugging Face hub or a local folder. The paper reports MAE 0.783, Corr 0.761,
Acc-7 42.3, Acc-2 81.8 (NN/N) and 83.4 (P/N); the MMSA toolkit MAE 0.777, Corr 0.778, Acc-7 41.37, Acc-2 81.84
and 83.54. Nobody has measured this implementation on this corpus yet.
"""

from msa_jax.config import base


def get_config():
    """The toolkit's settings, column MOSI."""
    config = base.config("misa")
    config.data.lowercase = True
    return config
