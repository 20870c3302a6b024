"""The keys that TeCaFN adds to configs/base.py, and its ablations."""

from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

from configs import base

# Table 5 (what is removed, the gate with its pair prediction), Figure 3 (the core), and forms that the paper
# prints but its code has not.
VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "no_ta": {"model.contrast": ("vision",)},
    "no_tv": {"model.contrast": ("audio",)},
    "no_tccon": {"model.contrast": ()},
    "no_bicon": {"model.bicon": False},
    "no_tap": {"model.replace": ("vision",)},
    "no_tvp": {"model.replace": ("audio",)},
    "no_ap": {"model.replace": ()},
    "no_hard_ta": {"model.hard_negatives": ("vision",)},
    "no_hard_tv": {"model.hard_negatives": ("audio",)},
    "no_hard": {"model.hard_negatives": ()},
    "audio_centred": {"model.core": "audio"},
    "vision_centred": {"model.core": "vision"},
    "printed_residual": {"model.residual_on_norm": True},
    "no_lstm": {"model.lstm": False},
    **base.SUBSETS,
}


def tecafn() -> ConfigDict:
    """TeCaFN with the settings of its paper (section 4.3) and, where that gives ranges, of its code."""
    c = base.common()
    c.epochs = 60  # ours: the patience ends it
    c.patience = 10
    c.select = "acc2_non0"  # the paper says accuracy, and not which
    c.data.time_line = "own"

    c.model = ConfigDict()
    c.model.name = "tecafn"
    c.model.core = "text"  # whose steps ask; audio: AeCaFN, vision: VeCaFN
    c.model.width = 30  # code; the paper: 16, 32 or 64
    c.model.heads = 5  # code; must divide the width
    c.model.encoder_layers = 6  # over audio, and over vision; code
    c.model.cross_layers = 6  # code
    c.model.ffn_factor = 4  # code
    c.model.kernel = 1  # of the convolutions to the width; code
    c.model.lstm = True  # eq. 4; not in the code
    c.model.residual_on_norm = False  # True: eqs. 2-3 and 11-12 as printed
    c.model.dropout = 0.1  # code
    c.model.attention_dropout = 0.1  # ours
    c.model.embedding_dropout = 0.25  # code
    c.model.contrast = ("text", "audio", "vision")  # with a stage-1 contrast; the core's own name is ignored
    c.model.replace = ("text", "audio", "vision")  # with a replacement gate and its pair prediction
    c.model.hard_negatives = ("text", "audio", "vision")  # replaced by similar clips, the others by any
    c.model.bicon = True  # the stage-2 contrast
    c.model.p = 0.5  # probability of a replacement; code
    c.model.num = 3  # hard negatives to draw from
    c.model.head_hidden = 30  # ours
    c.model.head_dropout = 0.1  # ours

    c.loss = ConfigDict()
    c.loss.task = "l1"
    c.loss.contrast_weight = 0.1  # lambda1, of both stages; the paper: 0.1, 0.2 or 0.4
    c.loss.pair_weight = 0.1  # lambda2; the paper: 0.1, 0.2 or 0.4
    c.loss.temperature = 0.1  # code

    c.optim.learning_rate = 1e-3  # the paper: 1e-3, 2e-3 or 3e-3
    c.optim.clip = 1.0  # the paper: 1, 2, 4 or 8
    c.optim.weight_decay = 1e-4  # code
    c.optim.groups = (("^encoder/", 0.05), (".*", 1.0))  # BERT at 5e-5; code
    return c
