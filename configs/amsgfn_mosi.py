"""AMSGFN on CMU-MOSI.

    python -m msa_jax.main --config=configs/amsgfn_mosi.py --config.data.path=FILE

Needs bert-base-uncased, from the Hugging Face hub or a local folder. The paper reports MAE 0.699, Corr 0.803,
Acc-7 48.02, Acc-2 84.35 (NN/N) and 86.27 (P/N); nobody has measured this implementation with it yet.
Without a data path, and with no corpus built, the command runs `amsgfn_synthetic.py` instead and says so.
"""

from configs import amsgfn, base

VARIANTS = amsgfn.VARIANTS


def get_config(variant: str = ""):
    """Settings that are all ours; the paper gives none."""
    config = amsgfn.amsgfn()
    config.data.lowercase = True
    return base.with_variant(config, variant, VARIANTS)
