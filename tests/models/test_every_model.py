"""Questions that every model's file must answer, and every variant that it declares."""

import dataclasses
import functools
import json
from pathlib import Path

import jax
import numpy as np
import pytest

import msa_jax
from msa_jax import assemble, evaluate, models, parallel, specs, step
from msa_jax import config as configs
from msa_jax.corpora import MODALITIES
from msa_jax.data import opening, synthetic
from msa_jax.data.plan import BatchPlan
from msa_jax.errors import UserError
from msa_jax.main import main
from msa_jax.run import Run
from tests.models.tracing import config_of, make_state, prepared, traced, without_weights

BASE = configs.base.VARIANTS
# The embedded corpus takes another run, and need not take another model.
SAME_MODEL = ("synthetic",)
# What a model's text is by default: features, or an encoder, in these tests one from scratch.
TEXT = {name: without_weights(configs.base.config(name)).text.encoder for name in models.names()}
VARIANTS = [(name, variant) for name in models.names() for variant in {**models.find(name).variants, **BASE}]


@functools.cache
def full(name, *variants):
    """The full form of a model."""
    return traced(config_of(name, *variants))


def differs(one, other):
    """Whether two forms of a model have other parameters, another loss, another program or another optimiser,
    or, with the same program, whether what the config leaves of the clips changes the loss."""
    if (one.variables, one.terms) != (other.variables, other.terms) or one.program != other.program:
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
        config = config_of(name, "tiny", variant, text__encoder="scratch")
        assert ("encoder" in traced(config).shapes) is models.find(name).needs_encoder


def test_a_model_that_keeps_state_can_be_asked_too():
    one, other = (
        traced(config_of("tests.models.memory_model", *variants))
        for variants in (("tiny",), ("tiny", "no_audio"))
    )
    assert set(one.variables) == {"params", "memory"}
    assert "steady" in one.terms
    assert not differs(one, traced(config_of("tests.models.memory_model", "tiny")))
    assert differs(one, other)


@pytest.mark.parametrize("path", specs.shipped_files(), ids=lambda path: path.stem)
def test_one_step_of_each_shipped_config_traces(path):
    step_traces(without_weights(configs.load(str(path))[0]))


@pytest.mark.parametrize("name", models.names())
def test_one_step_traces_with_the_text_that_is_not_the_default(name):
    other = "scratch" if TEXT[name] == "features" else "features"
    step_traces(config_of(name, "tiny", text__encoder=other))


def step_traces(config):
    """A training step can be traced, and leaves a state of the same shapes and types."""
    pieces, batch = prepared(config)

    def first(variables):
        return make_state(config, dataclasses.replace(pieces, variables=variables))

    state = jax.eval_shape(first, pieces.variables)
    after, terms = jax.eval_shape(step.train_step, state, batch)
    assert config.loss.task in terms
    assert after == state  # shapes and types: a second step compiles nothing


