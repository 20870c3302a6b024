"""TeCaFN: its equations in NumPy, its replacement gate, and what must hold for any input."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from msa_jax import models
from msa_jax.corpora import MODALITIES
from msa_jax.errors import UserError
from msa_jax.models.tecafn import TeCaFN
from msa_jax.text import Encoder, EncoderConfig
from tests.layers.doubles import dense_numpy, double, lstm_numpy
from tests.layers.test_transformer import positions_numpy, transformer_numpy
from tests.models.tracing import config_of, prepared

ENCODER = EncoderConfig(
    family="bert", vocab_size=50, hidden_size=8, num_layers=1, num_heads=2, intermediate_size=8,
    max_positions=12, type_vocab_size=1, activation="gelu", layer_norm_eps=1e-12, hidden_dropout=0.1,
    attention_dropout=0.1, pad_id=0,
)  # fmt: skip
GATE = ("pair_logits", "pair_label", "source", "candidates")  # outputs of a replacement gate
DROPOUTS = ("dropout", "attention_dropout", "embedding_dropout", "head_dropout")
SMALL = {"width": 6, "heads": 2, "encoder_layers": 1, "cross_layers": 2, "ffn_factor": 2, "head_hidden": 5}
SMALL |= {"kernel": 3}
SMALL |= {"p": 1.0, **dict.fromkeys(DROPOUTS, 0.0)}  # a gate that is always open, and nothing else random
B, LENGTHS, WIDTHS = 5, {"text": 6, "audio": 4, "vision": 7}, {"text": 5, "audio": 3, "vision": 7}


def make_batch(seed=0, rows=B, lengths=LENGTHS, missing=()):
    """Clips of all lengths down to one step; the second one's audio begins late. missing: (row, modality)."""
    rng = np.random.default_rng(seed)
    batch = {"mask": np.ones(rows, bool), "index": np.arange(rows, dtype=np.int32)}
    for m in MODALITIES:
        valid = np.maximum(lengths[m] - np.arange(rows) % lengths[m], 1)
        batch[f"{m}_mask"] = np.arange(lengths[m]) < valid[:, None]
        batch[m] = rng.normal(size=(rows, lengths[m], WIDTHS[m])).astype(np.float32)
    batch["audio_mask"][1:2, 0] = lengths["audio"] == 1
    for row, m in missing:
        batch[f"{m}_mask"][row] = False
    batch["label"] = rng.uniform(-3, 3, rows).astype(np.float32)
    return batch


def pad(batch, rows=0, steps=0, seed=5):
    """More rows and more steps, none of them valid, with something in them."""
    rng = np.random.default_rng(seed)

    def grow(name, x):
        widths = [(0, rows)] + [(0, steps)] * (x.ndim > 1) + [(0, 0)] * (x.ndim > 2)
        if x.dtype == bool:
            return np.pad(x, widths)
        noise = rng.normal(size=[n + a + b for n, (a, b) in zip(x.shape, widths, strict=True)])
        noise = (9 * noise).astype(x.dtype)
        noise[tuple(slice(n) for n in x.shape)] = x
        return noise

    return {name: grow(name, x) for name, x in batch.items()}


def make_model(**fields):
    return TeCaFN(**{**SMALL, **fields})


@functools.cache
def shapes_on(model, described):
    params = jax.eval_shape(lambda b: model.init(jax.random.key(0), b, train=False), dict(described))[
        "params"
    ]
    return jax.tree.map(lambda x: x.shape, params)


def shapes(model, batch):
    return shapes_on(model, tuple((k, jax.ShapeDtypeStruct(v.shape, v.dtype)) for k, v in batch.items()))


def params_of(model, batch=None):
    """Values away from the special ones of the start (made here: compiling an initialiser takes longer)."""
    rng, tree = np.random.default_rng(0), shapes(model, batch or make_batch())

    def values(path, shape):
        x = rng.normal(size=shape) / np.sqrt(shape[-2] if len(shape) > 1 else 9.0)
        return (x + (path[-1].key == "scale")).astype(np.float32)

    return jax.tree_util.tree_map_with_path(values, tree, is_leaf=lambda x: isinstance(x, tuple))


