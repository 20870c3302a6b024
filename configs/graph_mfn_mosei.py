"""Graph-MFN on CMU-MOSEI.

    python -m msa_jax.main --config=configs/graph_mfn_mosei.py --config.data.path=FILE

Takes the file's own text features; --config.text.encoder=NAME fine-tunes an encoder instead. The MMSA toolkit
reports MAE 0.575, Corr 0.713, Acc-7 51.37, Acc-2 81.28 (NN/N) and 83.48 (P/N); nobody has measured this
implementation on this corpus yet.
"""

from msa_jax.config import base


def get_config():
    """The toolkit's settings, column MOSEI."""
    config = base.config("graph_mfn")
    config.data.corpus = "mosei"
    config.data.lowercase = True
    config.batch_size = 64
    config.optim.weight_decay = 1e-3
    config.model.text_hidden = 64
    config.model.audio_hidden = 16
    config.model.vision_hidden = 64
    config.model.vertex_width = 128
    config.model.retain_hidden = 64
    config.model.update_hidden = 256
    config.model.output_hidden = 128
    config.model.proposal_dropout = 0.5
    config.model.retain_dropout = 0.0
    config.model.update_dropout = 0.7
    config.model.output_dropout = 0.7
    return config
