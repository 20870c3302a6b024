"""CrossSent on the embedded corpus: a small encoder from scratch, on data made on the spot.

    python -m msa_jax.main --config=configs/crosssent_synthetic.py

About 90 s on two CPU cores; test MAE 0.731 (`python experiments/benchmark.py --case=main_job`). For a first
look, for tests, and for claims that need a known truth (msa_jax/data/synthetic). Its scores say nothing
about real data; `results.json` says "data": "synthetic".
"""

from configs import base, crosssent

VARIANTS = crosssent.VARIANTS


def get_config(variant: str = ""):
    """Everything fresh, so one learning rate for all, and more of it."""
    config = crosssent.crosssent()
    base.on_scratch(config, "synthetic")
    config.epochs = 30
    config.batch_size = 32
    config.data.buckets = 3
    config.optim.learning_rate = 1e-3
    config.optim.warmup = 0.1
    return base.with_variant(config, variant, VARIANTS)
