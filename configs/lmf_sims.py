"""LMF on CH-SIMS.

    python -m msa_jax.main --config=configs/lmf_sims.py --config.data.path=FILE

Takes the text features of the file. The MMSA toolkit reports MAE 0.441, Corr 0.576, Acc-5 40.53, Acc-3 64.68,
Acc-2 77.77; nobody has measured this implementation on this corpus yet.
"""

from msa_jax.config import base


def get_config():
    """The toolkit's settings, column SIMS."""
    config = base.config("lmf")
    config.data.corpus = "sims"
    config.model.text_hidden = 64
    config.model.text_width = 32
    config.model.vision_width = 64
    config.model.text_dropout = 0.2
    config.model.audio_dropout = 0.2
    config.model.vision_dropout = 0.2
    config.model.rank = 4
    config.optim.learning_rate = 2e-3
    # The toolkit has a rate of its own for the factors: 5e-4.
    config.optim.groups = (("^encoder/", 0.025), ("_factor$", 0.25), (".*", 1.0))
    return config