@functools.partial(jax.jit, static_argnums=(0, 3))
def apply(model, params, batch, train, dropout, sample):
    keys = {"dropout": jax.random.key(dropout, impl="unsafe_rbg"), "sample": jax.random.key(sample)}
    return model.apply({"params": params}, batch, train=train, rngs=keys if train else {})


def run(model, params, batch, train=False, dropout=0, sample=0):
    """Outputs; every call gives all arguments, so that a model and a shape are compiled once."""
    return jax.device_get(apply(model, params, batch, train, dropout, sample))


def contrast(q, k):
    """One-way InfoNCE, temperature 0.1."""
    return -jnp.diagonal(jax.nn.log_softmax(q @ k.T / 0.1)).mean()


def total_loss(out, batch):
    """Of every output that a loss reads."""
    loss = jnp.abs(out["prediction"] - batch["label"]).mean()
    stage1, stage2 = ([k for k in sorted(out) if k.startswith(f"stage{n}_")] for n in (1, 2))
    for q, k in [*itertools.combinations(stage1, 2), *itertools.permutations(stage2, 2)]:
        loss += 0.1 * contrast(out[q], out[k])
    for m in MODALITIES:
        if f"pair_logits_{m}" in out:
            logits, labels = out[f"pair_logits_{m}"], out[f"pair_label_{m}"]
            loss += 0.1 * optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()
    return loss


@functools.partial(jax.jit, static_argnums=0)
def slopes(model, params, batch, total, scores):
    def loss(params, audio):
        out = apply(model, params, {**batch, "audio": audio}, True, 0, 0)
        return total * total_loss(out, batch) + (scores * out["prediction"]).sum(), out

    return jax.grad(loss, (0, 1), has_aux=True)(params, batch["audio"])


def grads_of(model, params, batch, total=1.0, scores=0.0):
    """((gradients by the parameters, by the audio), outputs) of the total loss and of the clips' scores, each
    as often as asked: one program for all that is asked of a model's gradients."""
    scores = np.broadcast_to(np.float32(scores), batch["mask"].shape)
    return jax.device_get(slopes(model, params, batch, total, scores))


def tecafn_numpy(p, batch, core, sources, *, lstm=True, residual=False, heads=2):
    """Section 3.2 clip by clip, with every modality in `contrast` and `replace`; the paper's order."""

    def convolve(p, x, valid):
        kernel = p["conv"]["kernel"]
        side = len(kernel) // 2
        x = np.pad(x * valid[:, None], ((side, side), (0, 0)))
        out = sum(x[k : k + len(valid)] @ kernel[k] for k in range(len(kernel)))
        return (out + p["conv"]["bias"]) * valid[:, None]

    def states(m, b):
        valid = batch[f"{m}_mask"][b]
        x = convolve(p[f"{m}_projection"], batch[m][b].astype(np.float64), valid)
        if m == "text":
            return x
        x, _ = transformer_numpy(p[f"{m}_encoder"], positions_numpy(x), None, valid, heads, residual)
        return lstm_numpy(p[f"{m}_lstm"], x, valid) if lstm else x

    def mean(x, valid):
        return x[valid].mean(0) if valid.any() else np.zeros(x.shape[1])

    def vector(p, x, valid):
        v = mean(convolve(p, x, valid), valid)
        return v / max(np.linalg.norm(v), 1e-12)

    others = [m for m in MODALITIES if m != core]
    x = {m: [states(m, b) for b in range(len(batch["mask"]))] for m in MODALITIES}
    mask = {m: batch[f"{m}_mask"] for m in MODALITIES}
    out = {f"stage1_{m}": [] for m in MODALITIES}
    out |= {f"{name}_{m}": [] for name in ("stage2", "pair_logits", "attention") for m in others}
    out |= {"fused": [], "prediction": []}
    for b in range(len(batch["mask"])):
        for m in MODALITIES:
            out[f"stage1_{m}"].append(vector(p[f"stage1_{m}_projection"], x[m][b], mask[m][b]))
        fused = 0
        for m in others:
            j = sources[m][b]
            queries, keys = positions_numpy(x[core][b]), positions_numpy(x[m][j])
            h, weights = transformer_numpy(p[f"cross_{m}"], queries, keys, mask[m][j], heads, residual)
            out[f"attention_{m}"].append(weights)
            pooled = mean(h, mask[core][b])
            out[f"pair_logits_{m}"].append(dense_numpy(pooled, p[f"pair_{m}"]))
            z = vector(p[f"stage2_{m}_projection"], h, mask[core][b])
            out[f"stage2_{m}"].append(z * mask[m][b].any())
            fused = fused + pooled
        out["fused"].append(fused)
        inner = np.tanh(dense_numpy(fused, p["head_dense"]))
        out["prediction"].append(dense_numpy(inner, p["head"]["output_dense"])[0])
    out = {name: np.stack(values) for name, values in out.items()}
    for m in others:
        out[f"similarity_{m}"] = out[f"stage1_{core}"] @ out[f"stage1_{m}"].T
        out[f"attention_{m}"] = np.moveaxis(out[f"attention_{m}"], 1, 0)
    return out


