"""Self-MM on CMU-MOSEI.

    python -m msa_jax.main --config=configs/self_mm_mosei.py --config.data.path=FILE

Needs bert-base-uncased, from the Hugging Face hub or a local folder. The MMSA toolkit reports MAE 0.531, Corr
0.765, Acc-7 53.87, Acc-2 83.76 (NN/N) and 85.15 (P/N); nobody has measured this implementation on this corpus
yet.
"""

from msa_jax.config import base


def get_config():
    """The toolkit's settings, column MOSEI."""
    config = base.config("self_mm")
    config.data.corpus = "mosei"
    config.data.lowercase = True
    config.batch_size = 32
    config.model.fusion_head_dropout = 0.1
    config.model.text_head_dropout = 0.0
    config.model.audio_head_dropout = 0.0
    # Decays are a quarter of the toolkit's, as in the model's defaults.
    config.optim.weight_decay = 1e-2 / 4
    config.optim.groups = (
        ("^encoder/.*(bias|scale)$", 0.05, 0.0),
        ("^encoder/", 0.05, 1e-3 / 4),
        ("^audio_subnet/", 5.0, 0.0),
        ("^vision_subnet/", 0.1, 0.0),
        (".*", 1.0),
    )
    return config
