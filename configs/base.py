"""Common keys of every config, with what they mean, and the variants that every config has.

A config file has `get_config()`, which starts from `base.config("<model>")`: the common keys below, and the
sections `model` and `loss`, made of the fields of that model's file. It may have `VARIANTS`: what each
`:name` after its path changes, on top of what the model's file and this one say of that name.
"""

import math
import os
from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict
from ml_collections.config_dict import placeholder

from msa_jax import models
from msa_jax.data.synthetic import PRESETS
from msa_jax.errors import UserError
from msa_jax.models import fields

VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "text_only": {"data.modalities": ("text",)},
    "audio_only": {"data.modalities": ("audio",)},
    "vision_only": {"data.modalities": ("vision",)},
    "no_vision": {"data.modalities": ("text", "audio")},
    "no_audio": {"data.modalities": ("text", "vision")},
    "no_text": {"data.modalities": ("audio", "vision")},
    # The embedded corpus in the shape of the config's own (see `apply`), and a small encoder from scratch,
    # with one learning rate for all.
    "synthetic": {
        "epochs": 30,
        "patience": 0,
        "batch_size": 32,
        "eval_batch_size": 128,
        "data.buckets": 2,
        "text.encoder": "scratch",
        "optim.accumulate": 1,
        "optim.groups": ((".*", 1.0),),
    },
    # Widths and layers as small as they go, in the encoder from scratch and in the model: for tests, and for
    # a first try in seconds.
    "tiny": {
        "epochs": 2,
        "patience": 0,
        "batch_size": 8,
        "eval_batch_size": 32,
        "data.buckets": 1,
        "text.encoder": "scratch",
        "text.scratch.vocab_size": 60,
        "text.scratch.hidden_size": 16,
        "text.scratch.num_layers": 2,
        "text.scratch.num_heads": 2,
        "text.scratch.intermediate_size": 16,
        "optim.accumulate": 1,
        "optim.groups": ((".*", 1.0),),
    },
}


def config(model: str) -> ConfigDict:
    """A config of a model with every key at its default.

    Args:
      model: name of a file in `msa_jax.models`, or the dotted path of a module elsewhere.

    Returns:
      A config whose keys are fixed: one that is not there cannot be set by mistake.

    Raises:
      UserError: when there is no such model.
    """
    paper = models.find(model)
    c = common()
    c.model = paper.section()
    c.loss = fields.section(paper.loss)
    for key, value in paper.defaults.items():
        try:
            set_key(c, key, value)
        except KeyError:
            raise UserError(f"{model}: DEFAULTS sets {key}, and a config has no such key") from None
    return c.lock()


def apply(config: ConfigDict, name: str, own: Mapping[str, Mapping[str, Any]] | None = None) -> ConfigDict:
    """Changes a config as a variant says: what is said here first, then the model's file, then the config's.

    Args:
      config: changed in place.
      name: of the variant.
      own: VARIANTS of the config's file.

    Raises:
      KeyError: when none of the three has a variant of that name.
    """
    sources = (VARIANTS, models.find(config.model.name).variants, own or {})
    found = [source[name] for source in sources if name in source]
    if not found:
        raise KeyError(name)
    if name == "synthetic" and config.data.corpus not in PRESETS:
        made = f"synthetic_{config.data.corpus}"
        config.data.corpus = made if made in PRESETS else "synthetic"
    for changes in found:
        for key, value in changes.items():
            # A part that is left out has no sizes to make small.
            if name != "tiny" or not _is_left_out(config, key):
                set_key(config, key, value)
    return config


def _is_left_out(config: ConfigDict, key: str) -> bool:
    """Whether a section on the way to a key is None."""
    for part in key.split(".")[:-1]:
        if isinstance(config, ConfigDict) and part in config:
            config = config[part]
    return config is None


def set_key(config: ConfigDict, key: str, value: Any) -> None:
    """Sets a dotted key; a section may become None, and a key that is None may take a value.

    Raises:
      KeyError: when the config has no such key.
    """
    *path, leaf = key.split(".")
    for part in path:
        config = config[part] if isinstance(config, ConfigDict) and part in config else None
    if not isinstance(config, ConfigDict) or leaf not in config:
        raise KeyError(key)
    if isinstance(config[leaf], ConfigDict) and value is None:
        with config.ignore_type():
            config[leaf] = None
    else:
        config[leaf] = value