@pytest.mark.parametrize(
    ("core", "fields"), [("text", {}), ("audio", {"lstm": False, "residual_on_norm": True})]
)
def test_equals_its_equations(core, fields):
    batch = make_batch(missing=[(3, "vision")])
    model = make_model(core=core, **fields)
    params = params_of(model)
    others = [m for m in MODALITIES if m != core]
    for train in (False, True):
        out = run(model, params, batch, train, sample=2)
        sources = {m: np.asarray(out.get(f"source_{m}", np.arange(B))) for m in others}
        expected = tecafn_numpy(
            double(params),
            batch,
            core,
            sources,
            lstm=fields.get("lstm", True),
            residual=fields.get("residual_on_norm", False),
        )
        if train:
            assert all((sources[m] != np.arange(B)).any() for m in others)
            for m in others:
                np.testing.assert_array_equal(out[f"pair_label_{m}"], sources[m] == np.arange(B))
        for name in set(expected) & set(out):
            valid = np.ones_like(expected[name], bool)
            if name.startswith("attention"):  # nobody reads what an invalid step of the core attends to
                valid = np.broadcast_to(batch[f"{core}_mask"][None, :, None, :, None], valid.shape)
            np.testing.assert_allclose(
                np.asarray(out[name])[valid], expected[name][valid], atol=3e-5, err_msg=name
            )
        gate_only = {f"pair_logits_{m}" for m in others}
        assert set(expected) - set(out) == (set() if train else gate_only)


def test_shapes_of_the_outputs():
    model, batch = make_model(outputs=(4, 2)), make_batch()
    params = params_of(model)
    C, d = LENGTHS["text"], SMALL["width"]
    always = {"logits": (B, 4, 2), "fused": (B, d), "stage1_text": (B, d)}
    gate = {}
    for m in ("audio", "vision"):
        always |= {f"stage1_{m}": (B, d), f"stage2_{m}": (B, d), f"similarity_{m}": (B, B)}
        always[f"attention_{m}"] = (2, B, 2, C, LENGTHS[m])
        gate |= {f"pair_logits_{m}": (B, 2)}
        gate |= {f"{name}_{m}": (B,) for name in ("pair_label", "source", "candidates")}
    for train in (False, True):
        out = jax.eval_shape(functools.partial(apply, model, train=train), params, batch, dropout=0, sample=0)
        assert {k: v.shape for k, v in out.items()} == always | (gate if train else {})
        whole = {k for k, v in out.items() if v.dtype == jnp.int32}
        assert whole == ({k for k in gate if "logits" not in k} if train else set())


