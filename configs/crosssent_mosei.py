"""CrossSent on CMU-MOSEI.

    python -m msa_jax.main --config=configs/crosssent_mosei.py --config.data.path=FILE

Needs roberta-base, from the Hugging Face hub or a local folder. The paper reports MAE 0.513, Corr 0.805,
Acc-7 54.7, Acc-2 (P/N) 87.72; nobody has measured this implementation on this corpus yet.
"""

from msa_jax.config import base


def get_config():
    """The paper's Tables 2 and 3, column MOSEI."""
    config = base.config("crosssent")
    config.data.corpus = "mosei"
    config.data.lowercase = True  # some releases shout; roberta-base is cased
    config.optim.learning_rate = 9.0e-6
    config.loss.mpr_weight = 0.40
    config.loss.eioi_weight = 0.05
    return config
