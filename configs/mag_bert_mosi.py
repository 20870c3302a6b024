"""MAG-BERT on CMU-MOSI.

    python -m msa_jax.main --config=configs/mag_bert_mosi.py --config.data.path=FILE

Needs bert-base-uncased, from the Hugging Face hub or a local folder. The MMSA toolkit has settings for this
corpus and prints no result; nobody has measured this implementation on this corpus yet.
"""

from msa_jax.config import base


def get_config():
    """The toolkit's settings, column MOSI."""
    config = base.config("mag_bert")
    config.data.lowercase = True
    return config
