"""EF-LSTM on CMU-MOSEI.

    python -m msa_jax.main --config=configs/ef_lstm_mosei.py --config.data.path=FILE

Takes the file's own text features; --config.text.encoder=NAME fine-tunes an encoder instead. The MMSA toolkit
reports MAE 0.601, Corr 0.683, Acc-7 50.01, Acc-2 77.84 (NN/N) and 80.79 (P/N), with its normalisation of the
steps (`:step_norm`); Qin et al. (2025) report Acc-2 70.1, Acc-7 42.9, F1 70.4, Corr 0.569, and 77.6, 46.7,
77.8, 0.614 with cross-modal attention before it (`:crossmodal`). Nobody has measured this implementation on
this corpus yet.
"""

from msa_jax.config import base


def get_config():
    """The toolkit's settings, column MOSEI."""
    config = base.config("ef_lstm")
    config.data.corpus = "mosei"
    config.data.lowercase = True
    config.batch_size = 128
    config.optim.learning_rate = 5e-3
    config.optim.weight_decay = 1e-4
    config.model.hidden = 256
    config.model.layers = 2
    config.model.dropout = 0.4
    return config