def common() -> ConfigDict:
    """Everything but the sections `model` and `loss`."""
    c = ConfigDict()
    c.seed = 6758  # of initialisation, shuffling, dropout and every other draw
    # Several seeds at once, as in 0,1,2,3,4, in place of `seed`: each is a run of its own, in seed_<seed> of
    # the folder; one program trains all, in the same order of batches. results.json has mean and deviation.
    c.seeds = ()
    c.epochs = 30  # passes over the training split, at most
    c.patience = 0  # stop after so many epochs without a better one; 0 = never
    # What the best epoch is chosen by, on the validation split: "loss" (the task loss alone) or any metric of
    # the corpus, such as mae or acc2_non0.
    c.select = "loss"
    c.batch_size = 32  # clips in a training step
    # Parts that a step's clips are computed in, one after the other, for less memory and a third more time.
    # The loss sees all clips, but a model that compares clips, as TeCaFN does, sees those of a part.
    c.parts = 1
    c.eval_batch_size = 32  # clips scored at once; it changes no score
    c.log_every = 10  # steps between lines of metrics.jsonl
    c.checkpoint_every = 500  # steps between checkpoints, besides one at each epoch's end

    c.data, c.text, c.optim, c.parallel = data(), text(), optim(), parallel()
    return c


def data() -> ConfigDict:
    """The section `data`: what is read, and how it becomes batches."""
    c = ConfigDict()
    # mosi, mosei, sims, ur_funny, iemocap; or made on the spot: synthetic, synthetic_short,
    # synthetic_dominance, synthetic_ur_funny, synthetic_iemocap. It decides labels, outputs and metrics.
    c.corpus = "mosi"
    c.path = placeholder(str)  # the user's feature file or folder
    # Where corpora are built, and compiled programs kept; the environment's MSA_JAX_CACHE sets the default.
    c.cache = os.environ.get("MSA_JAX_CACHE") or "~/.cache/msa_jax"
    c.split_name = placeholder(str)  # which split_* array of an .npz to use, where it has several
    # Accept splits of other sizes than the official ones, and files without splits; the results say so.
    c.other_counts = False
    c.context = False  # UR-FUNNY's SDK files: the sentences before the punchline too
    # What a row of audio and vision is, where a format leaves it open (MMSA): tokens, words or stream; None:
    # told by the counts of all clips.
    c.rows = placeholder(str)
    # rows_first: arrays are (clips, rows, width), even where they look like (clips, width, rows).
    c.axes = placeholder(str)
    # The vocabulary that made the BERT tokens of such a file, if it is not that of the encoder: a vocab.txt,
    # a folder, a Hugging Face id. Without one the words of the tokens are found from the ids.
    c.bert_vocab = placeholder(str)
    # At which end the clips of a file are padded: front or behind; none: all rows count; None: told by the
    # zeros, or by rows that repeat, of all clips.
    c.padding = placeholder(str)
    # The encoding of texts that a file keeps as bytes, by its name in Python, such as gb18030; None: told by
    # the texts.
    c.encoding = placeholder(str)
    # A regular expression whose one group finds the video in a clip's id, as "(.+)-[0-9]+"; None: told by all
    # ids.
    c.video_id = placeholder(str)
    # How many units of a stream's times make a second, where a .csd file's times do not tell: 1000 for
    # milliseconds, the frame rate for frame numbers, as in (("audio", 1000.0),). The streams are labels,
    # words, audio, vision, word vectors.
    c.time_units = placeholder(tuple)
    c.label_column = placeholder(int)  # which one is the label where clips have several numbers, from 0
    c.special_rows = False  # with time_line="own" keep the rows of [CLS] and [SEP] of such a file
    # What --mode=eval scores: train, valid, test, all (taken together), or auto: test, but all of a file that
    # has no splits of its own and that the run was not trained on.
    c.eval_split = "auto"
    # --mode=eval and predict: map the scores linearly where the run was trained on labels of another range
    # than data.corpus has, as from [-3, 3] (CMU-MOSI) onto [-1, 1] (CH-SIMS); otherwise that is refused.
    c.rescale = False
    c.modalities = ("text", "audio", "vision")  # any subset; those left out do not reach the model
    # "text": audio and vision are brought onto the text's tokens; "own": each keeps its own steps.
    c.time_line = "text"
    c.max_frames = 500  # longest audio or vision with time_line="own"; longer ones are resampled to it
    c.standardise = True  # audio and vision columns, by the training split's mean and deviation
    # Clip audio and vision to a robust range of each column of the training split (30 times the distance from
    # the median to the 5 % or 95 % quantile), before they are standardised.
    c.clip_values = False
    c.lowercase = False  # lower the case of the text before it is tokenised
    c.buckets = 4  # lengths of text, audio and vision that batches are padded to; each is compiled once
    c.threads = 2  # that make batches ahead of time
    # Seed of the order of batches, so that runs of several seeds can share it; None: the run's seed.
    c.seed = placeholder(int)
    c.cut = ConfigDict()  # how a file without (all) splits is cut, by video
    c.cut.seed = 0  # which of the possible cuts
    c.cut.folds = 5  # groups of videos; one is the test split
    c.cut.fold = 0  # which one
    c.cut.valid_fraction = 0.15  # share of the remaining videos that validate
    return c


