"""States of a frozen encoder as text features of a file, so that models are trained on them without it.

A file in the form of MMSA's aligned_50.pkl: of each clip the states of its tokens, and audio and vision
beside them, as a run with the same encoder and `data.time_line=text` sees them, not standardised.
"""

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from msa_jax import assemble, cli, identity
from msa_jax.corpora import SPLITS
from msa_jax.data import opening
from msa_jax.data.pipeline import Split
from msa_jax.data.preprocessing import Statistics

ROWS = 32


def write(folder: Path, file: str, overrides: Mapping[str, Any], *, splits: bool) -> Path:
    """Writes the file where there is none of these data yet.

    Args:
      folder: where it goes; its name is that of a run with these settings and data.
      file: the config, of any model that takes a frozen encoder's states.
      overrides: keys of the config that say the encoder and the data.
      splits: the file has those of the config; otherwise it has none, and is cut anew where it is read.

    Returns:
      The file.
    """
    values = {**overrides, "data.time_line": "text", "data.buckets": 1}
    argv = [f"--config={file}", *(f"--config.{k}={v}" for k, v in values.items())]
    config = cli.parse(argv).config
    corpus = opening.open_corpus(config)
    data = {"hash": corpus.content_hash, "cut": [corpus.cut, splits]}
    out = folder / f"{identity.of_run(config, identity.contents(config, data))[:16]}.pkl"
    if out.exists():
        return out
    pieces = assemble.assemble(config, corpus)
    parts = {name: _of_split(pieces, pieces.preparation.scan(corpus.split(name))) for name in SPLITS}
    content = (
        parts if splits else {k: np.concatenate([part[k] for part in parts.values()]) for k in parts["train"]}
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    part = out.with_name(f"{out.name}.part")
    part.write_bytes(pickle.dumps(content))
    part.rename(out)
    return out


def _of_split(pieces: assemble.Pieces, split: Split) -> dict[str, np.ndarray]:
    """The arrays of a split by their names in the file."""
    longest = pieces.preparation.preprocessing.longest[0]
    raw = Statistics.identity(pieces.preparation.preprocessing.widths)
    encode = jax.jit(
        lambda ids, mask: (
            pieces.model.encoder.apply(
                {"params": pieces.variables["params"]["encoder"]}, ids, mask, train=False
            ).last_hidden_state
        )
    )
    found: dict[str, list[np.ndarray]] = {name: [] for name in ("text", "text_bert", "audio", "vision")}
    for start in range(0, len(split), ROWS):
        rows = np.arange(start, min(start + ROWS, len(split)))
        batch = split.batch(rows, (longest,) * 3, ROWS, raw)
        mask = batch["text_mask"]
        states = np.where(mask[..., None], encode(batch["text"], mask), 0)
        tokens = np.stack([np.where(mask, batch["text"], 0), mask, np.zeros_like(mask)], axis=1)
        arrays = {"text": states, "text_bert": tokens, "audio": batch["audio"], "vision": batch["vision"]}
        for name, x in arrays.items():
            found[name].append(x[: len(rows)].astype(np.float32))
    clips = [split.clip(k) for k in range(len(split))]
    return {
        **{name: np.concatenate(parts) for name, parts in found.items()},
        "raw_text": np.array([clip["text"] for clip in clips]),
        "id": np.array([clip["id"] for clip in clips]),
        "regression_labels": split.labels.astype(np.float32),
    }
