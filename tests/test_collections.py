"""State of each clip in a collection: a step changes it, checkpoints keep it, a resumed run has it."""

import dataclasses
import json

import flax.linen as nn
import jax
import numpy as np
import pytest

import msa_jax
from msa_jax import train
from msa_jax.bounds import check
from msa_jax.config import base
from msa_jax.data.plan import BatchPlan
from msa_jax.errors import UserError
from msa_jax.step import train_step
from tests.conftest import TINY
from tests.models.tracing import config_of, make_state, prepared

EPOCHS = 3
SCRATCH = {key: value for key, value in TINY.items() if key.startswith("text.")}
# Models whose training keeps something beside parameters: by clip, by batch, gradients of several batches.
KEPT = {
    "tests.models.memory_model": {},
    "self_mm": {"optim.accumulate": 2},
    "mmim": {},
}


@pytest.fixture
def config(request, words_folder, tmp_path):
    """Three steps an epoch, the last of two clips and two rows that only pad."""
    name = getattr(request, "param", "tests.models.memory_model")
    c = base.apply(base.config(name), "tiny")
    c.epochs, c.batch_size, c.log_every, c.checkpoint_every = EPOCHS, 4, 1, 2
    c.data.path, c.data.cache, c.data.other_counts = str(words_folder), str(tmp_path / "cache"), True
    c.data.buckets = 1  # one program
    for key, value in {**SCRATCH, **KEPT[name]}.items():
        base.set_key(c, key, value)
    check(c)
    return c


def logged(folder):
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if k != "clips_per_second"} for line in lines]


def test_each_clip_has_been_visited_once_an_epoch_and_padding_never(config, tmp_path):
    train.train_and_evaluate(config, tmp_path / "run")
    best = msa_jax.load(tmp_path / "run")
    seen = json.loads((tmp_path / "run" / "results.json").read_text())["best_epoch"] + 1
    assert best.preparation.clips == 10
    np.testing.assert_array_equal(best.variables["memory"]["visits"], np.full(10, seen))
    assert np.abs(best.variables["memory"]["said"]).min() > 0
    first = next(line for line in logged(tmp_path / "run") if "steady" in line)
    assert first["steady"] > 0  # nothing was said before: the distance from 0
    assert first["loss"] == pytest.approx(first["mse"] + 0.5 * first["steady"], rel=1e-5)


class Sown(nn.Module):
    """Does in a step what a run cannot carry: `odd` says what."""

    odd: str

    @nn.compact
    def __call__(self, batch, *, train):
        score = nn.Dense(1)(batch["audio"].mean(1))[:, 0]
        if self.odd == "grows":
            self.sow("stats", "mean", score.mean())
        elif train and self.odd == "late collection":
            self.variable("stats", "mean", lambda: score.mean()).value = score.mean()
        elif train and self.odd == "late parameter":
            score = nn.Dense(1, name="decoder")(score[:, None])[:, 0]
        elif train and self.odd == "stream":
            score += jax.random.normal(self.make_rng("noise"))
        return {"logits" if self.odd == "logits" else "prediction": score}


@pytest.mark.parametrize(
    ("odd", "message"),
    [
        ("grows", "'stats' changes its shape or type in a step"),
        ("late collection", "makes a collection in training alone .*make it with train=False too"),
        ("late parameter", "makes a parameter in training alone .*make it with train=False too"),
        ("stream", "draws from a random stream that a step does not have .*there are: dropout, sample"),
        ("logits", "gives no 'prediction', which the loss l1 needs; it gives logits"),
    ],
)
def test_what_a_step_cannot_carry_is_one_line(odd, message):
    config = config_of("lmf", "tiny", text__encoder="scratch")
    pieces, batch = prepared(config)
    model = Sown(odd)
    variables = model.init(jax.random.key(0), batch, train=False)
    state = make_state(config, dataclasses.replace(pieces, model=model, variables=dict(variables)))
    with pytest.raises(UserError, match=message):
        jax.eval_shape(train_step, state, batch)


@pytest.mark.parametrize("config", KEPT, indirect=True)
def test_a_run_that_was_cut_off_inside_an_epoch_goes_on_with_the_same_memory(config, tmp_path, monkeypatch):
    train.train_and_evaluate(config, tmp_path / "whole")
    batches = iter(range(100))
    original = BatchPlan.__getitem__

    def breaks(self, i):
        if self.seed is not None and next(batches) == 5:
            raise KeyboardInterrupt
        return original(self, i)

    config.data.threads = 0  # each batch is made when it is asked for
    monkeypatch.setattr(BatchPlan, "__getitem__", breaks)
    with pytest.raises(KeyboardInterrupt):
        train.train_and_evaluate(config, tmp_path / "broken")
    monkeypatch.setattr(BatchPlan, "__getitem__", original)
    assert not (tmp_path / "broken" / "results.json").exists()
    train.train_and_evaluate(config, tmp_path / "broken")
    assert logged(tmp_path / "broken") == logged(tmp_path / "whole")
    assert sum("loss_epoch" in line for line in logged(tmp_path / "broken")) == EPOCHS  # means too
    found, expected = (msa_jax.load(tmp_path / name).variables for name in ("broken", "whole"))
    jax.tree.map(np.testing.assert_array_equal, found, expected)
