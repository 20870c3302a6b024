"""MFM on CH-SIMS.

    python -m msa_jax.main --config=configs/mfm_sims.py --config.data.path=FILE

Takes the file's own text features; --config.text.encoder=NAME fine-tunes an encoder instead. The MMSA toolkit
has settings for this corpus and reports no numbers; nobody has measured this implementation on it yet.
"""

from msa_jax.config import base


def get_config():
    """The toolkit's settings, column SIMS."""
    config = base.config("mfm")
    config.data.corpus = "sims"
    config.batch_size = 128
    config.optim.weight_decay = 5e-3
    config.model.text_hidden = 64
    config.model.audio_hidden = 16
    config.model.vision_hidden = 64
    config.model.memory = 128
    config.model.attention_dropout = 0.5
    config.model.proposal_dropout = 0.5
    config.model.retain_hidden = 64
    config.model.retain_dropout = 0.7
    config.model.update_hidden = 256
    config.model.update_dropout = 0.0
    config.model.code = 48
    config.model.text_code = 256
    config.model.audio_code = 32
    config.model.factor = 48
    config.model.text_factor = 256
    config.model.audio_factor = 80
    config.model.vision_factor = 48
    config.model.text_factor_dropout = 0.0
    config.model.vision_factor_dropout = 0.0
    config.model.output_dropout = 0.7
    config.loss.mmd_weight = 200.0
    config.loss.vision_weight = 0.01
    return config
