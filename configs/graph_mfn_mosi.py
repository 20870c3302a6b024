"""Graph-MFN on CMU-MOSI.

    python -m msa_jax.main --config=configs/graph_mfn_mosi.py --config.data.path=FILE

Takes the file's own text features; --config.text.encoder=NAME fine-tunes an encoder instead. The MMSA toolkit
reports MAE 0.956, Corr 0.649, Acc-7 34.64, Acc-2 77.14 (NN/N) and 78.35 (P/N); nobody has measured this
implementation on this corpus yet.
"""

from msa_jax.config import base


def get_config():
    """The toolkit's settings, column MOSI."""
    config = base.config("graph_mfn")
    config.data.lowercase = True
    return config
