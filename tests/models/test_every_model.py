"""What is asked of every model's file, and of every variant that it declares."""

import dataclasses
import functools
import json

import jax
import numpy as np
import pytest

import msa_jax
from msa_jax import assemble, models, train
from msa_jax import config as configs
from msa_jax.corpora import MODALITIES
from msa_jax.data import synthetic
from msa_jax.main import main
from tests.models.tracing import config_of, make_state, prepared, traced, without_weights

BASE = configs.base.VARIANTS
# The embedded corpus takes another run, and need not take another model.
SAME_MODEL = ("synthetic",)
VARIANTS = [(name, variant) for name in models.names() for variant in {**models.find(name).variants, **BASE}]


@functools.cache
def full(name, *variants):
    """The full form of a model."""
    return traced(config_of(name, *variants))


def differs(one, other):
    """Whether two forms of a model have other parameters, another loss, another program or another optimiser,
    or, with the same program, whether what the config leaves of the clips changes the loss."""
    if (one.shapes, one.terms) != (other.shapes, other.terms) or one.program != other.program:
        return True
    return one.optimiser != other.optimiser or abs(one.value - other.value) > 1e-5


@pytest.mark.parametrize("name", models.names())
def test_a_model_does_not_differ_from_itself(name):
    assert not differs(traced(config_of(name, "tiny")), full(name, "tiny"))


@pytest.mark.parametrize(("name", "variant"), VARIANTS)
def test_every_variant_traces_and_differs_from_the_full_model(name, variant):
    size = () if variant == "tiny" else ("tiny",)
    changed = traced(config_of(name, *size, variant))
    assert variant in SAME_MODEL or differs(changed, full(name, *size))


@pytest.mark.parametrize("name", models.names())
def test_a_model_without_text_has_an_encoder_only_where_it_lives_in_one(name):
    for variant in ("no_text", "audio_only", "vision_only"):
        assert ("encoder" in traced(config_of(name, "tiny", variant)).shapes) is (
            models.find(name).needs_encoder
        )


@pytest.mark.parametrize("path", configs.shipped_files(), ids=lambda path: path.stem)
def test_one_step_of_each_shipped_config_traces(path):
    config = without_weights(configs.load(str(path))[0])
    pieces, batch = prepared(config)

    def first(variables):
        return make_state(config, dataclasses.replace(pieces, variables=variables))

    state = jax.eval_shape(first, pieces.variables)
    after, terms = jax.eval_shape(train.train_step, state, batch)
    assert config.loss.task in terms
    assert after == state  # shapes and types: a second step compiles nothing


@functools.cache
def small(name):
    """(config, pieces with parameters, batch) of a model's tiny form; each clip has another label."""
    config = config_of(name, "tiny", optim__learning_rate=0.01, optim__schedule="constant")
    pieces, batch = prepared(config)
    variables = assemble.init_variables(pieces.model, pieces.preparation, jax.random.key(0), None)
    batch["label"] = np.linspace(-2, 2, len(batch["label"])).astype(np.float32)
    return config, dataclasses.replace(pieces, variables=variables), batch


@functools.cache
def scorer(name):
    """A model's scores of a batch, compiled once for each shape."""
    _, pieces, _ = small(name)
    return jax.jit(lambda batch: pieces.model.apply(pieces.variables, batch, train=False)["prediction"])


@pytest.mark.parametrize("name", models.names())
def test_each_clip_has_one_score_that_neither_its_place_nor_the_other_clips_change(name):
    _, _, batch = small(name)
    scores = scorer(name)(batch)
    assert scores.shape == batch["label"].shape
    assert len(np.unique(scores)) == len(scores)
    order = np.random.default_rng(0).permutation(len(scores))
    turned = scorer(name)({k: v[order] for k, v in batch.items()})
    np.testing.assert_allclose(turned, scores[order], atol=1e-5)


@pytest.mark.parametrize("name", models.names())
def test_padding_changes_no_score_whatever_stands_there(name):
    _, _, batch = small(name)
    longer = dict(batch)
    for m in MODALITIES:
        pad = ((0, 0), (0, 2), *((0, 0),) * (batch[m].ndim - 2))
        longer[m] = np.pad(batch[m], pad, constant_values=9)
        longer[f"{m}_mask"] = np.pad(batch[f"{m}_mask"], ((0, 0), (0, 2)))
    np.testing.assert_allclose(scorer(name)(longer), scorer(name)(batch), atol=1e-4)


@pytest.mark.parametrize("name", models.names())
def test_a_clip_without_anything_is_finite_and_leaves_the_others_alone(name):
    _, _, batch = small(name)
    empty = dict(batch)
    for m in MODALITIES:
        empty[f"{m}_mask"] = batch[f"{m}_mask"].copy()
        empty[f"{m}_mask"][3] = False
    scores = scorer(name)(empty)
    assert np.isfinite(scores).all()
    rest = np.arange(len(scores)) != 3
    np.testing.assert_allclose(scores[rest], scorer(name)(batch)[rest], atol=1e-5)


@pytest.mark.parametrize("name", models.names())
def test_300_steps_fit_a_batch(name):
    config, pieces, batch = small(name)
    state = make_state(config, pieces)
    step = jax.jit(train.train_step)
    first = None
    for _ in range(300):
        state, terms = step(state, batch)
        first = terms if first is None else first
    assert float(terms[config.loss.task]) < 0.5 * float(first[config.loss.task])
    variables = {"params": state.params, **state.collections}
    fitted = pieces.model.apply(variables, batch, train=False)["prediction"]
    assert np.corrcoef(fitted, batch["label"])[0, 1] > 0.9


@pytest.mark.parametrize("name", models.names())
def test_a_run_goes_through_the_command_and_scores_new_clips(name, tmp_path, monkeypatch):
    few = dataclasses.replace(synthetic.PRESETS["synthetic"], counts=(16, 8, 8), max_words=8, mean_words=4.0)
    monkeypatch.setitem(synthetic.PRESETS, "synthetic", few)
    of_scores = (p for p in configs.shipped_files() if p.stem.startswith(f"{name}_mos"))
    argv = [f"--config=configs/{next(of_scores).name}:synthetic:tiny", f"--workdir={tmp_path / 'run'}"]
    assert main([*argv, f"--config.data.cache={tmp_path / 'cache'}", "--config.epochs=1"]) == 0
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert results["test"]["clips"] == 8
    assert np.isfinite(results["test"]["mae"])
    scores = msa_jax.load(tmp_path / "run").predict(["ba be", "bi"], audio=[np.ones((2, 74)), None])
    assert np.isfinite(scores).all()
