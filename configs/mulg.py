"""The keys that MulG adds to configs/base.py, and its ablations."""

from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

from configs import base

# Tables 5-7 (one modality, no cross-modal attention, self-attention and GRU in each other's place), the
# residual variants, and the scoring and the GRU in their other readings.
VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "no_cross_modal": {"model.cross_modal": False},
    "self_attention": {"model.recurrent": "self_attention"},
    "no_cross_modal_self_attention": {"model.cross_modal": False, "model.recurrent": "self_attention"},
    "pre_ln": {"model.residual": "pre_ln"},
    "residual_dual": {"model.residual": "residual_dual"},
    "bilinear": {"model.scoring": "bilinear"},
    "flax_gru": {"model.recurrent": "flax"},
    "no_positions": {"model.positions": False},
    **base.SUBSETS,
}


def mulg() -> ConfigDict:
    """MulG with the settings of its paper's Table 1, column MOSI, and of Table 7."""
    c = base.common()
    c.epochs = 100
    c.batch_size = 128
    c.data.time_line = "own"
    c.text.encoder = "features"  # the paper's text is word vectors; any encoder works

    c.model = ConfigDict()
    c.model.name = "mulg"
    c.model.width = 40
    c.model.kernel = 3  # of the convolutions; ours
    c.model.layers = 2  # of each directed attention; Table 7
    c.model.heads = 4  # Table 7
    c.model.scoring = "multihead"  # or "bilinear", eqs. 5-7; ours
    c.model.residual = "post_ln"  # or "pre_ln", "residual_dual"; ours
    c.model.positions = True  # sinusoids on what goes into attention; ours
    c.model.cross_modal = True  # False: each modality straight to its GRU
    c.model.recurrent = "gru"  # eqs. 1-4; or "flax" (nn.GRUCell), "self_attention"
    c.model.hidden = 40
    c.model.recurrent_layers = 2
    c.model.reduced = 40  # ours
    c.model.text_dropout = 0.2
    c.model.attention_dropout = 0.1
    c.model.dropout = 0.1  # Table 7
    c.model.output_dropout = 0.1

    c.loss = ConfigDict()
    c.loss.task = "l1"  # ours: the paper speaks of cross entropy for scores too

    c.optim.learning_rate = 1e-3
    c.optim.groups = (("^encoder/", 0.05), (".*", 1.0))  # where there is one; ours
    return c
