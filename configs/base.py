"""The keys that every config has, with what they mean. A model's own are in the file named after it.

A config file has `get_config(variant="")`, and `VARIANTS`: what each `:name` after its path changes.
"""

from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict
from ml_collections.config_dict import placeholder

# What may be left out of any model; the others of its variants are its own ablations.
SUBSETS: Mapping[str, Mapping[str, Any]] = {
    "text_only": {"data.modalities": ("text",)},
    "audio_only": {"data.modalities": ("audio",)},
    "vision_only": {"data.modalities": ("vision",)},
    "no_vision": {"data.modalities": ("text", "audio")},
    "no_audio": {"data.modalities": ("text", "vision")},
    "no_text": {"data.modalities": ("audio", "vision")},
}


def common() -> ConfigDict:
    """Everything but the sections `model` and `loss`."""
    c = ConfigDict()
    c.seed = 6758  # of initialisation, shuffling, dropout and every other draw
    c.epochs = 30
    c.patience = 0  # stop after so many epochs without a better one; 0 = never
    # What the best epoch is chosen by, on the validation split: "loss" (the task loss alone) or any metric of
    # the corpus, such as mae or acc2_non0.
    c.select = "loss"
    c.batch_size = 32
    c.eval_batch_size = 32
    c.log_every = 10  # steps between lines of metrics.jsonl
    c.checkpoint_every = 500  # steps between checkpoints, besides one at each epoch's end

    c.data = ConfigDict()
    # mosi, mosei, sims, ur_funny, iemocap; or made on the spot: synthetic, synthetic_short,
    # synthetic_dominance, synthetic_ur_funny, synthetic_iemocap. It decides labels, outputs and metrics.
    c.data.corpus = "mosi"
    c.data.path = placeholder(str)  # the user's feature file or folder
    c.data.cache = "~/.cache/msa_jax"  # where corpora are built, and compiled programs kept
    c.data.split_name = placeholder(str)  # which split_* array of an .npz to use, where it has several
    # Accept splits of other sizes than the official ones, and files without splits; the results say so.
    c.data.other_counts = False
    c.data.context = False  # UR-FUNNY's SDK files: the sentences before the punchline too
    # What a row of audio and vision is, where a format leaves it open (MMSA): tokens, words or stream; None:
    # told by the counts of all clips.
    c.data.rows = placeholder(str)
    # The vocabulary that made the BERT tokens of such a file, if it is not that of the encoder: a vocab.txt,
    # a folder, a Hugging Face id. Without one the words of the tokens are found from the ids.
    c.data.bert_vocab = placeholder(str)
    c.data.special_rows = False  # with time_line="own" keep the rows of [CLS] and [SEP] of such a file
    # What --mode=eval scores: train, valid, test, all (taken together), or auto: test, but all of a file that
    # has no splits of its own and that the run was not trained on.
    c.data.eval_split = "auto"
    c.data.modalities = ("text", "audio", "vision")  # any subset; those left out do not reach the model
    # "text": audio and vision are brought onto the text's tokens; "own": each keeps its own steps.
    c.data.time_line = "text"
    c.data.max_frames = 500  # longest audio or vision with time_line="own"; longer ones are resampled to it
    c.data.standardise = True  # audio and vision columns, by the training split's mean and deviation
    c.data.lowercase = False  # lower the case of the text before it is tokenised
    c.data.buckets = 4  # lengths of text, audio and vision that batches are padded to; each is compiled once
    c.data.threads = 2  # that make batches ahead of time
    c.data.seed = placeholder(
        int
    )  # of the order of batches, for several seeds that share it; None: that of the run
    c.data.cut = ConfigDict()  # how a file without (all) splits is cut, by video
    c.data.cut.seed = 0
    c.data.cut.folds = 5  # groups of videos; one is the test split
    c.data.cut.fold = 0  # which one
    c.data.cut.valid_fraction = 0.15  # share of the remaining videos that validate

    c.text = ConfigDict()
    # Hugging Face id, folder, pkg:<package>/<folder>, "scratch" (made new), or "features" (the file's own
    # text features, whatever their width).
    c.text.encoder = "bert-base-uncased"
    c.text.frozen = False  # keep the encoder's weights as they are
    c.text.max_length = 50  # T, special tokens included
    c.text.max_content = 48  # subwords of the text itself
    c.text.dtype = "float32"  # compute type of the encoder: float32 or bfloat16
    c.text.scratch = ConfigDict()  # the encoder "scratch", its vocabulary learned from the training texts
    c.text.scratch.vocab_size = 400
    c.text.scratch.hidden_size = 64
    c.text.scratch.num_layers = 3
    c.text.scratch.num_heads = 4
    c.text.scratch.intermediate_size = 256
    c.text.scratch.dropout = 0.1

    c.optim = ConfigDict()
    c.optim.learning_rate = 1e-3
    c.optim.warmup = 0.0  # share of the steps over which the rate rises
    c.optim.decay = False  # whether it then falls linearly to 0
    c.optim.clip = 1.0  # global norm
    c.optim.eps = 1e-8
    c.optim.weight_decay = 0.0  # decoupled (AdamW)
    # (pattern, factor of the learning rate): of the first pattern found in a parameter's path.
    c.optim.groups = ((".*", 1.0),)
    return c


def on_scratch(config: ConfigDict, corpus: str) -> ConfigDict:
    """The config on an embedded corpus, with a small encoder from scratch and one rate for all."""
    config.data.corpus = corpus
    config.text.encoder = "scratch"
    config.eval_batch_size = 128
    config.data.buckets = 2
    config.optim.groups = ((".*", 1.0),)
    return config


def with_variant(config: ConfigDict, variant: str, variants: Mapping[str, Mapping[str, Any]]) -> ConfigDict:
    """The config, changed as `variants[variant]` says; "" changes nothing.

    Raises:
      KeyError: for a variant that is not there.
    """
    if variant:
        config.update_from_flattened_dict(variants[variant])
    return config
