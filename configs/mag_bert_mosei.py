"""MAG-BERT on CMU-MOSEI.

    python -m msa_jax.main --config=configs/mag_bert_mosei.py --config.data.path=FILE

Needs bert-base-uncased, from the Hugging Face hub or a local folder. The MMSA toolkit has settings for this
corpus and prints no result; nobody has measured this implementation on this corpus yet.
"""

from msa_jax.config import base


def get_config():
    """The toolkit's settings, column MOSEI."""
    config = base.config("mag_bert")
    config.data.corpus = "mosei"
    config.data.lowercase = True
    config.optim.learning_rate = 1e-5
    config.model.mag.dropout = 0.2
    return config
