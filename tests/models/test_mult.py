"""MulT against its equations in NumPy, and what its masks, its blocks and its fields do."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from msa_jax.models import _mult_attention as attention
from msa_jax.models import _mult_encoder as encoder
from msa_jax.models.fields import Misfit
from msa_jax.models.mult import MulT
from tests.layers.doubles import double, draw

WIDTHS = {"text": 5, "audio": 4, "vision": 3}
LENGTHS = {"text": [6, 2, 1, 4], "audio": [3, 7, 5, 1], "vision": [2, 4, 9, 8]}
SMALL = {"width": 4, "heads": 2, "layers": 2, "self_layers": 3, "text_kernel": 3, "vision_kernel": 2}
STILL = {"text_dropout": 0.0, "embed_dropout": 0.0, "attention_dropout": 0.0, "output_dropout": 0.0}
STILL |= {"audio_attention_dropout": 0.0}


@functools.partial(jax.jit, static_argnums=(0, 3))
def apply(model, params, batch, train=False, key=1):
    return model.apply({"params": params}, batch, train=train, rngs={"dropout": jax.random.key(key)})


@pytest.fixture(scope="module")
def batch():
    rng = np.random.default_rng(0)
    out = {"mask": np.ones(4, bool)}
    for m, width in WIDTHS.items():
        steps = max(LENGTHS[m])
        out[m] = rng.normal(size=(4, steps, width)).astype(np.float32)
        out[f"{m}_mask"] = np.arange(steps)[None] < np.array(LENGTHS[m])[:, None]
    return out


def norm(x, p, name):
    x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
    return x * p[f"{name}_scale"] + p[f"{name}_bias"]


def dense(x, p, name):
    return x @ p[f"{name}_kernel"] + p[f"{name}_bias"]


def embedded(x, positions):
    """Eq. 5; sines, then cosines, of the place counted from 1."""
    x = x * np.sqrt(x.shape[1])
    if not positions:
        return x
    half = x.shape[1] // 2
    angle = np.arange(1, len(x) + 1)[:, None] * 10000.0 ** (-np.arange(half) / (half - 1))
    return x + np.concatenate([np.sin(angle), np.cos(angle)], 1)


def transformer(p, i, x, source, heads, positions, future_mask):
    """Stack i over one clip without padding."""
    x, attended = embedded(x, positions), None if source is None else embedded(source, positions)
    D, K = x.shape[1], x.shape[1] // heads
    for layer in range(len(p["in_kernel"])):
        q = {name: v[layer, i] for name, v in p.items() if not name.startswith("norm_")}
        queries, keys = (
            norm(x, q, "attention_norm"),
            norm(x if attended is None else attended, q, "attention_norm"),
        )
        query = dense(queries, q, "in")[:, :D]
        key, value = np.split(dense(keys, q, "in")[:, D:], 2, axis=1)
        mixed = np.zeros_like(query)
        for h in range(heads):
            part = slice(h * K, (h + 1) * K)
            scores = query[:, part] @ key[:, part].T / np.sqrt(K)
            if future_mask:
                for t in range(len(query)):
                    scores[t, t + abs(len(key) - len(query)) + 1 :] = -np.inf
            weights = np.exp(scores - scores.max(1, keepdims=True))
            mixed[:, part] = weights / weights.sum(1, keepdims=True) @ value[:, part]
        x = x + dense(mixed, q, "out")
        x = x + dense(np.maximum(dense(norm(x, q, "ffn_norm"), q, "ffn_in"), 0), q, "ffn_out")
    return norm(x, {name: v[0, i] for name, v in p.items() if name.startswith("norm_")}, "norm")


def score(p, clip, *, positions=True, future_mask=True, targets=tuple(WIDTHS), fusion="crossmodal", **_):
    """The whole model for one clip: modality to its valid steps [n, width]."""
    streams = {}
    for m, x in clip.items():
        kernel = p[f"{m}_conv"]["kernel"]
        K = len(kernel)
        padded = np.pad(x, (((K - 1) // 2, K // 2), (0, 0)))
        streams[m] = np.stack([np.einsum("ke,kef->f", padded[t : t + K], kernel) for t in range(len(x))])
    form = (2, positions, future_mask)
    targets = [m for m in clip if m in targets]
    pairs = [(t, s) for t in targets for s in clip if s != t] if fusion == "crossmodal" else []
    joined = {m: streams[m] for m in targets}
    if fusion == "early":
        targets, joined = ["all"], {"all": np.concatenate(list(streams.values()))}
    if pairs:
        found = [
            transformer(p["crossmodal"], i, streams[t], streams[s], *form) for i, (t, s) in enumerate(pairs)
        ]
        for m in targets:
            joined[m] = np.concatenate([x for x, (t, _) in zip(found, pairs, strict=True) if t == m], 1)
    vectors = {
        m: transformer(p["self_attention"], i, joined[m], None, *form)[-1] for i, m in enumerate(targets)
    }
    x = np.concatenate(list(vectors.values()))
    block = np.maximum(x @ p["block_in"]["kernel"] + p["block_in"]["bias"], 0)
    x = x + block @ p["block_out"]["kernel"] + p["block_out"]["bias"]
    return x @ p["head"]["output_dense"]["kernel"] + p["head"]["output_dense"]["bias"], vectors


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"positions": False},
        {"future_mask": False},
        {"targets": ("audio",)},
        {"fusion": "late"},
        {"fusion": "early"},
        {"fusion": "early", "modalities": ("vision",)},
        {"modalities": ("text", "vision")},
        {"modalities": ("vision",)},
        {"outputs": (4, 2)},
    ],
    ids=str,
)
def test_every_clip_alone_and_without_padding_gives_what_the_equations_say(batch, changes):
    model = MulT(**SMALL, **changes)
    params = draw(model, batch)
    out = apply(model, params, batch)
    found = out["logits"].reshape(4, -1) if "outputs" in changes else out["prediction"][:, None]
    for b in range(4):
        clip = {
            m: batch[m][b, : LENGTHS[m][b]].astype(np.float64)
            for m in changes.get("modalities", tuple(WIDTHS))
        }
        want, vectors = score(double(params), clip, **changes)
        np.testing.assert_allclose(found[b], want, atol=2e-4, rtol=1e-4)
        for m, vector in vectors.items():
            np.testing.assert_allclose(out[f"vector_{m}"][b], vector, atol=1e-4)


def test_valid_windows_are_those_inside_the_clip(batch):
    """A clip that is shorter than the kernel has none; the text of clips 1 and 2 is."""
    model = MulT(**SMALL, valid_convolution=True)
    params = draw(model, batch)
    vector = apply(model, params, batch)["vector_text"]
    assert (np.abs(vector).max(1) > 0).tolist() == [True, False, False, True]
    longer = {
        k: np.pad(v, ((0, 0), (0, 3), (0, 0))[: v.ndim]) if k != "mask" else v for k, v in batch.items()
    }
    for m in WIDTHS:
        longer[m] = np.where(longer[f"{m}_mask"][..., None], longer[m], 9).astype(np.float32)
    padded = apply(model, params, longer)
    np.testing.assert_allclose(padded["prediction"], apply(model, params, batch)["prediction"], atol=1e-5)
    short = {k: v[:, :2] if k.startswith("text") else v for k, v in batch.items()}
    assert np.isfinite(apply(model, params, short)["prediction"]).all()


def test_padding_counts_only_as_a_fault(batch):
    longer = {
        k: np.pad(v, ((0, 0), (0, 3), (0, 0))[: v.ndim]) if k != "mask" else v for k, v in batch.items()
    }
    for count, differs in ((False, False), (True, True)):
        model = MulT(**SMALL, count_padding=count)
        params = draw(model, batch)
        one, other = (apply(model, params, x)["prediction"] for x in (batch, longer))
        assert bool(np.abs(one - other).max() > 1e-3) is differs


def test_streams_of_one_length_run_together_as_they_would_alone(batch):
    """The directions of equal lengths are one batched program."""
    model = MulT(**SMALL)
    params = draw(model, batch)
    same = {
        k: np.pad(v, ((0, 0), (0, 9 - v.shape[1]), (0, 0))[: v.ndim]) if k != "mask" else v
        for k, v in batch.items()
    }
    one, other = (apply(model, params, x)["prediction"] for x in (batch, same))
    np.testing.assert_allclose(one, other, atol=1e-5)


def attended(q, k, v, words=None, rates=(0.0, 0.0)):
    J, B, T, _ = q.shape
    order = np.broadcast_to(np.arange(1, 10), (J, B, 9))
    limit = np.broadcast_to(np.arange(3, 3 + T), (J, B, T))
    return attention.attend(q, k, v, limit, order, words, heads=3, rates=rates, dtype=jnp.float32)


@pytest.fixture
def qkv():
    rng = np.random.default_rng(1)
    return [jnp.asarray(rng.normal(size=(2, 4, steps, 6)), jnp.float32) for steps in (7, 9, 9)]


@pytest.mark.parametrize("rates", [None, (0.4, 0.0)])
def test_blocks_change_neither_the_attention_nor_its_gradient(qkv, monkeypatch, rates):
    words = None if rates is None else jnp.array([5, 6], jnp.uint32)

    def both(*qkv):
        def loss(*qkv):
            return (attended(*qkv, words, rates or (0.0, 0.0)) ** 2).sum()

        return attended(*qkv, words, rates or (0.0, 0.0)), jax.grad(loss, (0, 1, 2))(*qkv)

    whole = both(*qkv)
    for scores, block in ((1, (1, 1)), (3 * 126, (1, 3)), (6 * 126, (2, 3))):
        monkeypatch.setattr(attention, "_ON_CPU", scores)
        assert attention._block(126, 4, 3) == block
        for x, y in zip(jax.tree.leaves(both(*qkv)), jax.tree.leaves(whole), strict=True):
            np.testing.assert_allclose(x, y, atol=1e-5)


@pytest.mark.parametrize("rates", [None, (0.4, 0.1)])
def test_the_gradient_of_the_attention_is_that_of_its_formula(qkv, rates):
    words = None if rates is None else jnp.array([5, 6], jnp.uint32)
    kept = 1.0
    if rates is not None:  # which weights the dropout keeps, read off values that are 1 at one key
        eye = jnp.broadcast_to(jnp.eye(9)[None, None, :, :, None], (2, 4, 9, 9, 6))
        columns = [attended(*qkv[:2], eye[:, :, :, s], words, rates) for s in range(9)]
        plain = [attended(*qkv[:2], eye[:, :, :, s]) for s in range(9)]
        ratio = jnp.stack(columns, -1) / jnp.maximum(jnp.stack(plain, -1), 1e-20)
        kept = ratio.reshape(2, 4, 7, 3, 2, 9)[:, :, :, :, 0].transpose(0, 1, 3, 2, 4)

    def formula(q, k, v):
        q, k, v = (x.reshape(2, 4, -1, 3, 2) for x in (q, k, v))
        scores = jnp.einsum("jbthk,jbshk->jbhts", q, k) / 2**0.5
        seen = np.arange(1, 10)[None] <= np.arange(3, 10)[:, None]
        weights = jax.nn.softmax(jnp.where(seen, scores, -jnp.inf)) * kept
        return jnp.einsum("jbhts,jbshk->jbthk", weights, v).reshape(2, 4, 7, 6)

    np.testing.assert_allclose(attended(*qkv, words, rates or (0.0, 0.0)), formula(*qkv), atol=1e-5)
    ours, theirs = (
        jax.grad(lambda *x, f=f: (f(*x) ** 3).sum(), (0, 1, 2))(*qkv)
        for f in (lambda *x: attended(*x, words, rates or (0.0, 0.0)), formula)
    )
    for x, y in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(x, y, atol=2e-4, rtol=1e-3)


def test_the_dropout_keeps_its_share_and_another_draw_keeps_others():
    q = k = jnp.zeros((2, 8, 60, 6))  # all weights are equal
    v = jnp.ones((2, 8, 60, 6))

    def share(words):
        order, limit = jnp.ones((2, 8, 60), int), jnp.ones((2, 8, 60), int)
        words = jnp.array(words, jnp.uint32)
        form = {"heads": 3, "rates": (0.4, 0.0), "dtype": jnp.float32}
        return attention.attend(q, k, v, limit, order, words, **form)

    one, other = share([1, 2]), share([1, 3])
    np.testing.assert_allclose(one[1], 1.0, atol=1e-6)
    assert abs(float(one[0].mean()) - 1) < 0.01
    # Of 60 weights, each kept with 0.6: the sum deviates by sqrt(0.4 / 0.6 / 60).
    assert abs(float(one[0, :, :, ::2].std()) - 0.105) < 0.01
    assert abs(np.corrcoef(one[0].ravel(), other[0].ravel())[0, 1]) < 0.05


@pytest.mark.parametrize("field", [*STILL, "vision_attention_dropout", "relu_dropout", "residual_dropout"])
def test_every_rate_is_drawn(batch, field):
    model, still = MulT(**SMALL, **{**STILL, field: 0.6}), MulT(**SMALL, **STILL)
    params = draw(model, batch)
    dropped, again, kept = (
        apply(m, params, batch, True, key)["prediction"] for m, key in ((model, 1), (model, 2), (still, 1))
    )
    assert np.abs(dropped - kept).max() > 1e-3
    assert np.abs(dropped - again).max() > 1e-3


def test_no_two_masks_are_drawn_by_the_same_numbers(batch, monkeypatch):
    """A target has two sources, of different lengths."""
    drop, drawn = encoder._dropped, []

    def noted(x, draws, rate):
        if not isinstance(draws, jax.core.Tracer):  # those outside of the scan over layers
            drawn.append(tuple(np.asarray(draws).tolist()))
        return drop(x, draws, rate)

    params = draw(MulT(**SMALL), batch)
    monkeypatch.setattr(encoder, "_dropped", noted)
    MulT(**SMALL).apply({"params": params}, batch, train=True, rngs={"dropout": jax.random.key(0)})
    assert len(drawn) >= 3 * (1 + 2 * 2)  # for each target its queries, and its sources' keys and values
    assert len(set(drawn)) == len(drawn)


def test_sizes_reach_the_parameters_and_a_target_that_is_left_out_has_none(batch):
    params = draw(MulT(**SMALL, targets=("vision",)), batch)
    assert params["crossmodal"]["in_kernel"].shape == (2, 2, 4, 12)
    assert params["self_attention"]["in_kernel"].shape == (3, 1, 8, 24)
    assert [len(params[f"{m}_conv"]["kernel"]) for m in WIDTHS] == [3, 5, 2]
    assert "crossmodal" not in draw(MulT(**SMALL, modalities=("audio",)), batch)


def test_targets_that_the_run_does_not_have_are_refused():
    with pytest.raises(Misfit, match="targets"):
        MulT(targets=("vision",), modalities=("text", "audio")).check(max_length=50)
    with pytest.raises(Misfit, match=r"targets.*one sequence of all"):
        MulT(targets=("text",), fusion="early").check(max_length=50)
    MulT(fusion="early", modalities=("text", "audio")).check(max_length=50)


def test_bfloat16_is_near_float32(batch):
    params = draw(MulT(**SMALL), batch)
    one, other = (apply(MulT(**SMALL, dtype=d), params, batch)["fused"] for d in ("float32", "bfloat16"))
    assert other.dtype == jnp.float32
    assert 0 < np.abs(one - other).max() < 0.1 * np.abs(one).max()
