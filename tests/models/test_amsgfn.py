"""AMSGFN: the equations against NumPy, and what must hold for any input."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from msa_jax import models
from msa_jax.corpora import MODALITIES
from msa_jax.errors import UserError
from msa_jax.losses.contrastive import nce, nt_xent
from msa_jax.losses.regression import mse
from msa_jax.models.amsgfn import AMSGFN
from msa_jax.text import Encoder, EncoderConfig
from tests.models.tracing import config_of, traced

ENCODER = EncoderConfig(
    family="bert", vocab_size=50, hidden_size=16, num_layers=1, num_heads=4, intermediate_size=32,
    max_positions=24, type_vocab_size=1, activation="gelu", layer_norm_eps=1e-12, hidden_dropout=0.1,
    attention_dropout=0.1, pad_id=0,
)  # fmt: skip
B, L, D, H = 4, 7, 8, 2
WIDTHS = {"text": 6, "audio": 5, "vision": 4}
TINY = {"width": D, "heads": H, "ffn_factor": 2, "align_width": 3}
SMALL = {"fusion": False, "transformer_block": False}  # quick to compile, for what lies before the fusion
SUBSETS = [("text",), ("audio",), ("vision",), ("text", "audio"), ("text", "vision"), ("audio", "vision")]


def make_batch(seed=0, rows=B, length=L):
    """Steps are valid in one modality and not in another, and not always from the first on."""
    rng = np.random.default_rng(seed)
    inside = np.arange(length) < np.array([length, 5, 3] + [4] * (rows - 3))[:rows, None]
    masks = {"text": inside, "audio": inside & (np.arange(length) > 0), "vision": inside.copy()}
    masks["vision"][:, 1:2] = False
    batch = {f"{m}_mask": mask for m, mask in masks.items()}
    for m, width in WIDTHS.items():
        batch[m] = rng.normal(size=(rows, length, width)).astype(np.float32) * masks[m][..., None]
    return batch | {"label": rng.uniform(-3, 3, rows).astype(np.float32), "mask": np.ones(rows, bool)}


def make_model(**fields):
    return AMSGFN(**{**TINY, **fields})


@functools.cache
def param_shapes(model, described):
    return jax.eval_shape(lambda b: model.init(jax.random.key(0), b, train=False)["params"], dict(described))


def init(model, batch, seed=0, size=0.3):
    """Random parameters, away from the special values of the start; nothing to compile."""
    shapes = param_shapes(model, tuple((k, jax.ShapeDtypeStruct(v.shape, v.dtype)) for k, v in batch.items()))
    rng = np.random.default_rng(seed)

    def draw(path, leaf):
        mean = 1.0 if path[-1].key == "scale" else 0.0
        return (mean + size * rng.normal(size=leaf.shape)).astype(np.float32)

    return jax.tree_util.tree_map_with_path(draw, shapes)


@functools.partial(jax.jit, static_argnums=0)
def run(model, params, batch, rngs):
    return model.apply({"params": params}, batch, train=bool(rngs), rngs=rngs)


def apply(model, params, batch, **rngs):
    """Outputs; training, where there are keys."""
    out = run(model, params, batch, {name: jax.random.key(seed) for name, seed in rngs.items()})
    return jax.tree.map(np.asarray, out)


def total_loss(params, model, batch):
    """(the task's loss and the auxiliary ones, of whatever the outputs hold; (the task's, the outputs))."""
    out = model.apply({"params": params}, batch, train=False)
    present = {m: batch["mask"] & batch[f"{m}_mask"].any(1) for m in MODALITIES if f"{m}_mask" in batch}
    task = loss = mse(out["prediction"], batch["label"], mask=batch["mask"])
    for i, m in enumerate(MODALITIES):
        for n in MODALITIES[i + 1 :]:
            if f"align_{m}" in out and f"align_{n}" in out:
                both = present[m] & present[n]
                loss += nt_xent(out[f"align_{m}"], out[f"align_{n}"], temperature=0.5, mask=both)
        if f"cor_target_{m}" in out:
            pair = out[f"cor_prediction_{m}"], out[f"cor_target_{m}"]
            loss += nce(*pair, temperature=0.5, mask=present[m])
    return loss, (task, out)


@functools.partial(jax.jit, static_argnums=0)
def learn(model, params, batch):
    """(outputs, gradient of the whole loss)."""
    (_, (_, out)), grads = jax.value_and_grad(total_loss, has_aux=True)(params, model, batch)
    return out, grads


def dense(x, p):
    return x @ p["kernel"] + p["bias"]


def norm(x, p):
    x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-6)
    return x * p["scale"] + p["bias"]


def softmax(x):
    x = np.exp(x - x.max(-1, keepdims=True))
    return x / x.sum(-1, keepdims=True)


def attend(p, query, source, valid):
    """Multi-head attention of one clip over the valid rows of the source alone."""
    if not valid.any():
        return np.zeros_like(query)
    source = source[valid]
    q, (k, v) = dense(query, p["query"]), np.split(dense(source, p["key_value"]), 2, axis=-1)
    width, parts = D // H, []
    for h in range(H):
        part = slice(h * width, (h + 1) * width)
        parts.append(softmax(q[:, part] @ k[:, part].T / np.sqrt(width)) @ v[:, part])
    return dense(np.concatenate(parts, -1), p["output"])


def fuse(p, x, mask, aux, aux_masks):
    """One layer, eqs. 6-13."""
    tmp = attend(p["self_attention"], x, x, mask) + x
    aux = sum(attend(p["cross_attention"], x, a, m) for a, m in zip(aux, aux_masks, strict=True))
    gate = 1 / (1 + np.exp(-dense(np.concatenate([tmp, aux], -1), p["gate"])))
    hat = tmp + gate * aux
    return dense(np.maximum(dense(norm(hat, p["norm"]), p["ffn_in"]), 0), p["ffn_out"]) + hat


def transformer_block(p, x, mask):
    """Eq. 14: a pre-LN layer and a last LayerNorm."""
    layer = jax.tree.map(lambda a: a[0], p["layers"])
    normed = norm(x, layer["attention_norm"])
    x = x + attend(layer["attention"], normed, normed, mask)
    hidden = np.maximum(dense(norm(x, layer["ffn_norm"]), layer["ffn_in"]), 0)
    return norm(x + dense(hidden, layer["ffn_out"]), p["norm"])


def position_numpy(length, width):
    """Sines of each step over a geometric range of periods, then cosines."""
    half = width // 2
    angle = np.arange(length)[:, None] * 10000.0 ** (-np.arange(half) / (half - 1))
    return np.concatenate([np.sin(angle), np.cos(angle)], 1)


def model_numpy(p, clip, *, scale, layers, block):
    """The outputs for one clip with at least one modality, in float64."""
    masks = [clip[f"{m}_mask"] for m in MODALITIES]
    present = np.array([mask.any() for mask in masks])
    x = [dense(clip[m].astype(np.float64), p[f"{m}_projection"]) for m in MODALITIES]
    pooled = [a[m].mean(0) if m.any() else np.zeros(D) for a, m in zip(x, masks, strict=True)]
    logits = dense(np.maximum(dense(np.concatenate(pooled), p["score_in"]), 0), p["score_out"])
    scores = np.zeros(3)
    scores[present] = softmax(logits[present])
    weights = present.sum() * scores if scale else scores
    x = [w * a + e[None] for w, a, e in zip(weights, x, p["modality_embedding"], strict=True)]
    x = [a + position_numpy(*a.shape) for a in x]
    lead = int(np.argmax(scores))
    others = [k for k in range(3) if k != lead]
    state = x[lead]
    for k in range(layers):
        layer = jax.tree.map(lambda a, k=k: a[k], p["fusion_layers"])
        state = fuse(layer, state, masks[lead], [x[o] for o in others], [masks[o] for o in others])
    query = transformer_block(p["transformer_block"], x[lead], masks[lead]) if block else x[lead]
    read = attend(p["readout"], query, state, masks[lead])[masks[lead]].mean(0)
    hidden = np.maximum(dense(read, p["hidden_dense"]), 0)
    out = {"prediction": dense(hidden, p["head"]["output_dense"])[0], "scores": scores, "dominant": lead}
    for m, mean in zip(MODALITIES, pooled, strict=True):
        out[f"align_{m}"], out[f"cor_target_{m}"] = dense(mean, p[f"align_{m}"]), mean
        out[f"cor_prediction_{m}"] = dense(state[masks[lead]].mean(0), p[f"cor_{m}"])
    return {**out, "fused": read}


@pytest.mark.parametrize(("score_scale", "layers", "block"), [(True, 2, True), (False, 1, False)])
def test_equals_its_equations(score_scale, layers, block):
    model = make_model(score_scale=score_scale, layers=layers, transformer_block=block)
    batch, led = make_batch(rows=6), set()
    batch["audio_mask"][4], batch["text_mask"][5] = False, False
    for seed in range(6):
        params = init(model, batch, seed)
        out = apply(model, params, batch)
        double = jax.tree.map(lambda a: np.asarray(a, np.float64), params)
        for b in range(6):
            clip = {k: v[b] for k, v in batch.items()}
            expected = model_numpy(double, clip, scale=score_scale, layers=layers, block=block)
            for name, want in expected.items():
                np.testing.assert_allclose(out[name][b], want, rtol=1e-4, atol=2e-5, err_msg=name)
            led.add(expected["dominant"])
    assert led == {0, 1, 2}  # each of the three has led somewhere


def test_outputs_are_named_and_shaped():
    model, batch = make_model(), make_batch()
    out = apply(model, init(model, batch), batch)
    vectors = {f"{name}_{m}": (B, D) for name in ("cor_prediction", "cor_target") for m in MODALITIES}
    assert {k: v.shape for k, v in out.items()} == {
        "prediction": (B,), "scores": (B, 3), "dominant": (B,), "fused": (B, D), "attention": (B, H, L, L),
        **{f"align_{m}": (B, 3) for m in MODALITIES}, **vectors,
    }  # fmt: skip
    assert out["dominant"].dtype == np.int32
    np.testing.assert_allclose(out["scores"].sum(1), 1, rtol=1e-6)
    np.testing.assert_array_equal(out["dominant"], out["scores"].argmax(1))
    for outputs in ((2,), (4, 2)):
        model = make_model(outputs=outputs)
        out = jax.eval_shape(
            lambda k, m=model: m.init_with_output(k, batch, train=False)[0], jax.random.key(0)
        )
        assert out["logits"].shape == (B, *outputs)
        assert "prediction" not in out


@pytest.mark.parametrize("fields", [{}, {"dominant": "vision"}, {"gumbel": 5.0}])
def test_a_missing_modality_never_leads(fields):
    """Many clips with random modalities missing, random parameters, noise where there is some."""
    model = make_model(**SMALL, dropout=0.0, attention_dropout=0.0, **fields)
    batch, rng = make_batch(rows=200), np.random.default_rng(0)
    present = rng.random((200, 3)) < 0.5
    present[~present.any(1), 1] = True
    for k, m in enumerate(MODALITIES):
        batch[f"{m}_mask"] &= present[:, k, None]
    for seed in range(3):
        params = init(model, batch, seed, size=1.0)
        out = apply(model, params, batch, **({"sample": seed} if "gumbel" in fields else {}))
        assert present[np.arange(200), out["dominant"]].all()
        np.testing.assert_array_equal(out["scores"][~present], 0)
        np.testing.assert_allclose(out["scores"].sum(1), 1, rtol=1e-5)
        highest = np.where(present, out["scores"], -1).argmax(1)
        if "dominant" in fields:  # the fixed one where it is there, else the highest score
            fixed = MODALITIES.index(fields["dominant"])
            highest = np.where(present[:, fixed], fixed, highest)
        if "gumbel" not in fields:  # noise acts on the choice alone
            np.testing.assert_array_equal(out["dominant"], highest)
        assert len(set(out["dominant"])) == 3


def test_a_padded_row_has_equal_scores_and_no_nan_anywhere():
    model, batch = make_model(), make_batch()
    batch |= {k: np.concatenate([v[:2], np.zeros_like(v[2:])]) for k, v in batch.items() if "mask" in k}
    out, grads = learn(model, init(model, batch, size=1.0), batch)
    np.testing.assert_allclose(out["scores"][2:], 1 / 3, rtol=1e-6)
    assert (np.abs(out["scores"][:2] - 1 / 3) > 1e-3).any()
    assert all(np.isfinite(v).all() for v in jax.tree.leaves((out, grads)))


def test_with_a_fixed_leader_the_scores_still_weigh():
    batch = make_batch()
    for fixed, name in enumerate(MODALITIES):
        model = make_model(dominant=name)
        params = init(model, batch)
        out = apply(model, params, batch)
        np.testing.assert_array_equal(out["dominant"], fixed)
        other = {**params, "score_out": jax.tree.map(lambda p: -3 * p, params["score_out"])}
        changed = apply(model, other, batch)
        np.testing.assert_array_equal(changed["dominant"], fixed)
        assert np.abs(changed["scores"] - out["scores"]).max() > 0.05
        assert np.abs(changed["prediction"] - out["prediction"]).max() > 1e-3


def test_the_scores_learn_through_the_weights_alone():
    model, batch = make_model(align=False, cor=False, **SMALL), make_batch()
    params = init(model, batch)
    out, grads = learn(model, params, batch)
    assert set(out) == {"prediction", "scores", "dominant", "fused", "attention"}
    for name in ("score_in", "score_out"):
        assert all(np.abs(leaf).max() > 1e-6 for leaf in jax.tree.leaves(grads[name])), name


def test_garbage_in_masked_places_changes_nothing():
    model, batch = make_model(), make_batch()
    batch["vision_mask"][2] = False
    params = init(model, batch)
    dirty = {m: np.where(batch[f"{m}_mask"][..., None], batch[m], np.float32(1e6)) for m in MODALITIES}
    (plain, grads), (other, dirty_grads) = (learn(model, params, b) for b in (batch, {**batch, **dirty}))
    for name in plain:
        np.testing.assert_array_equal(plain[name], other[name], err_msg=name)
    jax.tree.map(np.testing.assert_array_equal, grads, dirty_grads)


@pytest.mark.parametrize("fields", [{}, SMALL])
def test_padding_in_time_and_batch_and_the_order_of_clips_change_no_prediction(fields):
    model, batch = make_model(**fields), make_batch()
    params = init(model, batch)
    plain = apply(model, params, batch)
    assert np.abs(np.diff(plain["prediction"])).min() > 1e-4
    longer = {
        k: np.pad(v, [(0, 0), (0, 4)] + [(0, 0)] * (v.ndim - 2)) if v.ndim > 1 else v
        for k, v in batch.items()
    }
    taller = {k: np.pad(v, [(0, 2)] + [(0, 0)] * (v.ndim - 1)) for k, v in batch.items()}
    backwards = {k: v[::-1] for k, v in batch.items()}
    for name in ("prediction", "scores", "dominant", "fused"):
        for other in (apply(model, params, b) for b in (longer, taller)):
            np.testing.assert_allclose(other[name][:B], plain[name], rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(
            apply(model, params, backwards)[name][::-1], plain[name], rtol=1e-5, atol=1e-5
        )


@pytest.mark.parametrize("gone", MODALITIES)
@pytest.mark.parametrize("fields", [{}, SMALL])
def test_a_modality_that_clips_lack_leaves_all_finite(gone, fields):
    model = make_model(**fields)
    params = init(model, make_batch())
    for rows in (slice(1, 2), slice(None)):
        batch = make_batch()
        batch[f"{gone}_mask"][rows] = False
        out, grads = learn(model, params, batch)
        assert all(np.isfinite(v).all() for v in jax.tree.leaves((out, grads)))
        np.testing.assert_array_equal(out["scores"][rows, MODALITIES.index(gone)], 0)
    np.testing.assert_array_equal(grads[f"{gone}_projection"]["kernel"], 0)
    batch[gone] = batch[gone][::-1]  # what stands in its place is not read
    np.testing.assert_array_equal(learn(model, params, batch)[0]["prediction"], out["prediction"])


def test_a_clip_of_one_word_works():
    model, short, batch = make_model(), make_batch(length=1), make_batch()
    short["audio_mask"][:2] = True
    for key, value in short.items():  # the same clips with what pads them
        batch[key] = (
            np.pad(value, [(0, 0), (0, L - 1)] + [(0, 0)] * (value.ndim - 2)) if value.ndim > 1 else value
        )
    params = init(model, batch)
    out, grads = learn(model, params, batch)
    assert all(np.isfinite(v).all() for v in jax.tree.leaves((out, grads)))
    assert len(set(np.round(out["prediction"], 5).tolist())) == B
    # No parameter's shape depends on the length.
    np.testing.assert_allclose(
        apply(model, params, short)["prediction"], out["prediction"], rtol=1e-5, atol=1e-5
    )


def test_every_modality_leads_with_its_own_stream_and_listens_to_the_others():
    batch = make_batch()
    for fixed in MODALITIES:
        model = make_model(dominant=fixed)
        params = init(model, batch)
        plain = apply(model, params, batch)["prediction"]
        # The gate shut: the scores, which see all three, still weigh, so they are held apart.
        held = {**params, "score_out": jax.tree.map(jnp.zeros_like, params["score_out"])}
        layers = held["fusion_layers"]
        shut = {**layers, "gate": {**layers["gate"], "bias": jnp.full_like(layers["gate"]["bias"], -100.0)}}
        for m in MODALITIES:
            other = {**batch, m: batch[m][::-1]}
            assert np.abs(apply(model, params, other)["prediction"] - plain).max() > 1e-4
            closed = {**held, "fusion_layers": shut}
            a, b = (apply(model, closed, x)["prediction"] for x in (batch, other))
            assert bool(np.abs(a - b).max() > 1e-5) is (m == fixed)


def test_each_ablation_removes_its_parameters_and_nothing_else():
    batch = make_batch()

    def parts(**fields):
        return set(init(make_model(**fields), batch))

    full = parts()
    aligned, correlated = ({f"{name}_{m}" for m in MODALITIES} for name in ("align", "cor"))
    assert full == aligned | correlated | {
        "text_projection", "audio_projection", "vision_projection", "score_in", "score_out",
        "modality_embedding", "fusion_layers", "transformer_block", "readout", "hidden_dense", "head",
    }  # fmt: skip
    assert full - parts(align=False) == aligned
    assert full - parts(cor=False) == correlated
    assert full - parts(fusion=False) == {"fusion_layers"}
    assert full - parts(transformer_block=False) == {"transformer_block"}
    assert full - parts(modality_embedding=False) == {"modality_embedding"}
    assert (
        full
        == parts(positions=False)
        == parts(dominant="audio")
        == parts(score_scale=False)
        == parts(gumbel=1.0)
    )


def test_without_positions_the_order_of_audio_in_time_changes_nothing():
    batch = make_batch()
    full = {**batch, **{f"{m}_mask": np.ones((B, L), bool) for m in MODALITIES}}
    turned = {**full, "audio": full["audio"][:, ::-1]}
    for positions in (True, False):
        model = make_model(layers=1, transformer_block=False, positions=positions, dominant="text")
        params = init(model, full)
        moved = np.abs(apply(model, params, full)["prediction"] - apply(model, params, turned)["prediction"])
        assert bool(moved.max() > 1e-5) is positions


def test_without_fusion_the_readout_sees_the_mean_of_the_weighted_streams():
    model, batch = make_model(**SMALL), make_batch()
    params = init(model, batch)
    out = apply(model, params, batch)
    p = jax.tree.map(lambda a: np.asarray(a, np.float64), params)
    for b in range(B):
        weighted, masks = [], []
        for k, m in enumerate(MODALITIES):
            stream = 3 * out["scores"][b, k] * dense(batch[m][b], p[f"{m}_projection"])
            weighted.append(stream + p["modality_embedding"][k][None] + position_numpy(*stream.shape))
            masks.append(batch[f"{m}_mask"][b])
        steps = [
            np.mean([x[t] for x, m in zip(weighted, masks, strict=True) if m[t]] or [np.zeros(D)], 0)
            for t in range(L)
        ]
        lead = out["dominant"][b]
        read = attend(p["readout"], weighted[lead], np.stack(steps), np.any(masks, 0))[masks[lead]].mean(0)
        np.testing.assert_allclose(out["fused"][b], read, rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("names", SUBSETS)
def test_any_modalities_work_and_the_others_have_no_parameters(names):
    model, batch = make_model(modalities=names[::-1]), make_batch()
    given = {k: v for k, v in batch.items() if k.split("_")[0] in (*names, "label", "mask")}
    params = init(model, given)
    out, columns = apply(model, params, given), [MODALITIES.index(m) for m in names]
    absent = [k for k in range(3) if k not in columns]
    np.testing.assert_array_equal(out["scores"][:, absent], 0)
    np.testing.assert_allclose(out["scores"].sum(1), 1, rtol=1e-6)
    np.testing.assert_array_equal(out["dominant"], out["scores"].argmax(1))
    for m in MODALITIES:
        assert (f"{m}_projection" in params) is (m in names)
        assert (f"cor_target_{m}" in out) is (m in names)
        assert (f"align_{m}" in out) is (m in names and len(names) > 1)


@pytest.mark.parametrize("names", [("audio",), ("text", "vision")])
def test_with_fewer_modalities_no_parameter_is_idle(names):
    model, batch = make_model(modalities=names), make_batch()
    _, grads = learn(model, init(model, batch), batch)
    for path, leaf in jax.tree_util.tree_leaves_with_path(grads):
        assert np.isfinite(leaf).all()
        assert np.abs(leaf).max() > 1e-7, jax.tree_util.keystr(path)


def test_dropout_and_noise_are_active_in_training_only():
    batch = make_batch(rows=40)
    model = make_model()
    params = init(model, batch)
    first, same, other = (apply(model, params, batch, dropout=k)["prediction"] for k in (0, 0, 1))
    np.testing.assert_array_equal(first, same)
    assert np.abs(first - other).max() > 1e-4
    noisy = make_model(gumbel=2.0, dropout=0.0, attention_dropout=0.0, **SMALL)
    still = make_model(dropout=0.0, attention_dropout=0.0, **SMALL)
    plain = apply(still, params, batch)
    np.testing.assert_array_equal(apply(noisy, params, batch)["scores"], plain["scores"])
    np.testing.assert_array_equal(apply(still, params, batch, sample=0)["scores"], plain["scores"])
    draws = [apply(noisy, params, batch, sample=k) for k in (0, 0, 1)]
    np.testing.assert_array_equal(draws[0]["dominant"], draws[1]["dominant"])
    assert (draws[0]["dominant"] != draws[2]["dominant"]).any()
    assert (draws[0]["dominant"] != plain["dominant"]).any()
    with pytest.raises(Exception, match="sample"):  # no draw without the key that is meant for it
        apply(noisy, params, batch, dropout=0)


def test_every_branch_learns_and_100_steps_fit_the_clips():
    """By the sign of the gradient of the whole loss, in ever smaller steps."""
    model, batch = make_model(), make_batch()
    params, task, seen = init(model, batch), [], []
    for step in range(100):
        out, grads = jax.device_get(learn(model, params, batch))
        task.append(np.mean((out["prediction"] - batch["label"]) ** 2))
        seen.append(grads)
        rate = np.float32(0.02 * (1 - step / 100))
        params = jax.tree.map(lambda p, g, r=rate: p - r * np.sign(g), params, grads)
    assert task[-1] < task[0] / 10, task[::20]
    first = jax.tree.map(lambda *grads: np.abs(grads).max(), *seen[:5])
    for path, size in jax.tree_util.tree_leaves_with_path(first):
        assert size > 1e-7, jax.tree_util.keystr(path)


@pytest.mark.parametrize("frozen", [False, True])
def test_the_encoder_learns_unless_it_is_frozen(frozen):
    model = make_model(encoder=Encoder(ENCODER), frozen=frozen, modalities=("text",), **SMALL)
    batch = {**make_batch(), "text": np.random.default_rng(0).integers(1, 50, (B, L)).astype(np.int32)}
    _, grads = learn(model, init(model, batch), batch)
    sizes = [np.abs(leaf).max() for leaf in jax.tree.leaves(grads["encoder"])]
    assert max(sizes) == 0 if frozen else min(sizes) > 0
    assert np.abs(grads["text_projection"]["kernel"]).max() > 0
    silent = make_model(encoder=Encoder(ENCODER), modalities=("audio", "vision"))
    assert "encoder" not in init(silent, batch)


@functools.cache
def form(*variants):
    return traced(config_of("amsgfn", "tiny", *variants, text__scratch__num_layers=1))


@pytest.mark.parametrize(
    ("variant", "parameters", "terms"),
    [
        ("no_ccam", {f"align_{m}" for m in MODALITIES}, {"align"}),
        ("no_cor", {f"cor_{m}" for m in MODALITIES}, {"cor"}),
        ("no_dmgf", {"fusion_layers"}, set()),
        ("no_tb", {"transformer_block"}, set()),
        ("no_vision", {"vision_projection", "align_vision", "cor_vision"}, {"share_vision"}),
        *((f"{letter}_oriented", set(), set()) for letter in "tva"),
        *((name, set(), set()) for name in ("no_positions", "balance", "gumbel", "balance_gumbel")),
    ],
)
def test_what_a_variant_takes_away(variant, parameters, terms):
    full, changed = form(), form(variant)
    assert set(full.shapes) - set(changed.shapes) == parameters
    assert full.terms - changed.terms == terms
    added = {"balance"} if variant.startswith("balance") else set()
    assert changed.terms - full.terms == added


def test_modalities_on_time_lines_of_their_own_are_refused():
    batch = {**make_batch(), "audio_mask": np.ones((B, L + 1), bool)}
    with pytest.raises(ValueError, match="one time line"):
        jax.eval_shape(lambda: make_model().init(jax.random.key(0), batch, train=False))


def test_bad_settings_are_refused():
    paper = models.find("amsgfn")
    section = {**paper.section().to_dict(), **TINY}
    for fields, message in (
        ({"dominant": "video"}, "dominant: 'video' is not one of text, audio, vis"),
        ({"heads": 3}, "heads: 3 does not divide model.width 8"),
    ):
        with pytest.raises(UserError, match=rf"^--config\.model\.{message}"):
            paper.check({**section, **fields})
    with pytest.raises(
        UserError, match=r"^--config\.model\.dominant: text is not in use, only audio, vision"
    ):
        paper.build(
            {**section, "dominant": "text"}, max_length=50, modalities=("audio", "vision"), outputs=()
        )
