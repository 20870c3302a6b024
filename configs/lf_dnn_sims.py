"""LF-DNN on CH-SIMS.

    python -m msa_jax.main --config=configs/lf_dnn_sims.py --config.data.path=FILE

Takes the file's own text features; --config.text.encoder=NAME fine-tunes an encoder instead. The MMSA toolkit
reports MAE 0.446, Corr 0.555, Acc-5 39.74, Acc-2 77.02, F1 77.27; nobody has measured this implementation on
this corpus yet.
"""

from msa_jax.config import base


def get_config():
    """The toolkit's settings, column SIMS."""
    config = base.config("lf_dnn")
    config.data.corpus = "sims"
    config.optim.learning_rate = 5e-3
    config.optim.weight_decay = 5e-3
    config.model.audio_width = 32
    config.model.fusion_width = 32
    config.model.text_dropout = 0.3
    config.model.audio_dropout = 0.3
    config.model.vision_dropout = 0.3
    config.model.fusion_dropout = 0.5
    return config
