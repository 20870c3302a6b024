"""TFN on CMU-MOSEI.

    python -m msa_jax.main --config=configs/tfn_mosei.py --config.data.path=FILE

Takes the file's own text features; --config.text.encoder=NAME fine-tunes an encoder instead. The MMSA toolkit
reports MAE 0.573, Corr 0.714, Acc-7 51.60, Acc-2 78.50 (NN/N) and 81.89 (P/N); nobody has measured this
implementation on this corpus yet.
"""

from msa_jax.config import base


def get_config():
    """The toolkit's settings, column MOSEI."""
    config = base.config("tfn")
    config.data.corpus = "mosei"
    config.data.lowercase = True
    config.batch_size = 128
    config.optim.learning_rate = 5e-3
    config.model.text_width = 128
    config.model.audio_width = 16
    config.model.hidden = 16
    config.model.text_dropout = 0.4
    config.model.audio_dropout = 0.4
    config.model.vision_dropout = 0.4
    config.model.fusion_dropout = 0.4
    return config
