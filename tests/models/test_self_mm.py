"""Self-MM: its scores, the labels that it makes, and the tables that it makes them from."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from msa_jax.models import _self_mm_labels as labels
from msa_jax.models.fields import Misfit
from msa_jax.models.self_mm import Loss, SelfMM
from tests.layers.doubles import dense_numpy, double, draw, lstm_numpy

WIDTHS = {"text": 5, "audio": 4, "vision": 3}
HEADS = {"fusion": 7, "text": 5, "audio": 6, "vision": 3}
CLIPS, B = 9, 4
RATES = {f"{name}_head_dropout": 0.0 for name in HEADS}
SMALL = {
    **{"audio_hidden": 4, "audio_width": 3, "vision_hidden": 3, "vision_width": 2},
    **{f"{name}_head": width for name, width in HEADS.items()},
    **RATES,
}


def clips(rows, *, seed=0, own=None):
    """The batch of these clips: ragged, padded to B rows that say nonsense; clip 2 has no audio."""
    rng = np.random.default_rng(seed)
    own = rng.uniform(-3, 3, CLIPS) if own is None else own
    out = {"mask": np.arange(B) < len(rows), "label": np.full(B, 9, np.float32)}
    out["index"] = np.full(B, -1, np.int32)
    out["index"][: len(rows)], out["label"][: len(rows)] = rows, np.asarray(own)[rows]
    for m, width in WIDTHS.items():
        every = rng.normal(size=(CLIPS, 6, width)).astype(np.float32)
        lengths = rng.integers(1, 7, CLIPS)
        if m == "audio":
            lengths[2] = 0
        x, mask = np.full((B, 6, width), 5, np.float32), np.zeros((B, 6), bool)
        x[: len(rows)], mask[: len(rows)] = every[rows], np.arange(6)[None] < lengths[rows, None]
        out[m], out[f"{m}_mask"] = x, mask
    return out


def start(model, *, seed=9):
    """Variables before the first step, with parameters away from their start."""
    batch = clips([0])
    variables = jax.eval_shape(lambda: model.init(jax.random.key(0), batch, train=False))
    tables = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), variables.get("labels", {}))
    return {"params": draw(model, batch, seed=seed), "labels": tables}


@functools.partial(jax.jit, static_argnums=(0, 3))
def apply(model, variables, batch, train=True):
    """(outputs, tables after it)."""
    return model.apply(variables, batch, train=train, mutable="labels", rngs={"dropout": jax.random.key(1)})


class Double:
    """The rule for labels, clip by clip, with the features that the model gave."""

    def __init__(self, *, relative, exclude_zero, bound):
        self.relative, self.exclude_zero, self.bound = relative, exclude_zero, bound
        self.labels = {name: {} for name in HEADS}
        self.features = {name: {} for name in HEADS}
        self.visits = {name: dict.fromkeys(range(CLIPS), 0) for name in HEADS}

    def centres(self, name):
        signs = {1: [], -1: []}
        for clip, y in self.labels[name].items():
            sign = np.sign(y) if y or self.exclude_zero else 1
            if sign:
                signs[int(sign)].append(self.features[name][clip])
        return [np.mean(signs[s], 0) if signs[s] else None for s in (1, -1)]

    def offset(self, x, centres):
        to_positive, to_negative = (np.linalg.norm(x - c) for c in centres)
        if self.relative == "squared":
            to_positive, to_negative = (d**2 / len(x) ** 0.5 for d in (to_positive, to_negative))
        unit = to_positive
        if self.relative == "centres":
            unit = np.linalg.norm(centres[0] - centres[1])
        return (to_negative - to_positive) / (unit + 1e-8)

    def step(self, rows, own, features, absent):
        """The labels before the step, by modality and clip; `features` by head and place in the batch."""
        centres = {name: self.centres(name) for name in HEADS}
        before = {name: {} for name in HEADS}
        for name in HEADS:
            for place, clip in enumerate(rows):
                if (name, clip) in absent:
                    continue
                was = before[name][clip] = self.labels[name].get(clip, own[clip])
                n, now = self.visits[name][clip] + 1, was
                known = all(c is not None for c in (*centres[name], *centres["fusion"]))
                if name != "fusion" and n > 1 and known:
                    s, f = (self.offset(features[k][place], centres[k]) for k in (name, "fusion"))
                    new = own[clip] * s / (f + 1e-8) / 2 + (own[clip] + s - f) / 2
                    new = min(max(new, -self.bound), self.bound)
                    now = (n - 1) / (n + 1) * was + 2 / (n + 1) * new
                self.labels[name][clip] = now
                self.features[name][clip] = features[name][place]
                self.visits[name][clip] = n
        return before


OWN = np.array([2.5, -1.5, 0.75, 0.0, -2.0, 1.25, 0.5, -0.25, 3.0])
EPOCHS = [[[0, 4, 2, 1], [3, 5, 6, 7], [8]], [[8, 2, 3, 4], [1, 7, 0, 6], [5]], [[2, 1, 0, 8], [7, 3], [6]]]


@pytest.mark.parametrize("own", [OWN, np.abs(OWN)], ids=["both_signs", "one_sign"])
@pytest.mark.parametrize("exclude_zero", [True, False])
@pytest.mark.parametrize("relative", ["toolkit", "squared", "centres"])
def test_the_labels_are_those_of_the_rule_over_three_epochs(relative, exclude_zero, own):
    """The parameters change from step to step, so that features and centres move."""
    rule = {"relative": relative, "exclude_zero": exclude_zero, "bound": 2.75}
    model, double, moved = SelfMM(clips=CLIPS, **SMALL, **rule), Double(**rule), 0
    variables = start(model)
    for k, rows in enumerate(rows for epoch in EPOCHS for rows in epoch):
        params, batch = draw(model, clips([0]), seed=20 + k), clips(rows, own=own)
        out, after = apply(model, {**variables, "params": params}, batch)
        features = {m: np.asarray(out[f"hidden_{m}"], float) for m in WIDTHS}
        features["fusion"] = np.asarray(out["fused"], float)
        before = double.step(rows, own, features, {("audio", 2)})
        for m in WIDTHS:
            for place, clip in enumerate(rows):
                if clip in before[m]:
                    np.testing.assert_allclose(out[f"made_label_{m}"][place], before[m][clip], atol=2e-4)
                    moved += abs(before[m][clip] - own[clip]) > 1e-2
        variables = {**variables, **after}
    assert moved > 8 if own is OWN else moved == 0
    tables = variables["labels"]
    for name in HEADS:
        for clip, y in double.labels[name].items():
            np.testing.assert_allclose(tables[f"{name}_label"][clip], y, atol=2e-4)
            np.testing.assert_allclose(tables[f"{name}_features"][clip], double.features[name][clip])
        np.testing.assert_array_equal(tables[f"{name}_visits"], list(double.visits[name].values()))
    assert not np.asarray(tables["audio_features"])[2].any()


def test_evaluation_and_rows_of_padding_leave_the_tables_as_they_are():
    model = SelfMM(clips=CLIPS, **SMALL)
    variables = start(model)
    variables |= apply(model, variables, clips([3, 5, 6, 7]))[1]
    out, after = apply(model, variables, clips([5, 3, 8, 0]), False)
    jax.tree.map(np.testing.assert_array_equal, after, {"labels": variables["labels"]})
    assert not any(name.startswith("made_") for name in out)
    empty, _ = apply(model, start(model), clips([5, 3, 8, 0]), False)
    np.testing.assert_array_equal(out["prediction"], empty["prediction"])
    _, after = apply(model, variables, clips([]))
    jax.tree.map(np.testing.assert_array_equal, after, {"labels": variables["labels"]})


def test_states_side_by_side_are_each_as_alone():
    """Several seeds at once, from copies as a resumed run has them."""
    model = SelfMM(clips=CLIPS, **SMALL)
    several, alone = [start(model, seed=seed) for seed in (1, 2)], []
    batches = [clips(rows, own=OWN) for epoch in EPOCHS for rows in epoch]
    for variables in several:
        for batch in batches:
            copied = jax.tree.map(np.array, variables)
            out, after = apply(model, copied, batch)
            variables = {**variables, **after}
        alone.append((out, after))
    both = jax.tree.map(lambda *x: jnp.stack(x), *several)
    for batch in batches:
        out, after = jax.vmap(lambda v, batch=batch: apply(model, v, batch))(both)
        both = {**both, **after}
    for k, one in enumerate(alone):
        jax.tree.map(
            lambda x, y, k=k: np.testing.assert_allclose(x[k], y, rtol=1e-4, atol=1e-4), (out, after), one
        )


def test_labels_are_finite_where_the_fusion_lies_between_the_centres_or_features_lie_on_one():
    centres = jnp.array([[1.0, 0.0], [-1.0, 0.0]])
    x = jnp.array([[0.0, 2.0], [1.0, 0.0], [-1.0, 0.0]])
    for relative in ("toolkit", "squared", "centres"):
        offset = labels.offsets(x, centres, relative)
        assert np.isfinite(offset).all()
        assert offset[0] == 0
        assert offset[1] > 0.99
        assert offset[2] < -0.99
        for own in (0.0, 2.0):
            for of_fusion in (*np.asarray(offset), np.float32(-labels.SMALL)):
                new = labels.shifted(jnp.full(3, own), offset, jnp.full(3, of_fusion), 3.0)
                assert np.isfinite(new).all()
                assert np.abs(new).max() <= 3


@pytest.mark.parametrize("modalities", [tuple(WIDTHS), ("text", "vision"), ("audio",)])
def test_scores_are_those_of_the_equations(modalities):
    model = SelfMM(modalities=modalities, **SMALL)
    variables, batch = start(model), clips([0, 2, 5, 7])
    out, _ = apply(model, variables, batch, False)
    p = double(variables["params"])
    vectors = {}
    for m in modalities:
        if m == "text":
            vectors[m] = batch[m][:, 0].astype(float)
            continue
        mask, subnet, states = batch[f"{m}_mask"], p[f"{m}_subnet"], []
        for x, valid in zip(batch[m].astype(float), mask, strict=True):
            state = lstm_numpy(subnet["lstm"], x, valid)
            states.append(state[valid][-1] if valid.any() else 0 * state[0])
        vectors[m] = dense_numpy(np.array(states), subnet["dense"])
        np.testing.assert_allclose(out[f"vector_{m}"], vectors[m], atol=1e-5)
    for name in ("fusion", *modalities):
        x = np.concatenate(list(vectors.values()), -1) if name == "fusion" else vectors[name]
        head = p[f"{name}_head"]
        first = np.maximum(dense_numpy(x, head["dense_0"]), 0)
        second = np.maximum(dense_numpy(first, head["dense_1"]), 0)
        score = dense_numpy(second, head["head"]["output_dense"])[:, 0]
        found = ("prediction", "fused") if name == "fusion" else (f"prediction_{name}", f"hidden_{name}")
        for expected, key in zip((score, first), found, strict=True):
            np.testing.assert_allclose(out[key], expected, rtol=1e-4, atol=1e-4)
    left_out = set(WIDTHS) - set(modalities)
    assert not [k for k in (*p, *variables["labels"], *out) if any(m in k for m in left_out)]


def test_padding_and_the_rest_of_the_batch_change_nothing():
    model = SelfMM(**SMALL)
    variables, batch = start(model), clips([0, 2, 5, 7])
    whole, _ = apply(model, variables, batch, False)
    first = {k: v[1:2] for k, v in batch.items()}
    for m in WIDTHS:
        first[m] = np.pad(first[m], ((0, 0), (0, 3), (0, 0)), constant_values=7)
        first[f"{m}_mask"] = np.pad(first[f"{m}_mask"], ((0, 0), (0, 3)))
    alone, _ = apply(model, variables, first, False)
    np.testing.assert_allclose(alone["prediction"], whole["prediction"][1:2], atol=1e-5)


@pytest.mark.parametrize("name", HEADS)
def test_each_rate_of_dropout_reaches_its_head(name):
    variables, batch = start(SelfMM(clips=CLIPS, **SMALL)), clips([0, 1, 5, 7])
    key = "fused" if name == "fusion" else f"hidden_{name}"
    kept, dropped = (
        apply(SelfMM(clips=CLIPS, **{**SMALL, f"{name}_head_dropout": rate}), variables, batch)[0][key]
        for rate in (0.0, 0.9)
    )
    assert np.abs(kept - dropped).max() > 1e-3


def test_terms_weigh_by_how_far_a_label_is_from_the_clip_s(batch):
    """The last row pads, the second has no audio, the third no vision."""
    rng = np.random.default_rng(1)
    out = {
        f"{what}_{m}": rng.normal(size=6).astype(np.float32)
        for what in ("prediction", "made_label")
        for m in WIDTHS
    }
    counted = {"text": [0, 1, 2, 3, 4], "audio": [0, 2, 3, 4], "vision": [0, 1, 3, 4]}
    out["made_label_audio"][1] = out["made_label_text"][5] = batch["label"][5] = np.nan
    for targets in ("made", "own"):
        terms = {t.name: t for t in Loss(audio_weight=0.5).terms(SelfMM(targets=targets))}
        assert [(n, t.weight) for n, t in terms.items()] == [
            ("l1_text", 1),
            ("l1_audio", 0.5),
            ("l1_vision", 1),
        ]
        for m, rows in counted.items():
            score, made, own = (
                x[rows] for x in (out[f"prediction_{m}"], out[f"made_label_{m}"], batch["label"])
            )
            error = np.tanh(abs(made - own)) * abs(score - made) if targets == "made" else abs(score - own)

            def value(scores, m=m, terms=terms):
                return terms[f"l1_{m}"].value({**out, f"prediction_{m}": scores}, batch, None)

            found, gradient = jax.value_and_grad(value)(out[f"prediction_{m}"])
            np.testing.assert_allclose(found, error.mean(), rtol=1e-5)
            assert np.isfinite(gradient).all()
            assert set(np.flatnonzero(gradient)) <= set(rows)


def test_a_model_has_the_heads_and_terms_that_it_is_told():
    model = SelfMM(unimodal=("vision", "text"), clips=CLIPS, **SMALL)
    variables = start(model)
    assert [t.name for t in Loss().terms(model)] == ["l1_text", "l1_vision"]
    assert {name for name in variables["params"] if "head" in name} == {
        "fusion_head",
        "text_head",
        "vision_head",
    }
    assert {name.split("_")[0] for name in variables["labels"]} == {"fusion", "text", "vision"}
    for fields in ({"unimodal": ()}, {"targets": "own"}):
        assert start(SelfMM(clips=CLIPS, **SMALL, **fields))["labels"] == {}


def test_heads_for_modalities_that_the_run_lacks_are_refused_where_they_are_all():
    with pytest.raises(Misfit, match=r"unimodal: none of \('vision',\) is among the modalities"):
        SelfMM(unimodal=("vision",), modalities=("text", "audio")).check(max_length=50)
    SelfMM(unimodal=(), modalities=("text",)).check(max_length=50)
    SelfMM(unimodal=("text", "vision"), modalities=("text",)).check(max_length=50)
