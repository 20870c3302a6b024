"""Self-MM on CH-SIMS.

    python -m msa_jax.main --config=configs/self_mm_sims.py --config.data.path=FILE

Needs bert-base-chinese, from the Hugging Face hub or a local folder. The MMSA toolkit reports MAE 0.425, Corr
0.595, Acc-5 41.53, Acc-3 65.47, Acc-2 80.04; nobody has measured this implementation on this corpus yet.
"""

from msa_jax.config import base


def get_config():
    """The toolkit's settings, column SIMS."""
    config = base.config("self_mm")
    config.data.corpus = "sims"
    config.text.encoder = "bert-base-chinese"
    config.batch_size = 32
    config.model.vision_hidden = 64
    config.model.text_head = 64
    config.model.bound = 1.0
    # Decays are a quarter of the toolkit's, as in the model's defaults.
    config.optim.groups = (
        ("^encoder/.*(bias|scale)$", 0.05, 0.0),
        ("^encoder/", 0.05),
        ("^audio_subnet/", 5.0, 1e-2 / 4),
        ("^vision_subnet/", 5.0, 1e-2 / 4),
        (".*", 1.0),
    )
    return config
