"""TFN on CMU-MOSI.

    python -m msa_jax.main --config=configs/tfn_mosi.py --config.data.path=FILE

Takes the file's own text features; --config.text.encoder=NAME fine-tunes an encoder instead. The MMSA toolkit
reports MAE 0.947, Corr 0.673, Acc-7 34.46, Acc-2 77.99 (NN/N) and 79.08 (P/N); nobody has measured this
implementation on this corpus yet.
"""

from msa_jax.config import base


def get_config():
    """The toolkit's settings, column MOSI."""
    config = base.config("tfn")
    config.data.lowercase = True
    return config