def test_neither_order_nor_padding_nor_garbage_matters():
    model, batch = make_model(), make_batch(missing=[(2, "audio")])
    params = params_of(model)
    out = run(model, params, batch)
    order = np.array([3, 0, 4, 2, 1])
    moved = run(model, params, {k: v[order] for k, v in batch.items()})
    np.testing.assert_allclose(moved["prediction"], out["prediction"][order], atol=1e-5)
    larger = run(model, params, pad(batch, rows=2, steps=3))
    np.testing.assert_allclose(larger["prediction"][:B], out["prediction"], atol=1e-5)
    np.testing.assert_allclose(larger["similarity_audio"][:B, :B], out["similarity_audio"], atol=1e-5)
    # In training too, a row that only pads is never drawn, and what it holds has no effect.
    padded = [pad(batch, rows=2, seed=seed) for seed in (5, 6)]
    for m in MODALITIES:
        padded[1][m] = np.where(padded[1][f"{m}_mask"][..., None], padded[1][m], 50.0).astype(np.float32)
    first, second = (run(model, params, other, True) for other in padded)
    for name in first:
        valid = np.asarray(first[name])
        if not name.startswith("attention"):
            np.testing.assert_allclose(valid, second[name], atol=1e-5, err_msg=name)
    for m in ("audio", "vision"):
        np.testing.assert_array_equal(first[f"source_{m}"][B:], [B, B + 1])
        assert (first[f"source_{m}"][:B] < B).all()
        np.testing.assert_array_equal(first[f"candidates_{m}"][B:], 0)


def test_missing_modalities_and_one_step_clips_are_finite():
    model, core = make_model(), "text"
    params = params_of(model)
    cases = [[(2, m)] for m in MODALITIES] + [[(slice(None), m)] for m in MODALITIES]
    cases += [[(0, "audio"), (0, "vision")], [(1, m) for m in MODALITIES]]
    for missing in cases:
        batch = make_batch(missing=missing)
        grads, out = grads_of(model, params, batch)
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((grads, out))), missing
        for m in MODALITIES:
            lacks = ~batch[f"{m}_mask"].any(1)
            if m == core:
                continue
            still = lacks | ~batch[f"{core}_mask"].any(1)
            source = np.asarray(out[f"source_{m}"])
            np.testing.assert_array_equal(source == np.arange(B), still | (out[f"candidates_{m}"] == 0))
            np.testing.assert_array_equal(out[f"pair_label_{m}"], source == np.arange(B))
            assert not lacks[source[~still]].any()  # nobody is given what is not there
            np.testing.assert_array_equal(out[f"attention_{m}"][:, lacks], 0)
            np.testing.assert_array_equal(out[f"stage2_{m}"][lacks], 0)


def test_a_clip_without_audio_and_vision_is_still_scored_by_its_text():
    model = make_model()
    batch = make_batch(missing=[(slice(None), "audio"), (slice(None), "vision")])
    assert np.std(run(model, params_of(model), batch)["prediction"]) > 1e-3


def test_one_step_and_parameters_without_lengths():
    model, ones = make_model(), make_batch(rows=2, lengths=dict.fromkeys(MODALITIES, 1))
    assert shapes(model, ones) == shapes(model, make_batch())
    assert np.isfinite(run(model, params_of(model), ones)["prediction"]).all()


@pytest.mark.parametrize("n", [1, 2, 3])
def test_every_subset_of_modalities_runs(n):
    batch, full = make_batch(), shapes(make_model(), make_batch())
    for modalities in itertools.combinations(MODALITIES, n):
        model = make_model(modalities=modalities)
        core = modalities[0]
        tree = shapes(model, batch)
        others = set(modalities) - {core}
        expected = {f"{m}_projection" for m in modalities} | {"head_dense", "head"}
        expected |= {f"{m}_{part}" for m in set(modalities) - {"text"} for part in ("encoder", "lstm")}
        expected |= {f"{part}_{m}" for m in others for part in ("cross", "pair")}
        expected |= {f"stage1_{m}_projection" for m in modalities if others}
        expected |= {f"stage2_{m}_projection" for m in others if n == 3}
        assert set(tree) == expected
        if core == "text":
            assert all(tree[k] == full[k] for k in tree)
        needed = {k: v for k, v in batch.items() if k.split("_")[0] not in set(MODALITIES) - set(modalities)}
        out = run(model, params_of(model), needed, True)
        assert all(np.isfinite(v).all() for v in out.values())
        if n == 1:
            assert {"prediction", "fused"} == set(out)


