"""TeCaFN on an embedded corpus in the shape of UR-FUNNY: two classes.

    python -m msa_jax.main --config=configs/tecafn_synthetic_urfunny.py

Its scores say nothing about real data; `results.json` says "data": "synthetic".
"""

from configs import base, tecafn

VARIANTS = tecafn.VARIANTS


def get_config(variant: str = ""):
    """As tecafn_synthetic.py, with cross entropy."""
    config = tecafn.tecafn()
    base.on_scratch(config, "synthetic_ur_funny")
    config.epochs = 30
    config.patience = 0
    config.batch_size = 32
    config.model.encoder_layers = 2
    config.model.cross_layers = 2
    config.select = "acc2"
    config.loss.task = "cross_entropy"
    return base.with_variant(config, variant, VARIANTS)
