"""MulG on an embedded corpus in the shape of IEMOCAP: four emotions, each or not.

    python -m msa_jax.main --config=configs/mulg_synthetic_iemocap.py

Its scores say nothing about real data; `results.json` says "data": "synthetic".
"""

from configs import base, mulg

VARIANTS = mulg.VARIANTS


def get_config(variant: str = ""):
    """As mulg_synthetic.py, with cross entropy."""
    config = mulg.mulg()
    base.on_scratch(config, "synthetic_iemocap")
    config.epochs = 30
    config.batch_size = 32
    config.loss.task = "cross_entropy"
    return base.with_variant(config, variant, VARIANTS)
