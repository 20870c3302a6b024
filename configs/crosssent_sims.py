"""CrossSent on CH-SIMS.

    python -m msa_jax.main --config=configs/crosssent_sims.py --config.data.path=FILE

Needs bert-base-chinese, from the Hugging Face hub or a local folder. The paper reports MAE 0.408, Corr 0.622,
Acc-5 43.54, Acc-3 62.36, Acc-2 80.41; nobody has measured this implementation on this corpus yet.
"""

from msa_jax.config import base


def get_config():
    """The paper's Tables 2 and 3, column CH-SIMS."""
    config = base.config("crosssent")
    config.data.corpus = "sims"
    config.text.encoder = "bert-base-chinese"
    config.epochs = 35
    config.batch_size = 16
    config.optim.learning_rate = 1.25e-5
    config.loss.mpr_weight = 0.70
    config.loss.eioi_weight = 0.07
    return config
