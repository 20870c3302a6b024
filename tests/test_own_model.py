"""A model and a config from a user's own folder, through the main command."""

import dataclasses
import json
import sys

import numpy as np
import pytest

import msa_jax
from msa_jax import cli
from msa_jax.data import synthetic
from msa_jax.errors import UserError
from msa_jax.main import main

MODEL = '''
"""The mean of what is said, heard and seen, and a linear score: no heads, no encoder's layer, no part."""

import dataclasses
from collections.abc import Mapping

import flax.linen as nn
import jax.numpy as jnp

from msa_jax import losses
from msa_jax.layers.head import Head
from msa_jax.layers.pooling import mean_over_time
from msa_jax.models.fields import Misfit, NonNegative, Positive


class Model(nn.Module):
    modalities: tuple[str, ...] = ("text", "audio", "vision")
    outputs: tuple[int, ...] = ()
    width: Positive = 4
    odd: bool = False

    def check(self, max_length):
        if self.odd and self.width % 2 == 0:
            raise Misfit(f"width: {self.width} is even")

    def notes(self, batch_size):
        yield f"batches of {batch_size}"

    @nn.compact
    def __call__(self, batch, *, train):
        heard = [m for m in ("audio", "vision") if m in self.modalities]
        parts = [nn.Dense(self.width, name=m)(mean_over_time(batch[m], batch[f"{m}_mask"])) for m in heard]
        fused = sum(parts)
        return {**Head(self.outputs, name="head")(fused), "fused": fused}


@dataclasses.dataclass(frozen=True)
class Loss(losses.Loss):
    size_weight: NonNegative = 0.01

    def terms(self, model):
        yield losses.Term("size", self.size_weight, lambda out, batch, key: jnp.mean(out["fused"] ** 2))

    def monitors(self, model):
        yield "clips", lambda out, batch: batch["mask"].sum()


DEFAULTS = {"epochs": 2, "batch_size": 8, "data.buckets": 1, "log_every": 1}
VARIANTS = {"no_size": {"loss.size_weight": 0.0}, "synthetic": {"epochs": 2, "optim.learning_rate": 0.01}}
'''
CONFIG = """
from msa_jax.config import base

VARIANTS = {"wide": {"model.width": 7}}


def get_config():
    return base.config("own_models.mean")
"""


@pytest.fixture
def argv(tmp_path, monkeypatch):
    """Arguments that name the config, all but its variants; few clips in the embedded corpus."""
    (tmp_path / "own_models").mkdir()
    (tmp_path / "own_models" / "__init__.py").write_text("")
    (tmp_path / "own_models" / "mean.py").write_text(MODEL)
    (tmp_path / "mine.py").write_text(CONFIG)
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("own_models", "own_models.mean"):  # of another test, in another folder
        monkeypatch.delitem(sys.modules, name, raising=False)
    few = dataclasses.replace(synthetic.PRESETS["synthetic"], counts=(24, 10, 10), max_words=8, mean_words=4)
    monkeypatch.setitem(synthetic.PRESETS, "synthetic", few)
    return [f"--config={tmp_path / 'mine.py'}", f"--config.data.cache={tmp_path / 'cache'}"]


def test_it_trains_on_made_data_and_scores(argv, tmp_path, capsys):
    folder = tmp_path / "run"
    assert main([argv[0] + ":wide", *argv[1:], f"--workdir={folder}", "--config.log_every=1"]) == 0
    out = capsys.readouterr().out
    assert f"so this runs {tmp_path / 'mine.py'}:synthetic:wide" in out
    assert "note: batches of 32" in out
    config = json.loads((folder / "config.json").read_text())
    assert config["model"] == {"name": "own_models.mean", "odd": False, "width": 7}
    assert config["loss"] == {"size_weight": 0.01, "task": "mse"}
    first = json.loads((folder / "metrics.jsonl").read_text().splitlines()[0])
    assert first["loss"] == pytest.approx(first["mse"] + 0.01 * first["size"], rel=1e-5)
    assert first["clips"] == 24
    loaded = msa_jax.load(folder)
    audio = list(
        np.random.default_rng(0).normal(size=(2, 3, loaded.preparation.preprocessing.widths["audio"]))
    )
    scores = loaded.predict(["a b c", "a b c"], audio=audio, aligned=True)
    assert scores[0] != scores[1]
    assert main(["--mode=eval", f"--workdir={folder}"]) == 0


def test_its_fields_are_keys_with_bounds(argv):
    config = cli.parse([argv[0] + ":no_size:tiny:audio_only", *argv[1:]]).config
    assert (config.loss.size_weight, config.data.modalities, config.batch_size) == (0.0, ("audio",), 8)
    for more, message in (
        ("--config.model.width=0", r"--config\.model\.width: 0 is less than 1"),
        ("--config.loss.size_weight=-1", r"--config\.loss\.size_weight: -1\.0 is less than 0"),
        ("--config.model.odd=True", r"--config\.model\.width: 4 is even"),
        ("--config.model.heads=2", r"--config\.model\.heads: the config has no such key"),
    ):
        with pytest.raises(UserError, match=message):
            cli.parse([*argv, more])
    with pytest.raises(UserError, match=r"has no variant 'no_siz'; did you mean no_size\?"):
        cli.parse([argv[0] + ":no_siz"])


def test_a_run_whose_model_is_gone_is_one_line(argv, tmp_path, monkeypatch, capsys):
    config = cli.parse(argv).config
    (tmp_path / "run").mkdir()
    stored = {**config.to_dict(), "model": {**config.model.to_dict(), "name": "own_models.median"}}
    (tmp_path / "run" / "config.json").write_text(json.dumps(stored))
    assert main(["--mode=eval", f"--workdir={tmp_path / 'run'}"]) == 2
    error = capsys.readouterr().err
    assert "there is no model 'own_models.median'" in error
    assert error.count("\n") == 1
