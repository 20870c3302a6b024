"""TeCaFN on UR-FUNNY: humour or not, two classes.

    python -m msa_jax.main --config=configs/tecafn_urfunny.py --config.data.path=FILE

Needs bert-base-uncased, from the Hugging Face hub or a local folder; nobody has measured this implementation
on this corpus yet. Without a data path it runs `tecafn_synthetic_urfunny.py` instead and says so.
"""

from configs import base, tecafn

VARIANTS = tecafn.VARIANTS


def get_config(variant: str = ""):
    """The paper's settings; cross entropy in place of L1."""
    config = tecafn.tecafn()
    config.data.corpus = "ur_funny"
    config.batch_size = 64
    config.select = "acc2"
    config.loss.task = "cross_entropy"
    return base.with_variant(config, variant, VARIANTS)
