"""MISA on CMU-MOSEI.

    python -m msa_jax.main --config=configs/misa_mosei.py --config.data.path=FILE

Needs bert-base-uncased, from the Hugging Face hub or a local folder. The paper reports MAE 0.555, Corr 0.756,
Acc-7 52.2, Acc-2 83.6 (NN/N) and 85.5 (P/N); the MMSA toolkit MAE 0.558, Corr 0.752, Acc-7 52.05, Acc-2 80.67
and 84.67. Nobody has measured this implementation on this corpus yet.
"""

from msa_jax.config import base


def get_config():
    """The toolkit's settings, column MOSEI."""
    config = base.config("misa")
    config.data.corpus = "mosei"
    config.data.lowercase = True
    config.batch_size = 64
    config.model.dropout = 0.5
    config.loss.diff_weight = 0.3
    config.loss.sim_weight = 0.8
    return config
