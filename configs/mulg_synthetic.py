"""MulG on the embedded corpus: a small encoder from scratch, on data made on the spot.

    python -m msa_jax.main --config=configs/mulg_synthetic.py

Its scores say nothing about real data; `results.json` says "data": "synthetic".
"""

from configs import base, mulg

VARIANTS = mulg.VARIANTS


def get_config(variant: str = ""):
    """Small, so that it is done in minutes."""
    config = mulg.mulg()
    base.on_scratch(config, "synthetic")
    config.epochs = 30
    config.patience = 0
    config.batch_size = 32
    return base.with_variant(config, variant, VARIANTS)
