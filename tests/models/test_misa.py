"""MISA against NumPy, its losses against sums over the clips that count, and its forms."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from msa_jax.corpora import MODALITIES
from msa_jax.models.misa import MISA, Loss
from tests.layers.doubles import draw, lstm_numpy, sigmoid

WIDTHS = {"text": 5, "audio": 4, "vision": 3}
STEPS = {"text": 4, "audio": 7, "vision": 6}
SMALL = {"width": 6, "heads": 2, "ffn_width": 5, "lstm_width": 2}
B = 6


@pytest.fixture
def batch():
    """Six rows, each modality with steps of its own: the second lacks audio, the last only pads the batch."""
    rng = np.random.default_rng(0)
    out = {"mask": np.arange(B) < B - 1, "label": rng.uniform(-3, 3, B).astype(np.float32)}
    for m, width in WIDTHS.items():
        lengths = rng.integers(2, STEPS[m] + 1, B)
        lengths[B - 1] = 0
        if m == "audio":
            lengths[1] = 0
        out[m] = rng.normal(size=(B, STEPS[m], width)).astype(np.float32)
        out[f"{m}_mask"] = np.arange(STEPS[m])[None] < lengths[:, None]
    return out


@functools.partial(jax.jit, static_argnums=(0, 3))
def apply(model, params, batch, train=False):
    return model.apply({"params": params}, batch, train=train, rngs={"dropout": jax.random.key(1)})


def values(model, loss, out, batch):
    """(total, values by name) of a loss."""
    objective = loss.objective(model, epochs=1, steps_per_epoch=1)
    return objective(out, batch, step=jnp.asarray(0), key=jax.random.key(0))


def gradient(model, params, batch):
    """The total loss in evaluation mode, and its gradient."""

    def total(params):
        return values(model, Loss(), model.apply({"params": params}, batch, train=False), batch)[0]

    return jax.jit(jax.value_and_grad(total))(params)


def dense(x, p):
    return x @ np.asarray(p["kernel"], np.float64) + p["bias"]


def norm(x, p):
    x = x - x.mean(-1, keepdims=True)
    return x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-5) * p["scale"] + p["bias"]


def lstm(steps, p):
    """The states of one clip's steps, forward and then backward, [T, 2F], and the last of each, [2F]."""
    valid = np.ones(len(steps))
    forward = lstm_numpy(p["forward"], steps, valid)
    backward = lstm_numpy(p["backward"], steps[::-1], valid)
    return np.concatenate([forward, backward[::-1]], axis=1), np.concatenate([forward[-1], backward[-1]])


def attention(x, p, heads):
    """Softmax attention of the rows of x over themselves."""
    q, kv = dense(x, p["query"]), dense(x, p["key_value"])
    k, v = np.split(kv, 2, axis=1)
    width, mixed = x.shape[1] // heads, []
    for h in range(heads):
        part = slice(h * width, (h + 1) * width)
        scores = np.exp(q[:, part] @ k[:, part].T / np.sqrt(width))
        mixed.append(scores / scores.sum(1, keepdims=True) @ v[:, part])
    return dense(np.concatenate(mixed, axis=1), p["output"])


def one_clip(steps, p, heads):
    """(score, u, private and shared vectors by modality) of the valid steps of one clip."""
    u, private, shared = {}, {}, {}
    for m in MODALITIES:
        if m == "text":
            x = steps[m].mean(0)
        else:
            q = p[f"{m}_lstm"]
            states, first = lstm(steps[m], q["lstm_0"])
            x = np.concatenate([first, lstm(norm(states, q["norm"]), q["lstm_1"])[1]])
        u[m] = norm(np.maximum(dense(x, p[f"{m}_project"]), 0), p[f"{m}_norm"])
        private[m] = sigmoid(dense(u[m], p[f"private_{m}"]))
        shared[m] = sigmoid(dense(u[m], p["shared"]))
    q, x = p["fusion"], np.stack([*private.values(), *shared.values()])
    x = norm(x + attention(x, q["attention"], heads), q["attention_norm"])
    x = norm(x + dense(np.maximum(dense(x, q["ffn_in"]), 0), q["ffn_out"]), q["ffn_norm"])
    hidden = np.maximum(dense(x.ravel(), p["hidden"]), 0)
    return dense(hidden, p["head"]["output_dense"]), u, private, shared


