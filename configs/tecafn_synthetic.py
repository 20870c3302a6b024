"""TeCaFN on the embedded corpus: a small encoder from scratch, on data made on the spot.

    python -m msa_jax.main --config=configs/tecafn_synthetic.py

Its scores say nothing about real data; `results.json` says "data": "synthetic".
"""

from configs import base, tecafn

VARIANTS = tecafn.VARIANTS


def get_config(variant: str = ""):
    """Small, so that it is done in minutes."""
    config = tecafn.tecafn()
    base.on_scratch(config, "synthetic")
    config.epochs = 30
    config.patience = 0
    config.batch_size = 32
    config.model.encoder_layers = 2
    config.model.cross_layers = 2
    config.model.p = 0.3
    config.select = "loss"
    return base.with_variant(config, variant, VARIANTS)