def text() -> ConfigDict:
    """The section `text`: the encoder, and how much of a text it reads."""
    c = ConfigDict()
    # Hugging Face id, folder, pkg:<package>/<folder>, "scratch" (made new), or "features" (the file's own
    # text features, whatever their width).
    c.encoder = "bert-base-uncased"
    c.frozen = False  # keep the encoder's weights as they are
    c.max_length = 50  # T, special tokens included
    c.max_content = 48  # subwords of the text itself
    # Compute type of products in the encoder and in an adapter inside it: float32 or bfloat16. The layers
    # around it have a key of their own: model.dtype.
    c.dtype = "float32"
    # Compute the inside of the encoder's layers again in the backward pass: less memory on a GPU, more time.
    c.remat = False
    c.scratch = ConfigDict()  # the encoder "scratch", its vocabulary learned from the training texts
    c.scratch.vocab_size = 400  # pieces of words, at most
    c.scratch.hidden_size = 64  # width of its states
    c.scratch.num_layers = 3  # transformer layers
    c.scratch.num_heads = 4  # of attention; divides hidden_size
    c.scratch.intermediate_size = 256  # width inside each feed-forward part
    c.scratch.dropout = 0.1  # on states and attention
    return c


def optim() -> ConfigDict:
    """The section `optim`: Adam, its learning rate and its weight decay."""
    c = ConfigDict()
    c.learning_rate = 1e-3  # the highest; the groups below multiply it
    c.warmup = 0.0  # share of the steps over which the rate rises
    c.warmup_steps = 0  # the same as a number of steps; only one of the two
    # What the rate does then: "constant", "linear" or "cosine" (down to 0 at the last step), "plateau"
    # (lowered when the validation loss has stopped falling).
    c.schedule = "constant"
    c.plateau = ConfigDict()  # of the schedule "plateau"
    c.plateau.factor = 0.5  # on the rate, each time
    c.plateau.patience = 20  # epochs without a lower validation loss before that
    c.clip = 1.0  # largest global norm of the gradient; inf: no clip
    c.clip_value = math.inf  # largest size of each number in it, before that; inf: no clip
    # Steps whose gradients are averaged before the parameters move once; each counts alike.
    c.accumulate = 1
    c.eps = 1e-8  # of Adam, beside the root of the second moment
    c.weight_decay = 0.0  # of each parameter whose group does not have its own
    c.coupled = False  # False: decoupled weight decay (AdamW); True: L2 in the gradient (Adam)
    # (pattern, factor of the learning rate) or (pattern, factor, weight decay): that of the first pattern
    # found in a parameter's path.
    c.groups = ((".*", 1.0),)
    return c


def parallel() -> ConfigDict:
    """The section `parallel`: the devices of a run, which change no result and may be others on a resume."""
    c = ConfigDict()
    c.devices = placeholder(int)  # how many devices of each process are used; None: all
    # Split parameters and optimiser state over the devices, which saves memory, in place of repeating them.
    c.shard_state = False
    return c
