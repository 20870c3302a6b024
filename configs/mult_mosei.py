"""MulT on CMU-MOSEI.

    python -m msa_jax.main --config=configs/mult_mosei.py --config.data.path=FILE

Takes the file's own text features; --config.text.encoder=NAME fine-tunes an encoder instead. The MMSA toolkit
reports MAE 0.559, Corr 0.733, Acc-7 52.84, Acc-2 81.15 (NN/N) and 84.63 (P/N); nobody has measured this
implementation on this corpus yet.
"""

from msa_jax.config import base


def get_config():
    """The toolkit's settings, column MOSEI."""
    config = base.config("mult")
    config.data.corpus = "mosei"
    config.data.lowercase = True
    config.batch_size = 4
    config.optim.learning_rate = 5e-4
    config.optim.plateau.patience = 20  # which the run's patience of 8 never lets it come to
    config.model.width = 30
    config.model.heads = 6
    config.model.audio_kernel = 1
    config.model.vision_kernel = 3
    config.model.text_dropout = 0.3
    config.model.embed_dropout = 0.0
    config.model.attention_dropout = 0.4
    config.model.audio_attention_dropout = 0.0
    return config
