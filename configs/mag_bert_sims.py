"""MAG-BERT on CH-SIMS.

    python -m msa_jax.main --config=configs/mag_bert_sims.py --config.data.path=FILE

Needs bert-base-chinese, from the Hugging Face hub or a local folder. The MMSA toolkit has settings for this
corpus and prints no result; nobody has measured this implementation on this corpus yet.
"""

from msa_jax.config import base


def get_config():
    """The toolkit's settings, column SIMS."""
    config = base.config("mag_bert")
    config.data.corpus = "sims"
    config.text.encoder = "bert-base-chinese"
    config.optim.learning_rate = 5e-5
    config.model.mag.dropout = 0.1
    return config
