"""MISA on CH-SIMS.

    python -m msa_jax.main --config=configs/misa_sims.py --config.data.path=FILE

Needs bert-base-chinese, from the Hugging Face hub or a local folder. The MMSA toolkit has settings for this
corpus and no regression result; the paper of AMSGFN reports for MISA MAE 0.492, Corr 0.399, Acc-2 74.44.
Nobody has measured this implementation on this corpus yet.
"""

from msa_jax.config import base


def get_config():
    """The toolkit's settings, column SIMS."""
    config = base.config("misa")
    config.data.corpus = "sims"
    config.text.encoder = "bert-base-chinese"
    config.batch_size = 64
    config.optim.clip_value = 0.5  # toolkit: 1.0 on the sum of two steps
    config.model.dropout = 0.0
    config.model.reverse_weight = 0.5
    config.loss.diff_weight = 0.3
    config.loss.sim_weight = 1.0
    config.loss.recon_weight = 0.8
    return config
