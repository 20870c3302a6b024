"""TeCaFN on UR-FUNNY: humour or not, two classes.

    python -m msa_jax.main --config=configs/tecafn_urfunny.py --config.data.path=FILE

Needs bert-base-uncased, from the Hugging Face hub or a local folder; nobody has measured this implementation
on this corpus yet. Without a data path it runs `:synthetic` of this config and says so.
"""

from msa_jax.config import base

VARIANTS = {"synthetic": {"select": "acc2", "model.p": 0.5}}


def get_config():
    """The paper's settings; cross entropy in place of L1."""
    config = base.config("tecafn")
    config.data.corpus = "ur_funny"
    config.batch_size = 64
    config.select = "acc2"
    config.loss.task = "cross_entropy"
    return config
