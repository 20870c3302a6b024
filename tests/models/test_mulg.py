"""MulG: the equations against NumPy, and what must hold for any input."""

import functools
from itertools import combinations

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from msa_jax import models
from msa_jax.corpora import MODALITIES
from msa_jax.errors import UserError
from msa_jax.layers.crossmodal import Copies
from msa_jax.models._mulg_recurrent import GRU, FlaxGRU
from msa_jax.models.mulg import Loss, MulG
from msa_jax.text import Encoder, EncoderConfig
from tests.layers.doubles import dense_numpy, double, draw, sigmoid
from tests.layers.test_crossmodal import norm_numpy, residual_numpy, stack_numpy
from tests.models.tracing import config_of, traced

ENCODER = EncoderConfig(
    family="bert", vocab_size=50, hidden_size=8, num_layers=1, num_heads=2, intermediate_size=16,
    max_positions=12, type_vocab_size=1, activation="gelu", layer_norm_eps=1e-12, hidden_dropout=0.1,
    attention_dropout=0.1, pad_id=0,
)  # fmt: skip
B = 3
LENGTHS = {"text": 4, "audio": 6, "vision": 5}
WIDTHS = {"text": 6, "audio": 3, "vision": 2}
TINY = {"width": 8, "heads": 2, "hidden": 6, "reduced": 7}
SUBSETS = [s for n in (1, 2, 3) for s in combinations(MODALITIES, n)]
VARIANTS = [
    {},
    {
        "scoring": "bilinear",
        "residual": "residual_dual",
        "recurrent": "flax",
        "modalities": ("text", "vision"),
    },
    {"residual": "pre_ln", "recurrent": "self_attention", "modalities": ("text", "audio"), "kernel": 2},
    {"cross_modal": False, "positions": False, "outputs": (4, 2)},
]


def make_batch(seed=0, rows=B, lengths=LENGTHS):
    """Each modality on its own time line; clips begin late and end early, one has a single step."""
    rng = np.random.default_rng(seed)
    batch = {"label": rng.uniform(-3, 3, rows).astype(np.float32), "mask": np.ones(rows, bool)}
    for m, length in lengths.items():
        mask = np.ones((rows, length), bool)
        mask[1, [0, -1]] = False
        mask[2] = np.arange(length) == 1
        batch[m] = (rng.normal(size=(rows, length, WIDTHS[m])) * mask[..., None]).astype(np.float32)
        batch[f"{m}_mask"] = mask
    return batch


def make_model(**fields):
    return MulG(**{**TINY, **fields})


@functools.cache
def drawn(model, described):
    return draw(model, {k: np.zeros(shape, dtype) for k, shape, dtype in described})


def params_of(model, batch):
    """See `draw`; once for each model."""
    return drawn(model, tuple((k, v.shape, v.dtype) for k, v in batch.items()))


@functools.partial(jax.jit, static_argnums=0)
def run(model, params, batch, rngs):
    return model.apply({"params": params}, batch, train=bool(rngs), rngs=rngs)


@functools.partial(jax.jit, static_argnums=0)
def slopes(model, params, batch):
    def error(params):
        out = model.apply({"params": params}, batch, train=False)
        return jnp.mean(jnp.abs(out["prediction"] - batch["label"])), out

    return jax.value_and_grad(error, has_aux=True)(params)


def learn(model, params, batch):
    """((mean absolute error, outputs), its gradient)."""
    return jax.device_get(slopes(model, params, batch))


def score(model, params, batch):
    out = run(model, params, batch, {})
    return np.asarray(out["logits" if model.outputs else "prediction"])


def gru_numpy(p, x, mask):
    """Eqs. 1-4, one clip, one step after the other; invalid steps are not there."""
    x = x[mask]
    for layer in range(2):
        W_r, W_z, W_s = np.split(p[f"input_{layer}"]["kernel"], 3, axis=-1)
        U_r, U_z = np.split(p[f"gates_{layer}"], 2, axis=-1)
        h, states = np.zeros(len(U_r)), []
        for x_t in x:
            r = sigmoid(x_t @ W_r + h @ U_r)
            z = sigmoid(x_t @ W_z + h @ U_z)
            candidate = np.tanh(x_t @ W_s + (r * h) @ p[f"candidate_{layer}"])
            h = (1 - z) * h + z * candidate
            states.append(h)
        x = np.array(states)
    return h


