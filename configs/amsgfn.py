"""The keys that AMSGFN adds to configs/base.py, and its ablations."""

from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict
from ml_collections.config_dict import placeholder

from configs import base

# Table 6, "w/o Cor" of its text, Table 5 (modalities), the two fields against a collapse of the choice,
# and the streams without positions.
VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "no_ccam": {"model.align": False},
    "t_oriented": {"model.dominant": "text"},
    "v_oriented": {"model.dominant": "vision"},
    "a_oriented": {"model.dominant": "audio"},
    "no_dmgf": {"model.fusion": False},
    "no_tb": {"model.transformer_block": False},
    "no_cor": {"model.cor": False},
    "no_positions": {"model.positions": False},
    "balance": {"loss.balance_weight": 0.1},
    "gumbel": {"model.gumbel": 1.0},
    "balance_gumbel": {"loss.balance_weight": 0.1, "model.gumbel": 1.0},
    **base.SUBSETS,
}


def amsgfn() -> ConfigDict:
    """AMSGFN; its paper gives no hyperparameter at all, so every number here is ours."""
    c = base.common()
    c.epochs = 40
    c.patience = 10

    c.model = ConfigDict()
    c.model.name = "amsgfn"
    c.model.width = 64
    c.model.heads = 4
    c.model.layers = 2  # N
    c.model.ffn_factor = 4
    c.model.dropout = 0.1
    c.model.attention_dropout = 0.1
    c.model.modality_embedding = True  # the fusion weights are shared, whichever modality dominates
    c.model.positions = True  # sinusoids on the weighted streams, which have no order without
    c.model.score_scale = True  # X~_m = 3 s_m X_m, which keeps magnitudes; False: s_m X_m, as printed
    c.model.align = True  # CCAM
    c.model.align_width = 64  # of its shared space
    c.model.cor = True  # the map that L_cor needs
    c.model.dominant = placeholder(str)  # text, audio or vision in place of the choice
    c.model.gumbel = 0.0  # scale of the Gumbel noise on the choice, in training
    c.model.fusion = True  # False: the weighted streams averaged in place of the N layers
    c.model.transformer_block = True  # False: Q_p is X~_p

    c.loss = ConfigDict()
    c.loss.task = "mse"
    c.loss.align_weight = 0.1  # alpha
    c.loss.temperature = 0.07  # of L_align
    c.loss.cor_weight = 0.1  # beta
    c.loss.cor_temperature = 0.1  # of L_cor
    c.loss.balance_weight = 0.0  # of the divergence of the mean scores from equal shares

    c.optim.learning_rate = 1e-3
    c.optim.warmup = 0.1
    c.optim.weight_decay = 1e-4
    c.optim.groups = (("^encoder/", 0.02), (".*", 1.0))  # BERT at 2e-5
    return c
