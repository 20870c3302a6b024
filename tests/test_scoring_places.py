"""Places that a run's config names, when scoring is called from Python: what it names is only a hint."""

import inspect
import types

import pytest

from msa_jax import config as configs
from msa_jax import scoring
from msa_jax.data.opening import Recorded
from msa_jax.errors import UserError
from msa_jax.files import write_json


class Asked(Exception):
    """The places of the run are known."""


@pytest.fixture
def asked(tmp_path, monkeypatch):
    """(its stored config, use): the keys whose places a function takes for those of a run in a folder."""
    config = configs.load("lmf_mosi:tiny")[0]
    configs.base.set_key(config, "data.path", str(tmp_path / "clips.csv"))
    configs.base.set_key(config, "data.bert_vocab", "someorg/x")
    write_json(tmp_path / "config.json", config.to_dict())

    def recorded(workdir, own):
        assert workdir == tmp_path
        raise Asked(sorted(own))

    monkeypatch.setattr(scoring, "recorded", recorded)
    monkeypatch.setattr(scoring, "load", lambda workdir, config: types.SimpleNamespace(
        workdir=workdir, preparation=types.SimpleNamespace(preprocessing=None)))  # fmt: skip
    monkeypatch.setattr(
        scoring, "trained_on", lambda workdir: {"source": "clips.csv", "hash": "0", "cut": None}
    )

    def use(function, config, **options):
        with pytest.raises(Asked) as found:
            function(config, tmp_path, **options)
        return found.value.args[0]

    return configs.stored(tmp_path / "config.json", hint=""), use


@pytest.mark.parametrize("function", [scoring.evaluate_run, scoring.predict_file])
def test_what_a_stored_config_names_is_the_runs_own_unless_another_place_is_named(asked, tmp_path, function):
    config, use = asked
    assert use(function, config) == ["data.bert_vocab", "data.path", "text.encoder"]
    config.data.path = str(tmp_path / "mine.csv")
    assert use(function, config) == ["data.bert_vocab", "text.encoder"]
    config.data.bert_vocab = None
    assert use(function, config) == ["text.encoder"]
    assert use(function, config, own=["data.path"]) == ["data.path"]
    assert use(function, config, own=()) == []
    assert inspect.signature(function).parameters["own"].default is None


def test_the_vocabulary_of_a_stored_config_is_not_fetched(asked, monkeypatch):
    """By the same keys, which `Recorded` gets."""
    fetched = []
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda name, **_: fetched.append(name))
    config, use = asked
    kept = Recorded("0" * 64, None, "2" * 64, use(scoring.predict_file, config))
    with pytest.raises(UserError, match="the run names the vocabulary 'someorg/x', which is not to be had"):
        scoring.opening.reading(config, kept)
    assert fetched == []