def flax_gru(p, x, mask):
    """`nn.GRUCell` called by hand."""
    x = np.asarray(x, np.float32)[mask]
    for layer in range(2):
        params = {"params": jax.tree.map(np.float32, p[f"cell_{layer}"])}
        cell = nn.GRUCell(p["cell_0"]["hn"]["kernel"].shape[0])
        h, states = jnp.zeros(cell.features), []
        for x_t in x:
            h, _ = cell.apply(params, h, x_t)
            states.append(h)
        x = np.array(states)
    return np.asarray(h, np.float64)


def conv_numpy(p, x, mask):
    kernel, out = p["kernel"], []
    x = np.where(mask[:, None], x, 0)
    for t in range(len(x)):
        seen = [(k, t + k - (len(kernel) - 1) // 2) for k in range(len(kernel))]
        out.append(p["bias"] + sum(x[s] @ kernel[k] for k, s in seen if 0 <= s < len(x)))
    return np.where(mask[:, None], out, 0)


def mulg_numpy(p, batch, b, model):
    """One clip: fused vector, and each modality's state."""
    names = [m for m in MODALITIES if m in model.modalities]
    x, masks = {}, {m: batch[f"{m}_mask"][b] for m in names}
    for m in names:
        hidden = conv_numpy(p[f"{m}_conv"]["conv"], batch[m][b].astype(np.float64), masks[m])
        x[m] = norm_numpy(np.maximum(hidden, 0), p[f"{m}_norm"])
    stack = {"heads": model.heads, "residual": model.residual, "positions": model.positions}
    if model.cross_modal:
        pairs = [(t, s) for t in sorted(names) for s in sorted(names) if s != t]
        attended = {}
        for i, (t, s) in enumerate(pairs):
            own = jax.tree.map(lambda v, i=i: v[i], p["cross_modal_attention"]["directions"]["copies"])
            attended[t, s], _ = stack_numpy(own, x[t], x[s], masks[s], scoring=model.scoring, **stack)
        x = {t: np.concatenate([attended[pair] for pair in pairs if pair[0] == t], -1) for t in names}
    states = []
    for i, m in enumerate(names):
        own = jax.tree.map(lambda v, i=i: v[i], p["recurrent"]["copies"])
        if model.recurrent == "self_attention":
            out, _ = stack_numpy(own["stack"], dense_numpy(x[m], own["input"]), None, masks[m], **stack)
            states.append(out[masks[m]][-1])
        else:
            states.append({"gru": gru_numpy, "flax": flax_gru}[model.recurrent](own, x[m], masks[m]))

    def block(h):
        return dense_numpy(np.maximum(dense_numpy(h, p["block_in"]), 0), p["block_out"])

    reduced = dense_numpy(np.concatenate(states), p["reduce"])
    fused = residual_numpy(model.residual, reduced, [(block, p["block_norm"])], p.get("block_sum_norm"))
    return fused, dict(zip(names, states, strict=True))


@pytest.mark.parametrize("fields", VARIANTS)
def test_equals_its_equations(fields):
    model, batch = make_model(**fields), make_batch()
    params = params_of(model, batch)
    out, p = run(model, params, batch, {}), double(params)
    for b in range(B):
        fused, states = mulg_numpy(p, batch, b, model)
        for m, state in states.items():
            np.testing.assert_allclose(out[f"hidden_{m}"][b], state, atol=1e-4, rtol=1e-4)
        np.testing.assert_allclose(out["fused"][b], fused, atol=2e-4, rtol=2e-4)
        want = dense_numpy(fused, p["head"]["output_dense"]).reshape(model.outputs)
        np.testing.assert_allclose(score(model, params, batch)[b], want, atol=5e-4, rtol=5e-4)


@pytest.mark.parametrize(("cell", "by_hand"), [(GRU, gru_numpy), (FlaxGRU, flax_gru)])
def test_the_recurrence_skips_masked_steps(cell, by_hand):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(4, 7, 3)).astype(np.float32)
    mask = np.array([[1] * 7, [1, 1, 1, 0, 0, 0, 0], [0, 1, 1, 0, 1, 1, 0], [0] * 7], bool)
    gru = cell(5, 2)
    p = draw(gru, x, mask)
    apply = jax.jit(lambda x, mask: gru.apply({"params": p}, x, mask, train=False))
    last = apply(x, mask)
    for b in range(3):
        np.testing.assert_allclose(last[b], by_hand(double(p), x[b].astype(np.float64), mask[b]), atol=1e-5)
    np.testing.assert_array_equal(last[3], 0)
    np.testing.assert_allclose(last[1:2], apply(x[1:2, :3], mask[1:2, :3]), atol=1e-6)
    np.testing.assert_array_equal(last, apply(np.where(mask[..., None], x, 1e3).astype(np.float32), mask))


def test_the_paper_s_gru_has_no_biases_and_is_not_flax_s():
    x, mask = np.ones((1, 3, 4), np.float32), np.ones((1, 3), bool)
    p = draw(GRU(5, 1), x, mask)
    assert {k: v.shape for k, v in p.items() if k != "input_0"} == {"gates_0": (5, 10), "candidate_0": (5, 5)}
    # The same weights in flax's cell, without its biases, and with z's sign turned for its swapped roles.
    W_r, W_z, W_s = np.split(p["input_0"]["kernel"], 3, axis=-1)
    U_r, U_z = np.split(p["gates_0"], 2, axis=-1)
    names = ("ir", "iz", "in", "hr", "hz", "hn")
    cell = {
        k: {"kernel": w} for k, w in zip(names, (W_r, -W_z, W_s, U_r, -U_z, p["candidate_0"]), strict=True)
    }
    for k in ("ir", "iz", "in", "hn"):
        cell[k]["bias"] = np.zeros(5, np.float32)
    for steps, same in ((1, True), (3, False)):  # where r comes in shows from the second step on
        ours = GRU(5, 1).apply({"params": p}, x[:, :steps], mask[:, :steps], train=False)
        flax = FlaxGRU(5, 1).apply({"params": {"cell_0": cell}}, x[:, :steps], mask[:, :steps], train=False)
        assert bool(np.abs(ours - flax).max() < 1e-6) is same


def test_copies_of_equal_shapes_run_together_with_one_result():
    rng = np.random.default_rng(0)
    inputs = [(rng.normal(size=(2, n, 3)).astype(np.float32), np.ones((2, n), bool)) for n in (4, 6, 4)]
    make = functools.partial(GRU, 5, 2)
    params = draw(Copies(make, True), inputs)
    assert {p.shape[0] for p in jax.tree.leaves(params)} == {3}
    results, loops = [], []
    for together in (True, False):
        apply = jax.jit(lambda p, t=together: Copies(make, t).apply({"params": p}, inputs, train=False))
        results.append(apply(params))
        loops.append(str(jax.make_jaxpr(apply)(params)).count("scan["))
    for a, b, own in zip(*results, range(3), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)
        p = double(jax.tree.map(lambda v, i=own: v[i], params["copies"]))
        x, mask = inputs[own]
        np.testing.assert_allclose(a[0], gru_numpy(p, x[0].astype(np.float64), mask[0]), atol=1e-5)
    assert loops == [4, 6]  # two lengths, and three copies, of two layers each


@pytest.mark.parametrize("fields", VARIANTS[:3])
def test_padding_order_and_masked_places_change_no_prediction(fields):
    model, batch = make_model(**fields), make_batch()
    params = params_of(model, batch)
    plain = score(model, params, batch)
    assert np.abs(plain[:, None] - plain[None])[~np.eye(B, dtype=bool)].min() > 1e-3
    # To one length for all (recurrences then run together), and by rows without a valid step.
    padded = {}
    for k, v in batch.items():
        time = [(0, 7 - v.shape[1])] if v.ndim > 1 else []
        padded[k] = np.pad(v, [(0, 2), *time, *[(0, 0)] * (v.ndim - 2)])
    got = score(model, params, padded)
    np.testing.assert_allclose(got[:B], plain, atol=1e-5)
    assert np.isfinite(got).all()
    back = {k: v[::-1] for k, v in batch.items()}
    np.testing.assert_allclose(score(model, params, back)[::-1], plain, atol=1e-5)
    garbage = {
        m: np.where(batch[f"{m}_mask"][..., None], batch[m], 1e3).astype(np.float32) for m in MODALITIES
    }
    np.testing.assert_allclose(score(model, params, batch | garbage), plain, atol=1e-5)


@pytest.mark.parametrize("fields", [VARIANTS[0], VARIANTS[2]])
def test_missing_modalities_and_padded_rows_stay_finite(fields):
    model, batch = make_model(**fields), make_batch()
    params = params_of(model, batch)
    masks = {f"{m}_mask": batch[f"{m}_mask"] for m in model.modalities}
    for missing in model.modalities:
        name = f"{missing}_mask"
        one, all_ = batch[name].copy(), np.zeros_like(batch[name])
        one[0] = False
        for mask, rows in ((one, [0]), (all_, range(B))):
            (_, out), grads = learn(model, params, batch | {name: mask})
            assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((out, grads)))
            for row in rows:
                np.testing.assert_array_equal(out[f"hidden_{missing}"][row], 0)
        np.testing.assert_array_equal(grads[f"{missing}_conv"]["conv"]["kernel"], 0)
    (_, out), grads = learn(
        model, params, batch | {name: np.zeros_like(mask) for name, mask in masks.items()}
    )
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((out, grads)))


