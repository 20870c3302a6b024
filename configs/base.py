"""Every key of a CrossSent config, with what it means. The files beside this one change a few.

A config file has `get_config(variant="")`, and `VARIANTS`: what each `:name` after its path changes.
"""

from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict
from ml_collections.config_dict import placeholder

# The ablations of the paper's Tables 9-11, and the forms of the method that the experiments compare.
CROSSSENT_VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "no_gmra": {"model.gmra": None},
    "no_mpr": {"loss.mpr_weight": 0.0},
    "no_eioi": {"loss.eioi_weight": 0.0},
    "mse_only": {"loss.mpr_weight": 0.0, "loss.eioi_weight": 0.0},
    "text_only": {"data.modalities": ("text",)},
    "no_key_embeddings": {"model.gmra.key_embeddings": False},
}


def crosssent() -> ConfigDict:
    """CrossSent with the settings that its paper shares between corpora (Tables 2 and 3)."""
    c = ConfigDict()
    c.seed = 6758  # of initialisation, shuffling, dropout and the draw of pairs
    c.epochs = 26
    c.batch_size = 8
    c.eval_batch_size = 32
    c.log_every = 10  # steps between lines of metrics.jsonl
    c.checkpoint_every = 500  # steps between checkpoints, besides one at each epoch's end

    c.data = ConfigDict()
    c.data.corpus = "mosi"  # mosi, mosei, sims, synthetic: label range, metrics
    c.data.path = placeholder(str)  # the user's feature file or folder
    c.data.cache = "~/.cache/msa_jax"  # where corpora are built, and compiled programs kept
    c.data.split_name = placeholder(str)  # which split_* array of an .npz to use, where it has several
    # What --mode=eval scores: train, valid, test, all (taken together), or auto: test, but all of a file that
    # has no splits of its own and that the run was not trained on.
    c.data.eval_split = "auto"
    c.data.modalities = ("text", "audio", "vision")  # those left out are masked
    c.data.standardise = True  # audio and vision columns, by the training split's mean and deviation
    c.data.lowercase = False  # lower the case of the text before it is tokenised
    c.data.buckets = 4  # lengths that batches are padded to; each costs one compilation
    c.data.threads = 2  # that make batches ahead of time
    c.data.cut = ConfigDict()  # how a file without (all) splits is cut, by video
    c.data.cut.seed = 0
    c.data.cut.folds = 5  # groups of videos; one is the test split
    c.data.cut.fold = 0  # which one
    c.data.cut.valid_fraction = 0.15  # share of the remaining videos that validate

    c.text = ConfigDict()
    c.text.encoder = "roberta-base"  # Hugging Face id, folder, pkg:<package>/<folder>, or "scratch"
    c.text.max_length = 50  # T, special tokens included
    c.text.max_content = 47  # subwords of the text itself: T - 3
    c.text.dtype = "float32"  # compute type of the encoder and the adapter: float32 or bfloat16
    c.text.scratch = ConfigDict()  # the encoder "scratch", its vocabulary learned from the training texts
    c.text.scratch.vocab_size = 400
    c.text.scratch.hidden_size = 64
    c.text.scratch.num_layers = 3
    c.text.scratch.num_heads = 4
    c.text.scratch.intermediate_size = 256
    c.text.scratch.dropout = 0.1

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
    c.loss.mpr_weight = 0.50
    c.loss.eioi_weight = 0.06
    c.loss.alpha = 0.30  # MPR: margin for a label difference of 1
    c.loss.beta = 1.0  # MPR: power of the margin
    c.loss.gamma = 0.30  # MPR: least label difference of a pair
    c.loss.max_pairs = 8192
    c.loss.delta = 0.25  # EIOI: half-width of the free interval; ours
    c.loss.ramp = 0.5  # share of the epochs over which both weights rise; ours

    c.optim = ConfigDict()
    c.optim.learning_rate = 7.5e-6
    c.optim.warmup = 0.4  # share of the steps; then linear decay
    c.optim.clip = 2.0  # global norm
    c.optim.eps = 1e-8
    c.optim.weight_decay = 0.0
    # (pattern, factor of the learning rate): a fresh matrix needs more than a pretrained one. W_T starts as
    # the identity on pretrained states, so it goes with them. Ours.
    c.optim.groups = (("^encoder/|/text_projection/", 1.0), (".*", 100.0))
    return c


def with_variant(config: ConfigDict, variant: str, variants: Mapping[str, Mapping[str, Any]]) -> ConfigDict:
    """The config, changed as `variants[variant]` says; "" changes nothing.

    Raises:
      KeyError: for a variant that is not there.
    """
    if variant:
        config.update_from_flattened_dict(variants[variant])
    return config
