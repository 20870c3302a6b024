"""LF-DNN on CMU-MOSI.

    python -m msa_jax.main --config=configs/lf_dnn_mosi.py --config.data.path=FILE

Takes the file's own text features; --config.text.encoder=NAME fine-tunes an encoder instead. The MMSA toolkit
reports MAE 0.955, Corr 0.658, Acc-7 34.52, Acc-2 77.52 (NN/N) and 78.63 (P/N); nobody has measured this
implementation on this corpus yet.
"""

from msa_jax.config import base


def get_config():
    """The toolkit's settings, column MOSI."""
    config = base.config("lf_dnn")
    config.data.lowercase = True
    return config