@pytest.mark.parametrize("modalities", SUBSETS)
def test_every_subset_has_its_own_branches_only(modalities):
    model, batch = make_model(modalities=modalities), make_batch()
    own = {k: v for k, v in batch.items() if k.split("_")[0] in modalities}
    params = params_of(model, own)
    branches = {f"{m}_{part}" for m in modalities for part in ("conv", "norm")}
    attention = {"cross_modal_attention"} if len(modalities) > 1 else set()
    rest = {"recurrent", "reduce", "block_in", "block_out", "block_norm", "head"}
    assert set(params) == branches | attention | rest
    assert {p.shape[0] for p in jax.tree.leaves(params["recurrent"])} == {len(modalities)}
    if len(modalities) < 3:  # three: in the tests above
        assert np.isfinite(score(model, params, own)).all()


def test_ablations_have_no_parameters_for_what_they_remove():
    batch = make_batch()

    def count(**fields):
        shapes = jax.eval_shape(
            lambda: make_model(**fields).init(jax.random.key(0), batch, train=False)["params"]
        )
        return set(shapes), set(shapes["recurrent"]["copies"]), shapes

    full, gru, _ = count()
    assert full - count(cross_modal=False)[0] == {"cross_modal_attention"}
    assert count(residual="residual_dual")[0] - full == {"block_sum_norm"}
    assert count(recurrent="self_attention")[1] == {"input", "stack"}
    assert gru == {f"{k}_{i}" for k in ("input", "gates", "candidate") for i in range(2)}
    assert count(recurrent="flax")[1] == {"cell_0", "cell_1"}
    bilinear = count(scoring="bilinear")[2]["cross_modal_attention"]["directions"]["copies"]["layers"]
    assert {k: v.shape for k, v in bilinear["attention"].items()} == {"W": (6, 2, 8, 8)}


