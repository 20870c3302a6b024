"""The embedded corpora of `msa_jax.data.synthetic`, stored like real ones."""

import dataclasses

from msa_jax.corpora import CORPORA
from msa_jax.data.datasets.corpus import CorpusBuilder
from msa_jax.data.synthetic import PRESETS


class SyntheticMosi(CorpusBuilder, skip_registration=True):
    """Generated clips with the labels of CMU-MOSI."""

    facts = dataclasses.replace(CORPORA["mosi"], title="Synthetic MOSI", counts=None)
    about = "Synthetic MOSI: generated clips with the labels of CMU-MOSI."


class SyntheticUrFunny(CorpusBuilder, skip_registration=True):
    """Generated clips with the labels of UR-FUNNY."""

    facts = dataclasses.replace(CORPORA["ur_funny"], title="Synthetic UR-FUNNY", counts=None)
    about = "Synthetic UR-FUNNY: generated clips with the labels of UR-FUNNY."


class SyntheticIemocap(CorpusBuilder, skip_registration=True):
    """Generated clips with the labels of IEMOCAP."""

    facts = dataclasses.replace(CORPORA["iemocap"], title="Synthetic IEMOCAP", counts=None)
    about = "Synthetic IEMOCAP: generated clips with the labels of IEMOCAP."


_BY_TASK = {"mosi": SyntheticMosi, "ur_funny": SyntheticUrFunny, "iemocap": SyntheticIemocap}
BUILDERS: dict[str, type[CorpusBuilder]] = {name: _BY_TASK[preset.task] for name, preset in PRESETS.items()}
