"""TFN on CH-SIMS.

    python -m msa_jax.main --config=configs/tfn_sims.py --config.data.path=FILE

Takes the file's own text features; --config.text.encoder=NAME fine-tunes an encoder instead. The MMSA toolkit
reports MAE 0.432, Corr 0.591, Acc-5 39.30, Acc-2 78.38, F1 78.62; nobody has measured this implementation on
this corpus yet.
"""

from msa_jax.config import base


def get_config():
    """The toolkit's settings, column SIMS, but for the bound: there scores lie between -3 and 3."""
    config = base.config("tfn")
    config.data.corpus = "sims"
    config.optim.learning_rate = 5e-4
    config.model.bound = 1.0  # as the labels do
    config.model.text_width = 256
    config.model.hidden = 32
    config.model.text_dropout = 0.4
    config.model.audio_dropout = 0.4
    config.model.vision_dropout = 0.4
    config.model.fusion_dropout = 0.4
    return config