def test_outputs_are_named_and_shaped_and_parameters_know_no_lengths():
    model = make_model(outputs=(4, 2))
    shapes = []
    for rows, lengths in ((B, LENGTHS), (5, dict.fromkeys(LENGTHS, 6))):
        batch = make_batch(rows=rows, lengths=lengths)
        out, variables = jax.eval_shape(
            lambda b=batch: model.init_with_output(jax.random.key(0), b, train=False)
        )
        shapes.append(variables)
        attention = {
            f"attention_{t}_{s}": (2, rows, 2, lengths[t], lengths[s])
            for t in MODALITIES
            for s in MODALITIES
            if s != t
        }
        hidden = {f"hidden_{m}": (rows, 6) for m in MODALITIES}
        assert {k: v.shape for k, v in out.items()} == {
            "logits": (rows, 4, 2), "fused": (rows, 7), **hidden, **attention
        }  # fmt: skip
    assert shapes[0] == shapes[1]


def test_dropout_is_active_in_training_only_and_each_rate_counts():
    batch, modalities = make_batch(), ("text", "audio")
    names = ("text_dropout", "attention_dropout", "dropout", "output_dropout")
    none = dict.fromkeys(names, 0.0) | {"modalities": modalities, "recurrent_layers": 1}
    params = params_of(make_model(**none), batch)
    still = score(make_model(**none), params, batch)

    def train(model, key):
        return np.asarray(run(model, params, batch, {"dropout": jax.random.key(key)})["prediction"])

    np.testing.assert_allclose(train(make_model(**none), 0), still, atol=1e-6)
    for name in names:
        model = make_model(**none | {name: 0.5})
        first = train(model, 0)
        np.testing.assert_array_equal(train(model, 0), first)
        assert np.abs(train(model, 1) - first).max() > 1e-4