@pytest.mark.parametrize("outputs", [(), (4, 2)])
def test_each_clip_gives_what_its_own_steps_give_by_the_equations(batch, outputs):
    model = MISA(outputs=outputs, **SMALL)
    params = draw(model, batch)
    out = apply(model, params, batch)
    assert params["hidden"]["kernel"].shape == (36, 18)
    for k in (0, 2, 3, 4):
        steps = {m: np.float64(batch[m][k][batch[f"{m}_mask"][k]]) for m in MODALITIES}
        score, u, private, shared = one_clip(steps, params, 2)
        found = np.reshape(out["logits" if outputs else "prediction"][k], -1)
        np.testing.assert_allclose(found, score, rtol=1e-4, atol=1e-5)
        for m in MODALITIES:
            recon = dense(private[m] + shared[m], params[f"recon_{m}"])
            expected = {"vector": u[m], "private": private[m], "shared": shared[m], "recon": recon}
            for name, x in expected.items():
                np.testing.assert_allclose(out[f"{name}_{m}"][k], x, rtol=1e-4, atol=1e-5, err_msg=name)


def rows_of(out, batch, name, m):
    """The vectors of the clips that count and have the modality, the others NaN."""
    rows = batch["mask"] & batch[f"{m}_mask"].any(1)
    return np.where(rows[:, None], np.float64(out[f"{name}_{m}"]), np.nan)


def test_the_terms_are_sums_over_the_clips_that_have_the_modalities(batch):
    model = MISA(**SMALL)
    out = apply(model, draw(model, batch), batch)
    weights = {"sim_weight": 0.5, "diff_weight": 0.25, "recon_weight": 2.0}
    total, found = values(model, Loss(**weights, moments=3), out, batch)
    shared, private, recon, u = (
        {m: rows_of(out, batch, name, m) for m in MODALITIES}
        for name in ("shared", "private", "recon", "vector")
    )

    def moments(x):
        mean = np.nanmean(x, 0)
        return [mean, *(np.nanmean((x - mean) ** k, 0) for k in (2, 3))]

    pairs = [("text", "audio"), ("text", "vision"), ("audio", "vision")]
    apart = [
        sum(np.linalg.norm(a - b) for a, b in zip(moments(shared[m]), moments(shared[n]), strict=True))
        for m, n in pairs
    ]
    np.testing.assert_allclose(found["sim"], np.mean(apart), rtol=1e-4)

    def unit(x):
        x = x - np.nanmean(x, 0)
        return np.nan_to_num(x / (np.linalg.norm(x, axis=1, keepdims=True) + 1e-6))

    compared = [(private[m], shared[m]) for m in MODALITIES] + [(private[m], private[n]) for m, n in pairs]
    overlaps = [np.mean((unit(x).T @ unit(y)) ** 2) for x, y in compared]
    np.testing.assert_allclose(found["diff"], np.sum(overlaps), rtol=1e-4)
    errors = [np.nanmean((recon[m] - u[m]) ** 2) for m in MODALITIES]
    np.testing.assert_allclose(found["recon"], np.mean(errors), rtol=1e-5)
    weighted = 0.5 * found["sim"] + 0.25 * found["diff"] + 2 * found["recon"]
    np.testing.assert_allclose(total, found["mse"] + weighted, rtol=1e-5)


@pytest.mark.parametrize("clips", [0, 1])
@pytest.mark.parametrize("similarity", ["moments", "adversarial"])
def test_a_batch_of_one_clip_or_none_has_finite_gradients(batch, clips, similarity):
    """One clip has all central moments, and its distance from the mean, at exactly 0."""
    model = MISA(similarity=similarity, **SMALL)
    batch = {**batch, "mask": np.arange(B) < clips}

    value, found = gradient(model, draw(model, batch), batch)
    assert np.isfinite(value)
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(found))
    assert (value == 0) == (clips == 0)


def test_the_discriminator_learns_and_the_shared_encoder_is_driven_the_other_way(batch):
    def of(weight):
        model = MISA(similarity="adversarial", reverse_weight=weight, **SMALL)
        term = next(iter(Loss().terms(model)))
        assert term.name == "sim"

        def value(params):
            return term.value(model.apply({"params": params}, batch, train=False), batch, None)

        params = draw(model, batch)
        return jax.jit(value), params, jax.jit(jax.grad(value))(params)

    (value, params, half), (_, _, whole) = of(0.5), of(1.0)
    for place, factor in (("shared", -0.5), ("discriminator_output", 1.0)):
        old, ends = params[place]["bias"], []
        for step in (1e-2, -1e-2):
            moved = {
                **params[place],
                "bias": old + np.float32(step) * np.eye(1, len(old), dtype=np.float32)[0],
            }
            ends.append(float(value({**params, place: moved})))
        slope = (ends[0] - ends[1]) / 2e-2
        assert abs(slope) > 1e-4
        np.testing.assert_allclose(half[place]["bias"][0], factor * slope, rtol=2e-2)
        np.testing.assert_allclose(
            whole[place]["bias"], (2 if factor < 0 else 1) * half[place]["bias"], rtol=1e-3, atol=1e-6
        )


