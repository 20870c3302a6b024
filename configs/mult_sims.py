"""MulT on CH-SIMS.

    python -m msa_jax.main --config=configs/mult_sims.py --config.data.path=FILE

Takes the file's own text features; --config.text.encoder=NAME fine-tunes an encoder instead. The MMSA toolkit
reports MAE 0.453, Corr 0.564, Acc-5 37.94, Acc-3 64.77, Acc-2 78.56; nobody has measured this implementation
on this corpus yet.
"""

from msa_jax.config import base


def get_config():
    """The toolkit's settings, column SIMS."""
    config = base.config("mult")
    config.data.corpus = "sims"
    config.optim.plateau.patience = 10
    config.model.layers = 2
    config.model.self_layers = 3
    config.model.audio_kernel = 1
    config.model.vision_kernel = 1
    config.model.text_dropout = 0.3
    config.model.embed_dropout = 0.1
    config.model.attention_dropout = 0.2
    config.model.audio_attention_dropout = 0.1
    config.model.residual_dropout = 0.2
    config.model.output_dropout = 0.1
    return config
