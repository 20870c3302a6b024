"""MulG's forms beside the shipped one: Table 7, the plain Adam, and the same size without its attention."""

import functools
import math
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from msa_jax import bounds, cli, models, optim
from msa_jax.config import flatten, load, override, stored
from msa_jax.corpora import MODALITIES
from msa_jax.errors import UserError
from msa_jax.identity import refuse_other_run
from msa_jax.models.mulg import MulG
from msa_jax.workdir import claim
from tests.layers.doubles import draw

B, L = 3, 6
WIDTHS = {"text": 5, "audio": 4, "vision": 3}
TINY = {"width": 8, "heads": 2, "hidden": 6, "reduced": 7, "layers": 1, "recurrent_layers": 1}
SILENT = {"text_dropout": 0.0, "attention_dropout": 0.0, "dropout": 0.0, "output_dropout": 0.0}
MOSI = "configs/mulg_mosi.py"


def make_batch(widths=WIDTHS, seed=0):
    rng = np.random.default_rng(seed)
    batch = {f"{m}_mask": np.ones((B, L), bool) for m in MODALITIES}
    return batch | {m: rng.normal(size=(B, L, w)).astype(np.float32) for m, w in widths.items()}


@functools.partial(jax.jit, static_argnums=(0, 3))
def apply(model, params, batch, train=False, key=0):
    return model.apply({"params": params}, batch, train=train, rngs={"dropout": jax.random.key(key)})


def changed(variant):
    """What a variant changes of the config for MOSI."""
    plain, other = (flatten(load(spec)[0]) for spec in (MOSI, f"{MOSI}:{variant}"))
    return {k: v for k, v in other.items() if plain[k] != v}


def test_stream_dropout_falls_on_audio_and_vision_in_training_alone():
    batch = make_batch()
    for cross_modal in (True, False):
        model = MulG(**TINY, **SILENT, stream_dropout=0.5, cross_modal=cross_modal)
        params = draw(model, batch)
        still, first, same, other = (
            apply(model, params, batch, train, key)
            for train, key in ((False, 0), (True, 0), (True, 0), (True, 1))
        )
        np.testing.assert_array_equal(first["prediction"], same["prediction"])
        assert np.abs(first["prediction"] - other["prediction"]).max() > 1e-4
        for m in MODALITIES:
            # Without attention a modality's state is its own: the text's stays as it is.
            moved = np.abs(first[f"hidden_{m}"] - still[f"hidden_{m}"]).max() > 1e-4
            assert bool(moved) is (cross_modal or m != "text")


def test_without_stream_dropout_a_training_pass_draws_what_it_drew_before():
    """The field at 0 leaves every other mask of a step as it was: the text's is the first that is drawn."""
    batch = make_batch()
    plain = MulG(**TINY, cross_modal=False)
    params = draw(plain, batch)
    # The same seeds, audio and vision dropped at next to nothing: all other masks must be the same.
    near = plain.clone(stream_dropout=1e-6)
    for key in (0, 1):
        a, b = (apply(m, params, batch, True, key)["prediction"] for m in (plain, near))
        np.testing.assert_array_equal(a, b)
    assert jax.tree.structure(draw(near, batch)) == jax.tree.structure(params)


def test_table_7_has_every_dropout_at_a_tenth_and_a_fused_vector_of_10():
    config, _ = load(f"{MOSI}:table7")
    rates = {k: v for k, v in flatten(config).items() if k.startswith("model.") and "dropout" in k}
    assert set(rates.values()) == {0.1}
    assert len(rates) == 5
    assert changed("table7") == {
        "model.reduced": 10,
        "model.text_dropout": 0.1,
        "model.stream_dropout": 0.1,
    }
    assert (config.model.heads, config.model.layers) == (4, 2)
    mosei, _ = load("configs/mulg_mosei.py:table7")
    assert mosei.model.text_dropout == 0.1  # the config's own 0.3 gives way
    model = models.find("mulg").build(config.model.to_dict(), max_length=50)
    out = jax.eval_shape(
        lambda: model.init_with_output(
            jax.random.key(0), make_batch(dict.fromkeys(MODALITIES, 50)), train=False
        )[0]
    )
    assert out["fused"].shape == (B, 10)


def adam_numpy(gradients, rate, eps=1e-8):
    """The updates of plain Adam (Kingma and Ba 2015, algorithm 1), one after the other."""
    m, v, updates = np.zeros(3), np.zeros(3), []
    for t, g in enumerate(np.asarray(gradients, np.float64), start=1):
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        updates.append(-rate * m / (1 - 0.9**t) / (np.sqrt(v / (1 - 0.999**t)) + eps))
    return updates


