"""MMIM on CMU-MOSEI.

    python -m msa_jax.main --config=configs/mmim_mosei.py --config.data.path=FILE

Needs bert-base-uncased, from the Hugging Face hub or a local folder. The paper reports MAE 0.526, Corr 0.772,
Acc-7 54.24, Acc-2 82.24 (NN/N) and 85.97 (P/N), with settings found by a search of its own for each corpus;
nobody has measured this implementation on this corpus yet.
"""

from msa_jax.config import base


def get_config():
    """The toolkit's settings, column MOSEI: those of MOSI."""
    config = base.config("mmim")
    config.data.corpus = "mosei"
    config.data.lowercase = True
    return config
