"""Measuring of a training split, as a run does it, for tests of its batches."""

from msa_jax.data.measure import Measure
from msa_jax.data.pipeline import Split, chunks


def measured(source, tokenizer, how):
    """(the scanned split, its statistics)."""
    measure = Measure(how, standardise=True)
    split = Split(source, tokenizer, how, measure=measure)
    return split, measure.statistics(chunks(source))
