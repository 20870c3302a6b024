"""The keys that CrossSent adds to configs/base.py, and its ablations."""

from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

from configs import base

# The ablations of the paper's Tables 9-11, and the forms of the method that the experiments compare.
VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "no_gmra": {"model.gmra": None},
    "no_mpr": {"loss.mpr_weight": 0.0},
    "no_eioi": {"loss.eioi_weight": 0.0},
    "mse_only": {"loss.mpr_weight": 0.0, "loss.eioi_weight": 0.0},
    "no_key_embeddings": {"model.gmra.key_embeddings": False},
    **base.SUBSETS,
}


def crosssent() -> ConfigDict:
    """CrossSent with the settings that its paper shares between corpora (Tables 2 and 3)."""
    c = base.common()
    c.epochs = 26
    c.batch_size = 8
    c.text.encoder = "roberta-base"
    c.text.max_content = 47  # T - 3

    c.model = ConfigDict()
    c.model.name = "crosssent"
    c.model.layer = 1  # the adapter works on the input of this encoder layer, 0-based
    c.model.pooling = "cls"  # or "mean"
    c.model.hidden = True  # Dense and tanh before the last Dense
    c.model.pooled_dropout = 0.1  # ours
    c.model.dropout = 0.28  # before the last Dense
    c.model.gmra = ConfigDict()  # None: no adapter
    c.model.gmra.heads = 8
    c.model.gmra.bottleneck = 48
    c.model.gmra.dropout = 0.2
    c.model.gmra.layer_scale = 1e-4
    c.model.gmra.key_embeddings = True  # position and modality embeddings on the keys; ours
    c.model.gmra.key_std = 0.02  # of those at the start; ours
    c.model.gmra.output_std = 0.02  # of W_O at the start; ours
    c.model.gmra.max_length = 50

    c.loss = ConfigDict()
    c.loss.task = "mse"
    c.loss.mpr_weight = 0.50
    c.loss.eioi_weight = 0.06
    c.loss.alpha = 0.30  # MPR: margin for a label difference of 1
    c.loss.beta = 1.0  # MPR: power of the margin
    c.loss.gamma = 0.30  # MPR: least label difference of a pair
    c.loss.max_pairs = 8192
    c.loss.delta = 0.25  # EIOI: half-width of the free interval; ours
    c.loss.ramp = 0.5  # share of the epochs over which both weights rise; ours

    c.optim.learning_rate = 7.5e-6
    c.optim.warmup = 0.4  # share of the steps; then linear decay
    c.optim.decay = True
    c.optim.clip = 2.0
    # A fresh matrix needs more than a pretrained one. W_T starts as the identity on pretrained states, so it
    # goes with them. Ours.
    c.optim.groups = (("^encoder/|/text_projection/", 1.0), (".*", 100.0))
    return c
