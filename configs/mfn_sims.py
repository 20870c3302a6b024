"""MFN on CH-SIMS.

    python -m msa_jax.main --config=configs/mfn_sims.py --config.data.path=FILE

Takes the file's own text features; --config.text.encoder=NAME fine-tunes an encoder instead. The MMSA toolkit
reports MAE 0.435, Corr 0.582, Acc-5 39.47, Acc-3 65.73, Acc-2 77.9 on word-aligned text beside the means of
audio and vision over time; nobody has measured this implementation on this corpus yet.
"""

from msa_jax.config import base


def get_config():
    """The toolkit's settings, column SIMS."""
    config = base.config("mfn")
    config.data.corpus = "sims"
    config.batch_size = 32
    config.optim.learning_rate = 1e-3
    config.model.text_hidden = 64
    config.model.audio_hidden = 16
    config.model.vision_hidden = 64
    config.model.memory = 64
    config.model.attention_hidden = 128
    config.model.proposal_hidden = 128
    config.model.retain_hidden = 64
    config.model.retain_dropout = 0.2
    config.model.update_hidden = 64
    config.model.update_dropout = 0.7
    config.model.output_hidden = 64
    config.model.output_dropout = 0.7
    return config
