"""CrossSent on CMU-MOSI.

    python -m msa_jax.main --config=configs/crosssent_mosi.py --config.data.path=FILE

Needs roberta-base, from the Hugging Face hub or a local folder. The paper reports MAE 0.563, Corr 0.878,
Acc-7 52.1, Acc-2 (P/N) 89.78; with this encoder nobody has measured this implementation yet. Without a data
path, and with no corpus built, the command runs `:synthetic` of this config and says so.
"""

from msa_jax.config import base


def get_config():
    """The paper's Tables 2 and 3, column MOSI."""
    config = base.config("crosssent")
    config.data.lowercase = True  # some releases shout; roberta-base is cased
    return config
