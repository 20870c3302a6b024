"""TeCaFN on CMU-MOSI.

    python -m msa_jax.main --config=configs/tecafn_mosi.py --config.data.path=FILE

Needs bert-base-uncased, from the Hugging Face hub or a local folder. The paper reports MAE 0.684, Corr 0.800,
Acc-7 47.81, Acc-2 84.99 (NN/N) and 86.89 (P/N); nobody has measured this implementation with it yet.
Without a data path, and with no corpus built, the command runs `:synthetic` of this config and says so.
"""

from msa_jax.config import base


def get_config():
    """The paper's settings, column MOSI."""
    config = base.config("tecafn")
    config.data.lowercase = True
    config.model.p = 0.7
    return config
