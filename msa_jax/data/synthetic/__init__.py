"""Synthetic corpora: seeded, of the shape of CMU-MOSI and others, with a hidden truth that is known.

A clip has a hidden sentiment, and its words mean something near it. A word of the made-up language shows
what is meant or, in ironic spans, the opposite. A row of audio or vision shows what its word means, faintly,
and whether the word is ironic, plainly; it may come some words late, or be dead (silent, occluded). So words
must be bound to their own rows: neither text alone nor a clip's averages tell the sentiment. Annotators add
noise to it.

The best possible predictor, told all but the hidden facts, scores on 2000 clips of the default config (± one
standard error; "sentiment" errs by the annotators' noise alone; each measure gets the prediction that is best
for it; Acc-2 leaves out neutral clips) as `python -m msa_jax.data.synthetic.floor` prints:

    told                            mae            mse           corr           acc7      acc2_non0
    text, audio, vision   0.426 ± 0.008          0.306          0.939           58.9           92.0
    text, audio           0.456 ± 0.010          0.398          0.920           57.8           91.1
    text, vision          0.437 ± 0.009          0.348          0.931           58.7           90.9
    text                  0.946 ± 0.025          1.872          0.528           45.7           71.1
    audio, vision         1.010 ± 0.017          1.589          0.623           30.8           74.0
    audio                 1.161 ± 0.018          1.993          0.482           26.7           66.5
    vision                1.132 ± 0.018          1.910          0.513           26.2           68.0
    sentiment             0.258 ± 0.005          0.107          0.979           72.9           96.1

The generative constants were chosen on the corpus of seed 0; the default is another seed.
"""

from msa_jax.corpora import CORPORA, Corpus
from msa_jax.data.synthetic.config import PRESETS, SyntheticConfig
from msa_jax.data.synthetic.generation import ANNOTATORS, Facts, corpus_key, generate, transition, world
from msa_jax.data.synthetic.worlds import (
    CHANNELS,
    COLUMN_NOISE,
    ENERGY,
    LIMIT,
    MARKER,
    POLARITIES,
    STEP,
    VALENCE,
)

__all__ = [
    "ANNOTATORS",
    "CHANNELS",
    "COLUMN_NOISE",
    "ENERGY",
    "LIMIT",
    "MARKER",
    "POLARITIES",
    "PRESETS",
    "STEP",
    "VALENCE",
    "Facts",
    "SyntheticConfig",
    "corpus_key",
    "facts",
    "generate",
    "metric_set",
    "transition",
    "world",
]


def metric_set(corpus: str) -> str:
    """The corpus whose labels and metrics apply: that of the name, or that in whose shape it is made."""
    made = PRESETS.get(corpus)
    return corpus if made is None else made.task


def facts(corpus: str) -> Corpus:
    """What is known of the labels of a corpus, be it real or made."""
    return CORPORA[metric_set(corpus)]
