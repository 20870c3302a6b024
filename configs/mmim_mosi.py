"""MMIM on CMU-MOSI.

    python -m msa_jax.main --config=configs/mmim_mosi.py --config.data.path=FILE

Needs bert-base-uncased, from the Hugging Face hub or a local folder. The paper reports MAE 0.700, Corr 0.800,
Acc-7 46.65, Acc-2 84.14 (NN/N) and 86.06 (P/N), with settings found by a search of its own for each corpus;
nobody has measured this implementation on this corpus yet.
"""

from msa_jax.config import base


def get_config():
    """The toolkit's settings, column MOSI."""
    config = base.config("mmim")
    config.data.lowercase = True
    return config
