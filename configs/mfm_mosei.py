"""MFM on CMU-MOSEI.

    python -m msa_jax.main --config=configs/mfm_mosei.py --config.data.path=FILE

Takes the file's own text features; --config.text.encoder=NAME fine-tunes an encoder instead. Qin et al.
(2025) report Acc-2 73.6, Acc-7 43.9, F1 71.6, Corr 0.661, and 76.1, 50.2, 79.4, 0.663 with cross-modal
attention before it (`:crossmodal`); nobody has measured this implementation on this corpus yet.
"""

from msa_jax.config import base


def get_config():
    """The toolkit's settings, column MOSEI."""
    config = base.config("mfm")
    config.data.corpus = "mosei"
    config.data.lowercase = True
    config.optim.weight_decay = 5e-4
    config.model.text_hidden = 256
    config.model.vision_hidden = 256
    # The toolkit has 1278, which by the sizes that it was chosen from is a slip.
    config.model.attention_hidden = 128
    config.model.attention_dropout = 0.5
    config.model.proposal_hidden = 32
    config.model.proposal_dropout = 0.7
    config.model.retain_hidden = 64
    config.model.retain_dropout = 0.5
    config.model.update_hidden = 128
    config.model.update_dropout = 0.2
    config.model.code = 32
    config.model.text_code = 256
    config.model.factor = 16
    config.model.audio_factor = 80
    config.model.vision_factor = 32
    config.model.factor_dropout = 0.2
    config.model.text_factor_dropout = 0.7
    config.model.vision_factor_dropout = 0.7
    config.model.output_dropout = 0.2
    config.loss.mmd_weight = 10.0
    config.loss.text_weight = 5.0
    config.loss.audio_weight = 2.0
    config.loss.vision_weight = 5.0
    return config