def test_every_branch_learns_and_100_steps_fit_the_clips():
    """By the sign of the gradient, in ever smaller steps."""
    model, batch = make_model(), make_batch()
    params, errors = params_of(model, batch), []
    seen = jax.tree.map(np.zeros_like, params)
    for step in range(100):
        (error, _), grads = learn(model, params, batch)
        errors.append(error)
        seen = jax.tree.map(lambda s, g: np.maximum(s, np.abs(g)), seen, grads)
        rate = np.float32(0.02 * (1 - step / 100))
        params = jax.tree.map(lambda p, g, r=rate: p - r * np.sign(g), params, grads)
    assert errors[-1] < errors[0] / 10, errors[::20]
    for path, leaf in jax.tree_util.tree_leaves_with_path(seen):
        names = [k.key for k in path]
        # Each copy, and in the attentions each layer, on its own.
        axes = 2 if "directions" in names and "layers" in names else int("copies" in names)
        assert (leaf.reshape(*leaf.shape[:axes], -1).max(-1) > 0).all(), names


def test_the_encoder_lies_in_its_place_and_freezes():
    batch = make_batch()
    rng = np.random.default_rng(0)
    batch["text"] = np.where(batch["text_mask"], rng.integers(1, 50, batch["text_mask"].shape), 0)
    for frozen in (False, True):
        model = make_model(encoder=Encoder(ENCODER), frozen=frozen, modalities=("text",))
        params = draw(model, batch)
        grads = jax.jit(
            jax.grad(lambda p, m=model: jnp.sum(m.apply({"params": p}, batch, train=False)["prediction"]))
        )(params)
        top = max(float(jnp.abs(g).max()) for g in jax.tree.leaves(grads["encoder"]))
        assert (top == 0.0) is frozen
    without = make_model(encoder=Encoder(ENCODER), modalities=("audio", "vision"))
    assert "encoder" not in draw(without, batch)


@functools.cache
def form(*variants):
    return traced(config_of("mulg", "tiny", *variants, text__scratch__num_layers=1))


@pytest.mark.parametrize(
    ("variant", "parameters"),
    [
        ("no_cross_modal", {"cross_modal_attention"}),
        ("no_cross_modal_self_attention", {"cross_modal_attention"}),
        *((name, set()) for name in ("self_attention", "pre_ln", "bilinear", "flax_gru", "no_positions")),
        ("no_vision", {"vision_conv", "vision_norm"}),
        (
            "text_only",
            {"cross_modal_attention"} | {f"{m}_{x}" for m in ("audio", "vision") for x in ("conv", "norm")},
        ),
    ],
)
def test_what_a_variant_takes_away(variant, parameters):
    full, changed = form(), form(variant)
    assert set(full.shapes) - set(changed.shapes) == parameters
    assert full.terms == changed.terms == {"l1"}


def test_classes_are_counted_over_clips_and_tasks():
    rng = np.random.default_rng(0)
    logits, label = rng.normal(size=(3, 4, 2)), rng.integers(0, 2, (3, 4)).astype(np.float32)
    batch = {"label": label, "mask": np.array([True, True, False])}
    objective = Loss("cross_entropy").objective(make_model(outputs=(4, 2)), epochs=3, steps_per_epoch=5)
    total, terms = objective({"logits": jnp.asarray(logits)}, batch, step=0, key=jax.random.key(0))
    chosen = (
        np.log(np.exp(logits).sum(-1)) - np.take_along_axis(logits, label.astype(int)[..., None], -1)[..., 0]
    )
    np.testing.assert_allclose(total, chosen[:2].mean(), rtol=1e-5)
    assert set(terms) == {"cross_entropy"}


@pytest.mark.parametrize(
    ("key", "value", "choices"),
    [
        ("recurrent", "lstm", "gru, flax, self_attention"),
        ("residual", "none", "post_ln, pre_ln, residual_dual"),
        ("scoring", "additive", "multihead, bilinear"),
    ],
)
def test_bad_settings_are_refused(key, value, choices):
    paper = models.find("mulg")
    with pytest.raises(UserError, match=rf"^--config\.model\.{key}: '{value}' is not one of {choices}"):
        paper.check({**paper.section().to_dict(), key: value})
