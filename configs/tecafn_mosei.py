"""TeCaFN on CMU-MOSEI.

    python -m msa_jax.main --config=configs/tecafn_mosei.py --config.data.path=FILE

Needs bert-base-uncased, from the Hugging Face hub or a local folder. The paper reports MAE 0.526, Corr 0.772,
Acc-7 55.39, Acc-2 85.04 (NN/N) and 86.27 (P/N); nobody has measured this implementation on this corpus yet.
"""

from msa_jax.config import base


def get_config():
    """The paper's settings, column MOSEI."""
    config = base.config("tecafn")
    config.data.corpus = "mosei"
    config.data.lowercase = True
    config.batch_size = 64
    config.model.p = 0.4
    return config
