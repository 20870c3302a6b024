"""Graph-MFN on CH-SIMS.

    python -m msa_jax.main --config=configs/graph_mfn_sims.py --config.data.path=FILE

Takes the file's own text features; --config.text.encoder=NAME fine-tunes an encoder instead. The MMSA toolkit
reports MAE 0.445, Corr 0.578, Acc-5 39.82, Acc-3 65.65, Acc-2 78.77; nobody has measured this implementation
on this corpus yet.
"""

from msa_jax.config import base


def get_config():
    """The toolkit's settings, column SIMS."""
    config = base.config("graph_mfn")
    config.data.corpus = "sims"
    config.batch_size = 64
    config.optim.learning_rate = 5e-4
    config.optim.weight_decay = 1e-3
    config.model.vertex_width = 128
    config.model.memory = 64
    config.model.proposal_hidden = 256
    config.model.retain_hidden = 32
    config.model.update_hidden = 32
    config.model.proposal_dropout = 0.5
    config.model.retain_dropout = 0.2
    config.model.update_dropout = 0.7
    config.model.output_dropout = 0.2
    return config
