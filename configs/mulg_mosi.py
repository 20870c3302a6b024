"""MulG on CMU-MOSI.

    python -m msa_jax.main --config=configs/mulg_mosi.py --config.data.path=FILE

Takes the file's own text features; --config.text.encoder=NAME fine-tunes an encoder instead. The paper
reports MAE 0.821, Corr 0.695, Acc-7 40.5, Acc-2 82.2; nobody has measured this implementation on full files
yet.
Without a data path, and with no corpus built, the command runs `mulg_synthetic.py` instead and says so.
"""

from configs import base, mulg

VARIANTS = mulg.VARIANTS


def get_config(variant: str = ""):
    """The paper's Table 1, column MOSI."""
    config = mulg.mulg()
    return base.with_variant(config, variant, VARIANTS)
