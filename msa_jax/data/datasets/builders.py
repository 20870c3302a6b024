"""Builders of the corpora by the key of the corpus, and the records that they have left in folders."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from msa_jax.data.datasets import synthetic
from msa_jax.data.datasets.ch_sims import ChSims
from msa_jax.data.datasets.cmu_mosei import CmuMosei
from msa_jax.data.datasets.cmu_mosi import CmuMosi
from msa_jax.data.datasets.corpus import VERSION, CorpusBuilder
from msa_jax.data.datasets.iemocap import Iemocap
from msa_jax.data.datasets.ur_funny import UrFunny
from msa_jax.errors import UserError

BUILDERS: dict[str, type[CorpusBuilder]] = {
    "mosi": CmuMosi,
    "mosei": CmuMosei,
    "sims": ChSims,
    "ur_funny": UrFunny,
    "iemocap": Iemocap,
    **synthetic.BUILDERS,
}


def records(folder: Path, split: str) -> Sequence[dict[str, Any]]:
    """The records of a split, for random access, read by the class that wrote them.

    Args:
      folder: a build, as `Built.folder`.
      split: "train", "valid" or "test".

    Raises:
      UserError: when the folder does not hold what one of the builders writes; says to delete it.
    """
    found = [builder for builder in set(BUILDERS.values()) if (folder / builder.name / VERSION).is_dir()]
    if len(found) != 1:
        raise UserError(f"{folder}: not a complete build of a corpus; delete it and build it again")
    return found[0](data_dir=folder, other_counts=True).as_data_source(split)
