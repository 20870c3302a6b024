"""MFN on CMU-MOSEI.

    python -m msa_jax.main --config=configs/mfn_mosei.py --config.data.path=FILE

Takes the file's own text features; --config.text.encoder=NAME fine-tunes an encoder instead. The MMSA toolkit
reports MAE 0.573, Corr 0.718, Acc-7 51.34, Acc-2 78.94 (NN/N) and 82.86 (P/N) on word-aligned text
beside the means of audio and vision over time; nobody has measured this implementation on this corpus yet.
"""

from msa_jax.config import base


def get_config():
    """The toolkit's settings, column MOSEI."""
    config = base.config("mfn")
    config.data.corpus = "mosei"
    config.data.lowercase = True
    config.batch_size = 64
    config.optim.learning_rate = 5e-4
    config.optim.weight_decay = 1e-4
    config.model.text_hidden = 128
    config.model.vision_hidden = 128
    config.model.memory = 128
    config.model.attention_hidden = 128
    config.model.proposal_hidden = 128
    config.model.proposal_dropout = 0.5
    config.model.update_hidden = 256
    config.model.update_dropout = 0.0
    config.model.output_dropout = 0.5
    return config
