"""The labels that Self-MM makes beside those of MMSA's trainer, from the same features."""

import jax
import numpy as np
import pytest

from msa_jax.models.self_mm import SelfMM
from tests.layers.doubles import draw

torch, _ = (
    pytest.importorskip(name, reason=f'{name} is not installed (pip install ".[parity]")')
    for name in ("torch", "MMSA")
)

CLIPS, BATCH, EPOCHS = 14, 5, 4
WIDTHS = {"fusion": 6, "text": 4, "audio": 3, "vision": 5}


class Arguments(dict):
    """A dictionary whose keys are attributes."""

    __getattr__, __setattr__ = dict.__getitem__, dict.__setitem__


def trainer(*, exclude_zero):
    """MMSA's trainer with tables for the clips."""
    from MMSA.trains.multiTask.SELF_MM import SELF_MM

    sizes = {f"post_{'video' if name == 'vision' else name}_dim": width for name, width in WIDTHS.items()}
    return SELF_MM(
        Arguments(
            train_mode="regression",
            dataset_name="mosi",
            train_samples=CLIPS,
            device="cpu",
            excludeZero=exclude_zero,
            H=3.0,
            **sizes,
        )
    )


@pytest.mark.parametrize("exclude_zero", [True, False])
def test_the_labels_over_four_epochs_are_those_of_the_reference(exclude_zero):
    rng = np.random.default_rng(0)
    own = rng.uniform(-3, 3, CLIPS).astype(np.float32)
    own[3] = 0
    theirs = trainer(exclude_zero=exclude_zero)
    theirs.init_labels(torch.arange(CLIPS), torch.from_numpy(own))
    heads = {f"{name}_head": width for name, width in WIDTHS.items()}
    model = SelfMM(
        clips=CLIPS, exclude_zero=exclude_zero, **heads, text_head_dropout=0.0, audio_head_dropout=0.0
    )
    step = jax.jit(lambda variables, batch: model.apply(variables, batch, train=True, mutable="labels"))
    clips = {m: rng.normal(size=(CLIPS, 3, 4)).astype(np.float32) for m in ("text", "audio", "vision")}
    tables, moved = None, []
    for k in range(EPOCHS):
        order = rng.permutation(CLIPS)
        for rows in np.split(order, range(BATCH, CLIPS, BATCH)):
            here = np.pad(rows, (0, BATCH - len(rows)), constant_values=-1)  # the last batch is not full
            batch = {"mask": here >= 0, "index": here, "label": own[here]}
            for m, x in clips.items():
                batch |= {m: x[here], f"{m}_mask": np.broadcast_to((here >= 0)[:, None], (BATCH, 3))}
            if tables is None:
                shapes = jax.eval_shape(lambda b=batch: model.init(jax.random.key(0), b, train=False))
                tables = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), shapes["labels"])
            # Other parameters in each step: the features of a clip move.
            params = draw(model, batch, seed=int(rng.integers(1000)))
            out, after = step({"params": params, "labels": tables}, batch)
            places = torch.from_numpy(rows)
            for m in clips:
                found = np.asarray(out[f"made_label_{m}"])[: len(rows)]
                np.testing.assert_allclose(found, theirs.label_map[m][places], rtol=1e-4, atol=1e-4)
                moved.append(np.abs(found - own[rows]).max())
            tables = after["labels"]
            features = [out["fused"], *(out[f"hidden_{m}"] for m in clips)]
            features = [torch.from_numpy(np.array(x)[: len(rows)]) for x in features]
            if k:
                theirs.update_labels(*features, k + 1, places, None)
            theirs.update_features(*features, places)
            theirs.update_centers()
        for name in WIDTHS:
            np.testing.assert_allclose(tables[f"{name}_label"], theirs.label_map[name], rtol=1e-4, atol=1e-4)
            np.testing.assert_allclose(tables[f"{name}_features"], theirs.feature_map[name], atol=1e-6)
    assert max(moved) > 0.5