def test_similarity_without_a_contrast_is_that_of_the_mean_states():
    batch, model = make_batch(), make_model(contrast=("vision",))
    params = params_of(make_model())
    out = run(model, params, batch)
    both = run(make_model(), params, batch)
    np.testing.assert_allclose(out["similarity_vision"], both["similarity_vision"], atol=1e-6)
    # A projection that changes nothing leaves the mean states.
    same = {"conv": {"kernel": np.eye(6, dtype=np.float32)[None], "bias": np.zeros(6, np.float32)}}
    plain = {**params, "stage1_text_projection": same, "stage1_audio_projection": same}
    expected = run(make_model(), plain, batch)["similarity_audio"]
    np.testing.assert_allclose(out["similarity_audio"], expected, atol=1e-6)
    assert np.abs(expected - both["similarity_audio"]).max() > 1e-2


def test_without_dropout_and_gate_training_equals_evaluation():
    """It is the same program, key by key and operation by operation."""
    keys = {name: jax.random.key(0) for name in ("dropout", "sample")}

    def program(train, **fields):
        model = make_model(**fields)

        def outputs(params, batch):
            return model.apply({"params": params}, batch, train=train, rngs=keys)

        traced, out = jax.make_jaxpr(outputs, return_shape=True)(params_of(model), make_batch())
        return str(traced), set(out)

    assert program(True, p=0.0) == program(False, p=0.0)
    assert program(True, p=0.0, dropout=0.1)[0] != program(False, p=0.0)[0]


def test_training_depends_on_both_keys():
    model, batch = (
        make_model(modalities=("text", "audio"), p=0.5, **dict.fromkeys(DROPOUTS, 0.3)),
        make_batch(),
    )
    params = params_of(model)
    a, same, dropout, sample = (
        run(model, params, batch, True, *keys) for keys in ((0, 0), (0, 0), (1, 0), (0, 1))
    )
    np.testing.assert_array_equal(a["prediction"], same["prediction"])
    assert np.abs(a["prediction"] - dropout["prediction"]).max() > 1e-4
    np.testing.assert_array_equal(a["source_audio"], same["source_audio"])
    assert (a["source_audio"] != sample["source_audio"]).any()


def test_the_two_gates_are_independent_with_rate_p():
    p, keys = 0.7, 3000
    model, batch = make_model(p=p), make_batch()
    params = params_of(model)
    labels = jax.jit(jax.vmap(lambda k: [apply(model, params, batch, True, 0, k)[f"pair_label_{m}"] for m in
                                         ("audio", "vision")]))(jnp.arange(keys))  # fmt: skip
    audio, vision = (np.asarray(x)[:, 0] for x in labels)
    for a, v in itertools.product((0, 1), repeat=2):  # Table 2
        q = (1 - p if a else p) * (1 - p if v else p)
        measured = ((audio == a) & (vision == v)).mean()
        assert abs(measured - q) < 4 * np.sqrt(q * (1 - q) / keys), (a, v, measured, q)


@pytest.mark.parametrize("hard", [("audio",), ()])
def test_who_is_drawn(hard):
    """Of six usable clips the two nearest, or all others: each as often as the next."""
    keys, num, rows = 2000, 2, 8
    model = make_model(num=num, hard_negatives=hard, modalities=("text", "audio"))
    batch = make_batch(rows=rows, missing=[(3, "audio")])
    for name in ("mask", "text_mask", "audio_mask"):
        batch[name][5] = False
    params = params_of(model)

    def draw(key):
        out = apply(model, params, batch, True, 0, key)
        return out["source_audio"], out["similarity_audio"]

    draws = jax.jit(jax.vmap(draw, out_axes=(0, None)))(jnp.arange(keys))
    source, similarity = jax.device_get(draws)
    for i in range(rows):
        order = [j for j in np.argsort(-similarity[i]) if j not in (i, 3, 5)]
        candidates = [i] if i in (3, 5) else order[:num] if hard else order
        drawn, counts = np.unique(source[:, i], return_counts=True)
        assert set(drawn) == set(candidates)
        q = 1 / len(candidates)
        assert np.abs(counts / keys - q).max() <= 4 * np.sqrt(q * (1 - q) / keys)


