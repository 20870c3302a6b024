"""MMIM on CH-SIMS.

    python -m msa_jax.main --config=configs/mmim_sims.py --config.data.path=FILE

Needs bert-base-chinese, from the Hugging Face hub or a local folder. The paper has no such corpus; AMSGFN's
(He 2026) reports MAE 0.428, Corr 0.59, Acc-5 41.76, Acc-2 77.64 for this model. Nobody has measured this
implementation on this corpus yet.
"""

from msa_jax.config import base


def get_config():
    """The toolkit's settings, column SIMS: those of MOSI, with a Chinese encoder."""
    config = base.config("mmim")
    config.data.corpus = "sims"
    config.text.encoder = "bert-base-chinese"
    return config
