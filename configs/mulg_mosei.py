"""MulG on CMU-MOSEI.

    python -m msa_jax.main --config=configs/mulg_mosei.py --config.data.path=FILE

Takes the file's own text features; --config.text.encoder=NAME fine-tunes an encoder instead. The paper
reports Acc-2 82.1, Acc-7 51.4, F1 82.4, Corr 0.704; nobody has measured this implementation on this corpus
yet.
"""

from msa_jax.config import base


def get_config():
    """The paper's Table 1, column MOSEI."""
    config = base.config("mulg")
    config.data.corpus = "mosei"
    config.data.lowercase = True
    config.epochs = 50
    config.batch_size = 16
    config.model.text_dropout = 0.3
    return config
