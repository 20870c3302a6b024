"""LF-DNN on CMU-MOSEI.

    python -m msa_jax.main --config=configs/lf_dnn_mosei.py --config.data.path=FILE

Takes the file's own text features; --config.text.encoder=NAME fine-tunes an encoder instead. The MMSA toolkit
reports MAE 0.580, Corr 0.709, Acc-7 50.83, Acc-2 80.60 (NN/N) and 82.74 (P/N); nobody has measured this
implementation on this corpus yet.
"""

from msa_jax.config import base


def get_config():
    """The toolkit's settings, column MOSEI."""
    config = base.config("lf_dnn")
    config.data.corpus = "mosei"
    config.data.lowercase = True
    config.batch_size = 64
    config.optim.learning_rate = 2e-3
    config.optim.weight_decay = 1e-3
    config.model.text_width = 128
    config.model.audio_width = 32
    return config