@dataclasses.dataclass
class Trained:
    """A run of two steps through the command, and the pieces that it started from.

    Attributes:
      folder, results: what the command left.
      run: the trained model.
      pieces: before the first step.
      batch: all training clips.
    """

    folder: Path
    results: dict
    run: Run
    pieces: assemble.Pieces
    batch: dict

    def scores(self, batch):
        return np.asarray(evaluate.forward(self.run.model, self.run.variables, batch)["prediction"])


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A function from a model's name to its `Trained`, which is made once."""

    @functools.cache
    def run(name):
        folder = tmp_path_factory.mktemp(name)
        (folder / "any_mosi.py").write_text(
            f"from msa_jax.config import base\n\n\ndef get_config():\n    return base.config({name!r})\n"
        )
        # Every split's longest clip is as long as the longest for training: one program scores them all.
        values = {"data.cache": folder / "cache", "eval_batch_size": 8, "text.max_content": 6}
        values |= {"optim.learning_rate": 0.01, "optim.schedule": "constant"}
        values |= {"text.encoder": TEXT[name]}
        argv = [f"--config={folder / 'any_mosi.py'}:synthetic:tiny"]
        argv += [f"--workdir={folder / 'run'}", *(f"--config.{k}={v}" for k, v in values.items())]
        assert main(argv) == 0
        loaded = msa_jax.load(folder / "run")
        pieces = assemble.assemble(loaded.config, opening.open_corpus(loaded.config))
        (batch,) = loaded.preparation.in_order(pieces.splits["train"], batch_size=8, threads=1)
        results = json.loads((folder / "run" / "results.json").read_text())
        return Trained(folder / "run", results, loaded, pieces, batch)

    few = dataclasses.replace(synthetic.PRESETS["synthetic"], counts=(8, 8, 8), max_words=4, mean_words=3.0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(synthetic.PRESETS, "synthetic", few)
        yield run


@pytest.mark.parametrize("name", models.names())
def test_a_run_goes_through_the_command_and_scores_new_clips(trained, name):
    one = trained(name)
    assert one.results["test"]["clips"] == 8
    assert np.isfinite(one.results["test"]["mae"])
    audio = [np.ones((2, 74)), None]
    if TEXT[name] == "features":
        assert one.run.preparation.preprocessing.text_width == 300
        states = list(np.random.default_rng(0).normal(size=(2, 5, 300)).astype(np.float32))
        scores = one.run.predict(["", ""], text_features=states, audio=audio)
        assert scores[0] != scores[1]
        with pytest.raises(UserError, match="text features of 300 columns, got shape"):
            one.run.predict([""], text_features=[np.ones((2, 7))])
    else:
        scores = one.run.predict(["ba be", "bi"], audio=audio)
    assert np.isfinite(scores).all()
    assert (one.folder / "tokenizer.json").exists() is (TEXT[name] != "features")


@pytest.mark.parametrize("name", models.names())
def test_each_clip_has_one_score_that_neither_its_place_nor_the_other_clips_change(trained, name):
    batch = trained(name).batch
    scores = trained(name).scores(batch)
    assert scores.shape == batch["label"].shape
    assert len(np.unique(scores)) == len(scores)
    order = np.random.default_rng(0).permutation(len(scores))
    turned = trained(name).scores({k: v[order] for k, v in batch.items()})
    np.testing.assert_allclose(turned, scores[order], atol=1e-5)


@pytest.mark.parametrize("name", models.names())
def test_padding_changes_no_score_whatever_stands_there(trained, name):
    batch = trained(name).batch
    longer = dict(batch)
    for m in MODALITIES:
        pad = ((0, 0), (0, 2), *((0, 0),) * (batch[m].ndim - 2))
        longer[m] = np.pad(batch[m], pad, constant_values=9)
        longer[f"{m}_mask"] = np.pad(batch[f"{m}_mask"], ((0, 0), (0, 2)))
    np.testing.assert_allclose(trained(name).scores(longer), trained(name).scores(batch), atol=1e-4)


@pytest.mark.parametrize("name", models.names())
def test_a_clip_without_anything_is_finite_and_leaves_the_others_alone(trained, name):
    batch = trained(name).batch
    empty = dict(batch)
    for m in MODALITIES:
        empty[f"{m}_mask"] = batch[f"{m}_mask"].copy()
        empty[f"{m}_mask"][3] = False
    scores = trained(name).scores(empty)
    assert np.isfinite(scores).all()
    rest = np.arange(len(scores)) != 3
    np.testing.assert_allclose(scores[rest], trained(name).scores(batch)[rest], atol=1e-5)


@pytest.mark.parametrize("name", models.names())
def test_300_steps_fit_a_batch(trained, name):
    one = trained(name)
    config, lengths, label = one.run.config, one.pieces.splits["train"].lengths, one.batch["label"]
    plan = BatchPlan(lengths, one.run.preparation.buckets, 8, epochs=config.epochs, seed=0)

    def error_and_scores(variables):
        scores = np.asarray(evaluate.forward(one.run.model, variables, one.batch)["prediction"])
        return np.mean((scores - label) ** 2), scores

    before, _ = error_and_scores(one.pieces.variables)
    start = jax.tree.map(np.array, one.pieces.variables)  # a step takes the arrays that it is given
    pieces = dataclasses.replace(one.pieces, variables=start)
    state, _ = step.make_state(config, pieces, plan, parallel.layout())
    one_step = jax.jit(step.train_step, donate_argnums=0)  # as the run had it: not compiled again
    first = None
    for _ in range(300):
        state, terms = one_step(state, one.batch)
        first = terms if first is None else first
    assert float(terms[config.loss.task]) < 0.5 * float(first[config.loss.task])
    after, fitted = error_and_scores({"params": state.params, **state.collections})
    assert after < before / 10
    assert np.corrcoef(fitted, label)[0, 1] > 0.9
