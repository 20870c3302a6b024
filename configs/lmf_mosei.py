"""LMF on CMU-MOSEI.

    python -m msa_jax.main --config=configs/lmf_mosei.py --config.data.path=FILE

Takes the text features of the file. The MMSA toolkit reports MAE 0.576, Corr 0.717, Acc-7 51.59, Acc-2 80.54
(NN/N) and 83.48 (P/N); nobody has measured this implementation on this corpus yet.
"""

from msa_jax.config import base


def get_config():
    """The toolkit's settings, column MOSEI."""
    config = base.config("lmf")
    config.data.corpus = "mosei"
    config.data.lowercase = True
    config.model.text_dropout = 0.2
    config.model.audio_dropout = 0.2
    config.model.vision_dropout = 0.2
    config.model.rank = 4
    config.batch_size = 32
    config.optim.weight_decay = 1e-3
    return config
