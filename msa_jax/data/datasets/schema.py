"""Schema of a corpus on disk: what is stored of a clip."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from msa_jax.corpora import Corpus
from msa_jax.data import checks
from msa_jax.data.example import Example

UNKNOWN = (None,) * len(checks.FEATURES)  # the widths of features that nobody has seen yet


def features(widths: Sequence[int | None], facts: Corpus) -> tfds.features.FeaturesDict:
    """The schema; with unknown widths for show only: TFDS cannot read an empty array of two unknown sizes."""
    rows = (tfds.features.Tensor(shape=(None, width), dtype=np.float32, encoding="bytes") for width in widths)
    labels = {"label": facts.label_shape} | ({"unimodal_labels": (None,)} if facts.by_modality else {})
    return tfds.features.FeaturesDict(
        {
            "id": tfds.features.Text(),
            "video": tfds.features.Text(),
            "text": tfds.features.Text(),
            **dict(zip(checks.FEATURES, rows, strict=True)),
            "aligned": np.bool_,
            **{
                name: tfds.features.Tensor(shape=(None,), dtype=np.int32, encoding="bytes")
                for name in ("tokens", "token_words")
            },
            **{
                name: tfds.features.Tensor(shape=shape, dtype=np.float64, encoding="bytes")
                for name, shape in labels.items()
            },
        }
    )


def record(clip: Example, facts: Corpus) -> dict[str, Any]:
    """A clip as `features` describes it."""
    return {
        "id": clip.id,
        "video": clip.video,
        "text": clip.text,
        **{name: getattr(clip, name) for name in checks.FEATURES},
        "aligned": clip.aligned,
        "tokens": clip.tokens,
        "token_words": clip.token_words,
        "label": np.asarray(clip.label, np.float64),
        **({"unimodal_labels": np.asarray(clip.unimodal_labels, np.float64)} if facts.by_modality else {}),
    }