@pytest.mark.parametrize("rows", [1, 2])
def test_small_batches(rows):
    model, batch = make_model(modalities=("text", "audio")), make_batch(rows=rows)
    out = run(model, params_of(model), batch, True)
    np.testing.assert_array_equal(out["candidates_audio"], [rows - 1] * rows)
    np.testing.assert_array_equal(out["source_audio"], np.arange(rows)[::-1])
    np.testing.assert_array_equal(out["pair_label_audio"], [2 - rows] * rows)


def test_gradients_reach_the_clip_that_was_drawn_but_not_the_choice():
    model, batch = make_model(), make_batch()
    first = np.arange(B) == 0
    (grads, grad_audio), out = grads_of(model, params_of(model), batch, 0.0, first)
    touched = np.flatnonzero(np.abs(grad_audio).max((1, 2)) > 0)
    np.testing.assert_array_equal(touched, [out["source_audio"][0]])
    assert touched[0] != 0
    for m in MODALITIES:
        assert all((g == 0).all() for g in jax.tree.leaves(grads[f"stage1_{m}_projection"]))


def test_every_parameter_learns():
    model, batch = make_model(), make_batch()
    (grads, _), _ = grads_of(model, params_of(model), batch)
    silent = [k for k, g in jax.tree_util.tree_leaves_with_path(grads) if not (g != 0).any()]
    assert not silent


def test_100_steps_from_the_start_fit_the_clips():
    """By the sign of the gradient of the mean absolute error, in ever smaller steps."""
    model, batch = make_model(), make_batch()
    start = jax.jit(lambda: model.init(jax.random.key(0, impl="unsafe_rbg"), batch, train=False)["params"])
    params, scores, errors = jax.device_get(start()), None, []
    for step in range(100):
        # The error's slope by each score is a sign, known from the step before.
        (grads, _), out = grads_of(model, params, batch, 0.0, 0.0 if scores is None else np.sign(scores))
        scores = out["prediction"] - batch["label"]
        errors.append(np.abs(scores).mean())
        rate = np.float32(0.02 * (1 - step / 100))
        params = jax.tree.map(lambda p, g, r=rate: p - r * np.sign(g), params, grads)
    assert errors[-1] < errors[0] / 10, errors[::20]


def test_one_program_without_callbacks():
    model = make_model()
    params, sizes = params_of(model), set()
    for seed in range(3):
        run(model, params, make_batch(seed, missing=[(seed, "audio")]), True, seed, seed + 1)
        sizes.add(apply._cache_size())
    assert len(sizes) == 1
    assert "callback" not in str(apply.trace(model, params, make_batch(), True, 0, 0).jaxpr)


def test_text_encoder():
    batch = make_batch()
    batch["text"] = np.random.default_rng(0).integers(1, 50, batch["text_mask"].shape).astype(np.int32)
    model = make_model(encoder=Encoder(ENCODER), replace=("audio",))
    tree = dict(shapes(model, batch))
    assert "embeddings" in tree.pop("encoder")
    assert set(tree) == set(shapes(make_model(replace=("audio",)), make_batch()))
    assert "encoder" not in shapes(model.clone(modalities=("audio", "vision")), batch)
    trees = []
    for frozen in (False, True):
        alone = model.clone(modalities=("text",), frozen=frozen)
        trees.append(shapes(alone, batch))
        (grads, _), _ = grads_of(alone, params_of(alone, batch), batch)
        moved = [bool((g != 0).any()) for g in jax.tree.leaves(grads["encoder"])]
        assert not any(moved) if frozen else sum(moved) > len(moved) // 2
        assert (grads["text_projection"]["conv"]["kernel"] != 0).all()
    assert trees[0] == trees[1]  # frozen or not, it has the same parameters


@functools.cache
def form(*variants, **values):
    """(shapes of the parameters, names of a training step's outputs, of the loss's terms) of a tiny model."""
    pieces, batch = prepared(config_of("tecafn", "tiny", *variants, text__scratch__num_layers=1, **values))
    keys = {name: jax.random.key(0) for name in ("dropout", "sample")}
    objective = pieces.loss.objective(pieces.model, epochs=2, steps_per_epoch=1)

    def step(params):
        out = pieces.model.apply({"params": params}, batch, train=True, rngs=keys)
        return out, objective(out, batch, step=2, key=keys["sample"])[1]

    shapes = pieces.variables["params"]
    return shapes, *map(set, jax.eval_shape(step, shapes))