@pytest.mark.parametrize("clip", [math.inf, None, 1.0])
def test_without_a_clip_the_optimiser_is_plain_adam(clip):
    config, _ = load(f"{MOSI}:no_clip")
    assert config.optim.clip == math.inf
    section = {**config.optim.to_dict(), "clip": clip}
    params = {"w": jnp.zeros(3)}
    gradients = [[3.0, -40.0, 0.5], [0.01, 0.02, -0.03], [5.0, 1.0, 1.0]]
    tx, _ = optim.make_optimizer(section, params, total_steps=10)
    state, found = tx.init(params), []
    for g in gradients:
        updates, state = tx.update({"w": jnp.array(g)}, state, params)
        found.append(updates["w"])
    equal = np.allclose(found, adam_numpy(gradients, 1e-3), rtol=1e-3, atol=1e-9)
    assert equal is (clip != 1.0)


def test_the_clip_is_a_default_of_mulg_s_and_its_variant_takes_it_out():
    assert models.find("mulg").defaults["optim.clip"] == 1.0
    assert changed("no_clip") == {"optim.clip": math.inf}


@pytest.mark.parametrize("clip", ["0", "-1.0", "nan", "-inf"])
def test_the_command_line_takes_inf_for_no_clip_and_refuses_what_is_no_norm(clip):
    assert cli.parse([f"--config={MOSI}", "--config.optim.clip=inf"]).config.optim.clip == math.inf
    with pytest.raises(UserError, match=r"--config.optim.clip: .* must be above 0; inf leaves it out"):
        cli.parse([f"--config={MOSI}", f"--config.optim.clip={clip}"])


def test_a_run_without_a_clip_is_stored_resumed_and_told_from_one_with_it(tmp_path):
    """JSON has no infinity: None stands for it in the run's file, and means the same."""
    free, clipped = (cli.parse([f"--config={MOSI}{v}"]).config for v in (":no_clip", ""))
    data, nothing = (
        {"source": "made", "hash": "0", "cut": None},
        types.SimpleNamespace(save=lambda folder: None),
    )
    claim(free, tmp_path, "0", data, {}, nothing, refuse_longer=None)
    refuse_other_run(free, tmp_path)
    with pytest.raises(UserError, match=r"optim.clip=None, not 1.0"):
        refuse_other_run(clipped, tmp_path)
    again = stored(tmp_path / "config.json", hint="")
    assert again.optim.clip is None
    assert {k for k, v in flatten(again).items() if flatten(free)[k] != v} == {
        "optim.clip",
        "optim.clip_value",
    }
    bounds.check(override(again, ["--config.data.threads=1"]))


def count(variant, **fields):
    """(parameters, their parts) of the config for MOSI, on features of 300, 74 and 47 columns."""
    config, _ = load(f"{MOSI}{variant}")
    model = models.find("mulg").build({**config.model.to_dict(), **fields}, max_length=50)
    batch = make_batch({"text": 300, "audio": 74, "vision": 47})
    shapes = jax.eval_shape(lambda: model.init(jax.random.key(0), batch, train=False)["params"])
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(shapes)), set(shapes)


def test_without_cross_modal_attention_the_matched_form_is_as_large_as_the_full_model():
    (full, parts), (bare, rest), (matched, same) = map(
        count, ("", ":no_cross_modal", ":no_cross_modal_matched")
    )
    assert parts - rest == {"cross_modal_attention"}
    assert rest == same
    assert (full, bare, matched) == (367_761, 116_721, 364_641)  # the figures of the comment
    assert matched == pytest.approx(full, rel=0.03)
    for width in (76, 84):  # no other width that the heads divide comes nearer
        other, _ = count(":no_cross_modal_matched", width=width, hidden=width, reduced=width)
        assert abs(other - full) > abs(matched - full)


def test_the_matched_form_changes_widths_alone_and_its_heads_divide_them():
    widths = {"model.width": 80, "model.hidden": 80, "model.reduced": 80}
    assert changed("no_cross_modal_matched") == {"model.cross_modal": False, **widths}
    # Also where self-attention stands in the GRU's place, as in the paper's other comparison.
    config, _ = load(f"{MOSI}:no_cross_modal_matched:self_attention")
    models.find("mulg").build(config.model.to_dict(), max_length=50)
    uneven = {**config.model.to_dict(), "hidden": 81}
    with pytest.raises(UserError, match="does not divide model"):
        models.find("mulg").build(uneven, max_length=50)