def test_the_discriminator_is_judged_by_the_modality_of_each_vector(batch):
    model = MISA(similarity="adversarial", modalities=("audio", "vision"), **SMALL)
    params = draw(model, batch)
    out = apply(model, params, batch)
    _, found = values(model, Loss(), out, batch)
    losses = []
    for k, m in enumerate(("audio", "vision")):
        logits = rows_of(out, batch, "domain", m)
        hidden = np.maximum(dense(rows_of(out, batch, "shared", m), params["discriminator_hidden"]), 0)
        np.testing.assert_allclose(logits, dense(hidden, params["discriminator_output"]), atol=1e-4)
        logits = logits[~np.isnan(logits[:, 0])]
        losses += list(np.log(np.exp(logits).sum(1)) - logits[:, k])
    assert len(losses) == 9  # five clips count, of which one has no audio
    np.testing.assert_allclose(found["sim"], np.mean(losses), rtol=1e-4)


@pytest.mark.parametrize(
    ("fields", "terms", "vectors"),
    [
        ({}, {"sim", "diff", "recon"}, 6),
        ({"form": "base"}, set(), 3),
        ({"form": "invariant"}, {"sim", "recon"}, 3),
        ({"form": "specific_fusion"}, {"sim", "diff", "recon"}, 3),
        ({"form": "invariant_fusion"}, {"sim", "diff", "recon"}, 3),
        ({"modalities": ("text", "vision")}, {"sim", "diff", "recon"}, 4),
        ({"modalities": ("audio",)}, {"diff", "recon"}, 2),
        ({"modalities": ("audio",), "similarity": "adversarial"}, {"diff", "recon"}, 2),
    ],
)
def test_a_form_has_the_terms_and_the_parameters_of_what_it_learns(batch, fields, terms, vectors):
    model = MISA(**fields, **SMALL)
    params = draw(model, batch)
    out = apply(model, params, batch)
    assert out["attention"].shape == (B, 2, vectors, vectors)
    _, found = values(model, Loss(), out, batch)
    assert set(found) == {"mse", *terms}
    used = fields.get("modalities", MODALITIES)
    assert not {name for name in params for m in MODALITIES if m not in used and m in name}
    assert ("shared" in params) == (fields.get("form") != "base")
    assert any("private" in name for name in params) == (fields.get("form") != "invariant")
    assert not any("discriminator" in name for name in params)

    # Each part is learnt by something: none only takes room.
    _, found = gradient(model, params, batch)
    still = {k for k, part in found.items() if not any(np.abs(x).max() for x in jax.tree.leaves(part))}
    assert still == set()


def test_the_specific_fusion_does_not_see_the_shared_vectors(batch):
    for form, blind in (("specific_fusion", "shared"), ("invariant_fusion", "private_text")):
        model = MISA(form=form, **SMALL)
        params = draw(model, batch)
        moved = {**params, blind: jax.tree.map(lambda x: x + 1, params[blind])}
        one, other = (apply(model, p, batch)["prediction"] for p in (params, moved))
        np.testing.assert_array_equal(one, other)


def test_text_can_be_read_by_lstms_as_audio_is(batch):
    model = MISA(text_vector="lstm", **SMALL)
    params = draw(model, batch)
    assert params["text_lstm"]["lstm_1"]["forward"]["recurrent_kernel"].shape == (2, 8)
    as_wide = draw(MISA(**{**SMALL, "lstm_width": None}), batch)
    assert as_wide["vision_lstm"]["lstm_1"]["forward"]["input"]["kernel"].shape == (6, 12)
    backwards = {**batch, "text": batch["text"][:, ::-1], "text_mask": batch["text_mask"][:, ::-1]}
    one, other = (apply(model, params, b)["prediction"] for b in (batch, backwards))
    assert np.abs(one - other)[:5].max() > 1e-3


def test_each_rate_reaches_the_draw(batch):
    params = draw(MISA(**SMALL), batch)
    none = {"fusion_dropout": 0.0, "dropout": 0.0}
    kept = apply(MISA(**SMALL, **none), params, batch, True)
    np.testing.assert_allclose(kept["fused"], apply(MISA(**SMALL), params, batch)["fused"], atol=1e-6)
    for name in none:
        dropped = apply(MISA(**SMALL, **{**none, name: 0.5}), params, batch, True)
        assert np.abs(dropped["fused"] - kept["fused"]).max() > 1e-3
