"""MMIM's bounds against NumPy: likelihoods, entropies with their memory, predictive coding."""

import functools

import jax
import numpy as np
import pytest
from scipy.special import logsumexp

from msa_jax.corpora import MODALITIES
from msa_jax.models.mmim import MMIM, VARIANTS, Loss
from tests.layers.doubles import draw
from tests.models.tracing import config_of, traced

WIDTHS = {"text": 7, "audio": 4, "vision": 3}
SMALL = {
    "audio_hidden": 5, "vision_hidden": 4, "audio_width": 12, "vision_width": 8, "width": 6, "clips": 60,
}  # fmt: skip
B, T = 10, 6
BOUNDS = ("text_vision", "text_audio", "vision_audio")


def batch_of(index, seed=0, labels=None):
    """Clips of these indices; -1 is a row that only pads the batch, and the second clip has no audio."""
    rng = np.random.default_rng(seed)
    count = len(index)
    out = {"index": np.asarray(index, np.int32), "mask": np.asarray(index) >= 0}
    out["label"] = rng.permutation(np.arange(count) - count // 2).astype(np.float32)
    if labels is not None:
        out["label"] = np.asarray(labels, np.float32)
    for m, width in WIDTHS.items():
        out[m] = rng.normal(size=(count, T, width)).astype(np.float32)
        lengths = rng.integers(1, T + 1, count)
        out[f"{m}_mask"] = np.arange(T)[None] < lengths[:, None]
    out["audio_mask"][1] = False
    return out


@functools.partial(jax.jit, static_argnums=(0, 3))
def apply(model, variables, batch, train=False):
    rngs = {"dropout": jax.random.key(1)}
    others = [name for name in variables if name != "params"] if train else []
    out = model.apply(variables, batch, train=train, rngs=rngs, mutable=others)
    return out[0], {**variables, **out[1]}


def start(model, batch):
    """Variables whose parameters are away from those of the start."""
    variables = model.init(jax.random.key(3), batch, train=False)
    return {**variables, "params": draw(model, batch)}


def perceptron(params, name, x):
    hidden = np.maximum(x @ params[f"{name}_in"]["kernel"] + params[f"{name}_in"]["bias"], 0)
    return hidden @ params[f"{name}_out"]["kernel"] + params[f"{name}_out"]["bias"]


@pytest.mark.parametrize("bounded", [True, False])
@pytest.mark.parametrize("log_determinant", [True, False])
def test_a_likelihood_is_that_of_a_gaussian(bounded, log_determinant):
    model = MMIM(**SMALL, bounds=BOUNDS, bounded=bounded, log_determinant=log_determinant)
    batch = batch_of(range(B))
    variables = start(model, batch)
    out, _ = apply(model, variables, batch)
    for x, y in (("text", "vision"), ("text", "audio"), ("vision", "audio")):
        params = jax.tree.map(np.float64, variables["params"][f"mmilb_{x}_{y}"])
        given, told = (np.asarray(out[f"vector_{m}"], np.float64) for m in (x, y))
        mean, spread = (perceptron(params, name, given) for name in ("mean", "log_variance"))
        spread = np.tanh(spread) if bounded else spread
        expected = -((mean - told) ** 2) / (2 * np.exp(spread)) - (spread / 2 if log_determinant else 0)
        for name in ("lld", "fit"):
            np.testing.assert_allclose(out[f"{name}_{x}_{y}"], expected.sum(1), rtol=1e-4)


def gradient(model, variables, batch, term):
    (value,) = (t.value for t in Loss().terms(model) if t.name == term)

    def loss(params):
        out, _ = apply(model, {**variables, "params": params}, batch, True)
        return value(out, batch, None)

    moved = jax.grad(loss)(variables["params"])
    return {name for name, part in moved.items() if any(np.abs(x).max() > 0 for x in jax.tree.leaves(part))}


def test_the_fit_moves_the_gaussians_alone_and_the_bounds_all_that_makes_the_vectors():
    model = MMIM(**SMALL)
    batch = batch_of(range(B))
    variables = start(model, batch)
    vectors = {"audio_lstm", "audio_dense", "vision_lstm", "vision_dense"}
    assert gradient(model, variables, batch, "fit") == {"mmilb_text_vision", "mmilb_text_audio"}
    assert gradient(model, variables, batch, "lld") == vectors
    predicted = {"fusion_0", "fusion_1", "predict_text", "predict_audio", "predict_vision"}
    assert gradient(model, variables, batch, "nce") == vectors | predicted


class Reference:
    """Entropies in float64 from the clips of the batches before, which it keeps one by one."""

    def __init__(self, memory_size, ridge):
        self.memory_size, self.ridge = memory_size, ridge
        self.new_epoch()

    def new_epoch(self):
        self.before, self.batches = [], 0

    def __call__(self, vectors, layers, batch):
        now, total = {}, 0.0
        for pair, x in vectors.items():
            here = batch["mask"] & batch[pair.split("_")[1] + "_mask"].any(1)
            e = np.tanh(x @ layers[pair]["kernel"] + layers[pair]["bias"])
            for sign in (1, -1):
                now[pair, sign] = e[here & (np.sign(batch["label"]) == sign)]
                together = np.concatenate([now[pair, sign], *(old[pair, sign] for old in self.before)])
                if self.batches > self.memory_size and len(together) > e.shape[1]:
                    covariance = np.cov(together.T, bias=True) + self.ridge * np.eye(e.shape[1])
                    total += 0.25 * np.linalg.slogdet(covariance)[1]
        self.before = [now, *self.before][: self.memory_size]
        self.batches += 1
        return total


@pytest.mark.parametrize("memory_size", [1, 2])
@pytest.mark.parametrize("trained", [True, False])
def test_an_entropy_takes_the_clips_of_the_batches_before_in_the_same_epoch(memory_size, trained):
    model = MMIM(**SMALL, memory_size=memory_size, train_projection=trained)
    variables = start(model, batch_of(range(B)))
    layers = variables["params" if trained else "fixed"]["entropy"]
    layers = jax.tree.map(np.float64, layers)
    reference, rng, found = Reference(memory_size, model.ridge), np.random.default_rng(5), []
    for epoch in range(3):
        reference.new_epoch()
        order = np.concatenate([rng.permutation(46), np.full(4, -1)])  # the last batch has rows that only pad
        for k, index in enumerate(order.reshape(-1, B)):
            batch = batch_of(index, seed=(epoch, k))
            out, after = apply(model, variables, batch, True)
            pairs = {f"text_{y}": np.asarray(out[f"vector_{y}"], np.float64) for y in ("vision", "audio")}
            found.append(reference(pairs, layers, batch))
            np.testing.assert_allclose(out["entropy"], np.full(B, found[-1]), rtol=2e-4, atol=1e-5)
            # Evaluation in between changes nothing.
            jax.tree.map(np.testing.assert_array_equal, apply(model, after, batch)[1], after)
            assert "entropy" not in apply(model, after, batch)[0]
            variables = after
    assert [h != 0 for h in found] == 3 * [k > memory_size for k in range(5)]
    np.testing.assert_array_equal(variables["memory"]["entropy"]["visits"], [3] * 46 + [0] * 14)


def test_a_sign_without_clips_or_with_clips_that_are_alike_leaves_all_finite():
    model = MMIM(**SMALL)
    variables = start(model, batch_of(range(B)))
    layers = jax.tree.map(np.float64, variables["fixed"]["entropy"])
    reference = Reference(1, model.ridge)
    alike = {k: np.repeat(v[:1], B, 0) for k, v in batch_of(range(B), labels=np.ones(B)).items()}
    last = [{**alike, "index": np.arange(k, k + B)} for k in (40, 50)]
    batches = [batch_of(range(B * k, B * k + B), seed=k, labels=np.ones(B)) for k in range(4)]
    batches[2]["label"][:2] = -1  # two clips have no covariance of three columns
    for k, batch in enumerate([*batches, *last]):
        (term,) = (t.value for t in Loss().terms(model) if t.name == "entropy")

        def loss(params, variables=variables, batch=batch, term=term):
            out, after = apply(model, {**variables, "params": params}, batch, True)
            return term(out, batch, None), (out, after)

        (value, (out, after)), moved = jax.value_and_grad(loss, has_aux=True)(variables["params"])
        pairs = {f"text_{y}": np.asarray(out[f"vector_{y}"], np.float64) for y in ("vision", "audio")}
        np.testing.assert_allclose(value, -reference(pairs, layers, batch), rtol=1e-3)
        assert (value != 0) == (k > 1)
        assert all(np.isfinite(x).all() for x in jax.tree.leaves((moved, after)))
        variables = after


@pytest.mark.parametrize("noise", ["vectors", "predictions"])
def test_predictive_coding_tells_a_clip_from_the_others_that_have_the_modality(noise):
    model = MMIM(**SMALL)
    batch = batch_of([*range(B - 1), -1])
    out, _ = apply(model, start(model, batch), batch)
    expected = 0.0
    for m in WIDTHS:
        here = batch["mask"] & batch[f"{m}_mask"].any(1)
        x, g = (np.asarray(out[f"{what}_{m}"], np.float64)[here] for what in ("vector", "predicted"))
        cosine = g @ x.T / np.outer(np.linalg.norm(g, axis=1), np.linalg.norm(x, axis=1))  # [fusion, vector]
        others = logsumexp(cosine, axis=1 if noise == "vectors" else 0)
        expected += np.mean(others - np.diagonal(cosine))
    (value,) = (t.value for t in Loss(nce_noise=noise).terms(model) if t.name == "nce")
    np.testing.assert_allclose(value(out, batch, None), expected, rtol=1e-5)


def test_vectors_are_the_first_state_of_the_text_and_of_all_steps_of_the_streams():
    model = MMIM(**SMALL)
    batch = batch_of(range(B))
    variables = start(model, batch)
    out, _ = apply(model, variables, batch)
    np.testing.assert_array_equal(out["vector_text"], batch["text"][:, 0])
    for m in ("audio", "vision"):
        last = {**batch, m: batch[m].copy()}
        end = batch[f"{m}_mask"].sum(1) - 1
        last[m][np.arange(B), end] += 1.0
        padding = {**batch, m: np.where(batch[f"{m}_mask"][..., None], batch[m], 7.0)}
        moved, same = (
            apply(model, variables, b)[0][f"vector_{m}"] - out[f"vector_{m}"] for b in (last, padding)
        )
        has = batch[f"{m}_mask"].any(1)
        assert (np.abs(moved).max(1) > 1e-3).tolist() == has.tolist()
        assert np.abs(same).max() == 0


def test_every_matrix_starts_with_the_spread_of_xavier():
    model = MMIM(width=64, audio_hidden=32, vision_hidden=32, clips=4)
    params = model.init(jax.random.key(0), batch_of(range(2)), train=False)["params"]
    matrices = [x for x in jax.tree.leaves(params) if x.ndim == 2 and x.size > 500]
    assert len(matrices) >= 8
    for x in matrices:
        assert np.std(x) == pytest.approx(np.sqrt(2 / sum(x.shape)), rel=0.15)


def test_what_is_left_out_has_no_parameters_and_no_bound():
    batch = batch_of(range(B))
    names = {
        modalities: set(MMIM(**SMALL, bounds=BOUNDS, modalities=modalities).init(
            jax.random.key(0), batch, train=False
        ))
        for modalities in (("text",), ("audio", "vision"), ("text", "audio"))
    }  # fmt: skip
    assert names[("text",)] == {"params"}
    assert names[("audio", "vision")] == names[("text", "audio")] == {"params", "memory", "fixed"}
    assert MMIM(modalities=("audio", "vision")).pairs() == ()
    assert [t.name for t in Loss().terms(MMIM(modalities=("text",)))] == ["nce"]


def test_a_bound_whose_modality_the_run_lacks_is_named():
    assert list(MMIM(bounds=BOUNDS).notes(8)) == []
    (note,) = MMIM(bounds=BOUNDS, modalities=("text", "vision")).notes(8)
    assert "text_audio, vision_audio are left out" in note
    assert MMIM(bounds=BOUNDS[::-1]).pairs() == (("text", "vision"), ("text", "audio"), ("vision", "audio"))


def test_the_contrast_is_the_sum_over_the_modalities_that_it_names():
    batch = batch_of(range(B))
    model = MMIM(**SMALL)
    out, _ = apply(model, start(model, batch), batch)
    found = {}
    for kept in (("text",), ("audio",), ("vision",), ("text", "vision"), MODALITIES):
        (nce,) = (t for t in Loss(contrast=kept).terms(model) if t.name == "nce")
        found[kept] = float(nce.value(out, batch, jax.random.key(0)))
    one_by_one = [found[(m,)] for m in MODALITIES]
    assert len(set(one_by_one)) == 3
    assert found[MODALITIES] == pytest.approx(sum(one_by_one), rel=1e-6)
    assert found[("text", "vision")] == pytest.approx(one_by_one[0] + one_by_one[2], rel=1e-6)
    assert "nce" not in {t.name for t in Loss(contrast=()).terms(model)}


def test_without_contrast_nothing_but_the_task_is_left():
    assert traced(config_of("mmim", "tiny", "no_contrast")).terms == {"l1"}
    assert traced(config_of("mmim", "tiny")).terms == {"l1", "nce", "lld", "fit", "entropy"}
    assert traced(config_of("mmim", "tiny", "no_lld")).terms == {"l1", "nce", "entropy"}
    assert set(VARIANTS["no_contrast"]) == {f"loss.{n}_weight" for n in ("nce", "lld", "entropy")}


def test_dropout_reaches_the_fusion():
    batch = batch_of(range(B))
    variables = start(MMIM(**SMALL), batch)
    kept, dropped = (
        apply(MMIM(**SMALL, dropout=rate), variables, batch, True)[0]["fused"] for rate in (0.0, 0.5)
    )
    assert np.abs(kept - dropped).max() > 1e-2