STAGE1, STAGE2 = (
    {f"stage{n}_{m}_projection" for m in ms} for n, ms in ((1, MODALITIES), (2, MODALITIES[1:]))
)


def gate(*modalities):
    """What the loss and its monitors have of the replacement gates of some modalities."""
    return {f"{term}_{m}" for term in ("pair", "replaced", "candidates") for m in modalities}


@pytest.mark.parametrize(
    ("change", "parameters", "terms"),
    [
        ("no_ta", {"stage1_audio_projection"}, {"contrast_audio"}),
        ("no_tv", {"stage1_vision_projection"}, {"contrast_vision"}),
        ("no_tccon", STAGE1, {"contrast_audio", "contrast_vision"}),
        ({"model__contrast": ("text",)}, STAGE1, {"contrast_audio", "contrast_vision"}),
        ("no_bicon", STAGE2, {"bicon"}),
        ("no_tap", {"pair_audio"}, gate("audio")),
        ("no_tvp", {"pair_vision"}, gate("vision")),
        ({"model__replace": ("audio", "text")}, {"pair_vision"}, gate("vision")),
        ("no_ap", {"pair_audio", "pair_vision"}, gate("audio", "vision")),
        ({"model__p": 0.0}, {"pair_audio", "pair_vision"}, gate("audio", "vision")),
        ("no_lstm", {"audio_lstm", "vision_lstm"}, set()),
        (
            "no_vision",
            {"vision_projection", "vision_encoder", "vision_lstm", "cross_vision", "pair_vision"}
            | {"stage1_vision_projection"}
            | STAGE2,
            {"bicon", "contrast_vision", *gate("vision")},
        ),
        *((name, set(), set()) for name in ("no_hard_ta", "no_hard_tv", "no_hard", "printed_residual")),
    ],
)
def test_what_a_form_takes_away(change, parameters, terms):
    full, full_outputs, full_terms = form()
    changed, outputs, changed_terms = form(change) if isinstance(change, str) else form(**change)
    assert changed == {k: v for k, v in full.items() if k not in parameters}
    assert set(full) - set(changed) == parameters
    assert full_terms - changed_terms == terms
    removed = {k.replace("_projection", "") for k in parameters if "stage" in k}
    removed |= {k.replace("pair", name) for k in parameters if "pair_" in k for name in GATE}
    if change == "no_vision":
        removed |= {"similarity_vision", "attention_vision"}
    assert full_outputs - outputs == removed
    assert outputs <= full_outputs


def test_a_small_batch_is_noted():
    (note,) = make_model(num=4).notes(4)
    assert note.startswith("a batch of 4 has fewer than the 4 hard negatives that model.num asks for")
    assert not list(make_model(num=4).notes(5))
    for nothing_is_drawn in ({"p": 0.0}, {"hard_negatives": ()}, {"modalities": ("text",)}):
        assert not list(make_model(num=4, **nothing_is_drawn).notes(4))


def test_without_modalities_there_is_no_core():
    with pytest.raises(ValueError, match="empty"):
        shapes(make_model(modalities=()), make_batch())


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("core", "sound", "'sound' is not one of text, audio, vision"),
        ("replace", ("audio", "video"), r"\('audio', 'video'\) may hold only text, audio, vision"),
        ("contrast", ("video",), "may hold only text, audio, vision"),
        ("hard_negatives", ("video",), "may hold only text, audio, vision"),
        ("p", 1.5, r"1\.5 does not lie in \[0, 1\]"),
        ("num", 0, "0 is less than 1"),
    ],
)
def test_bad_settings_are_refused(key, value, sentence):
    paper = models.find("tecafn")
    with pytest.raises(UserError, match=rf"^--config\.model\.{key}: .*{sentence}"):
        paper.check({**paper.section().to_dict(), key: value})
