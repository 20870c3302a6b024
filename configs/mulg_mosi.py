"""MulG on CMU-MOSI.

    python -m msa_jax.main --config=configs/mulg_mosi.py --config.data.path=FILE

Takes the file's own text features; --config.text.encoder=NAME fine-tunes an encoder instead. The paper
reports MAE 0.821, Corr 0.695, Acc-7 40.5, Acc-2 82.2; nobody has measured this implementation on full files
yet.
Without a data path, and with no corpus built, the command runs `:synthetic` of this config and says so.
"""

from msa_jax.config import base


def get_config():
    """The paper's Table 1, column MOSI."""
    config = base.config("mulg")
    config.data.lowercase = True
    return config
