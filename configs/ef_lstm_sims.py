"""EF-LSTM on CH-SIMS.

    python -m msa_jax.main --config=configs/ef_lstm_sims.py --config.data.path=FILE

Takes the file's own text features; --config.text.encoder=NAME fine-tunes an encoder instead. The MMSA toolkit
reports MAE 0.591, Corr 0.055, Acc-5 21.23, Acc-2 69.37, F1 56.82, nearly what one and the same score for
every clip would have; nobody has measured this implementation on this corpus yet.
"""

from msa_jax.config import base


def get_config():
    """The toolkit's settings, column SIMS."""
    config = base.config("ef_lstm")
    config.data.corpus = "sims"
    config.batch_size = 128
    config.optim.learning_rate = 5e-4
    config.optim.weight_decay = 1e-3
    config.model.hidden = 32
    config.model.layers = 3
    return config
