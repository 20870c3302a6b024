"""The functions that `import msa_jax` offers to programs and notebooks."""

import importlib
import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest

import msa_jax
from msa_jax import loop, models, seals, workdir
from msa_jax.data import readers
from msa_jax.errors import UserError
from tests.conftest import make_words_folder, reseal

TINY = "lmf_mosi:synthetic:tiny"


def tiny(folder, **changes):
    few = {"data.cache": str(folder / "cache"), "data.buckets": 1, "epochs": 2}
    return msa_jax.configure(TINY, few | changes)


def test_a_config_is_the_one_of_the_command_line_with_the_same_changes(tmp_path):
    from msa_jax import cli

    changes = {
        "epochs": 7,
        "optim.learning_rate": 2e-3,
        "model.rank": 2,
        "data.modalities": ("text", "audio"),
    }
    command = ["--config=configs/lmf_mosi.py:synthetic"]
    command += [f"--config.{key}={value}" for key, value in changes.items()]
    assert msa_jax.configure("lmf_mosi:synthetic", changes) == cli.parse(command).config
    assert msa_jax.configure("crosssent_mosi", {"model.gmra": None}).model.gmra is None
    config = msa_jax.configure(
        "crosssent_mosi", {"epochs": np.int64(3), "data.path": tmp_path, "data.modalities": ["text"]}
    )
    assert (config.epochs, config.data.path, config.data.modalities) == (3, str(tmp_path), ("text",))


@pytest.mark.parametrize(
    ("spec", "changes", "message"),
    [
        ("lmf_mossi", {}, "there is no file lmf_mossi"),
        ("__main__", {}, "__main__"),
        ("lmf_mosi:tinny", {}, "did you mean tiny"),
        ("lmf_mosi", {"epoch": 3}, r"epoch: there is no such key; did you mean epochs\?"),
        ("lmf_mosi", {"epochs": "three"}, "epochs: 'three' is of the wrong type"),
        ("lmf_mosi", {"epochs": 0}, "epochs: 0"),
        (3, {}, "the config is 3; name a config"),
        ("lmf_mosi", {3: 4}, "3: there is no such key"),
        ("lmf_mosi", ["epochs"], r"the changes are \['epochs'\]"),
        ("lmf_mosi", [], r"the changes are \[\]"),
    ],
)
def test_a_config_that_cannot_be_is_refused_in_one_line(spec, changes, message):
    with pytest.raises(UserError, match=message) as refused:
        msa_jax.configure(spec, changes)
    assert "\n" not in str(refused.value)


MODEL = """
import dataclasses
import flax.linen as nn
from msa_jax import losses
from msa_jax.layers.head import Head
from msa_jax.layers.pooling import mean_over_time
from msa_jax.models.fields import Positive


class Model(nn.Module):
    modalities: tuple[str, ...] = ("text", "audio", "vision")
    width: Positive = 4

    @nn.compact
    def __call__(self, batch, *, train):
        return Head((), name="head")(mean_over_time(batch["audio"], batch["audio_mask"]))


@dataclasses.dataclass(frozen=True)
class Loss(losses.Loss):
    pass


DEFAULTS = {"epochs": 5}
VARIANTS = {"wide": {"model.width": 9}}
"""


def test_a_config_of_a_model_of_ones_own(tmp_path, monkeypatch, capsys):
    file = tmp_path / "a_model_of_mine.py"
    file.write_text(MODEL)
    monkeypatch.syspath_prepend(tmp_path)
    config = msa_jax.configure("a_model_of_mine:synthetic:tiny:wide", {"data.cache": str(tmp_path / "cache")})
    assert (config.model.name, config.model.width, config.epochs) == ("a_model_of_mine", 9, 2)
    file.write_text(MODEL.replace('"head"', '"another_head"'))
    with pytest.raises(UserError, match="has changed since it was imported; restart Python, or reload"):
        msa_jax.fit(config, tmp_path / "run")
    file.write_text(MODEL)
    results = msa_jax.fit(config, tmp_path / "run", quiet=True)
    assert 0 < results["test"]["mae"] < 4
    with pytest.raises(UserError, match=r"a_model_of_mine has no variant 'wid'; did you mean wide\?"):
        msa_jax.configure("a_model_of_mine:wid")
    with pytest.raises(UserError, match="there is no file a_model_of_min"):
        msa_jax.configure("a_model_of_min")

    file.write_text(MODEL.replace("mean_over_time(batch", "2 * mean_over_time(batch"))
    importlib.invalidate_caches()
    importlib.reload(sys.modules["a_model_of_mine"])
    msa_jax.load(tmp_path / "run")
    assert "was trained with other code of a_model_of_mine" in capsys.readouterr().out
    with pytest.raises(
        UserError, match="was trained with other code of a_model_of_mine; name another folder"
    ):
        msa_jax.fit(config, tmp_path / "run")
    config.epochs = 3  # what is left of an unfinished run would be another model's
    with pytest.raises(UserError, match=r"model\.name: the content of a_model_of_mine is not the same"):
        msa_jax.fit(config, tmp_path / "run")
    file.write_text(MODEL)
    importlib.reload(sys.modules["a_model_of_mine"])
    config.epochs = 2
    assert msa_jax.fit(config, tmp_path / "run", quiet=True) == results

    # A finished run of a version that did not note the file is read.
    environment = json.loads((tmp_path / "run" / "environment.json").read_text())
    assert len(environment["content"].pop("model.name")) == 64
    (tmp_path / "run" / "environment.json").write_text(json.dumps(environment))
    reseal(tmp_path / "run")
    importlib.reload(sys.modules["a_model_of_mine"])
    assert msa_jax.fit(config, tmp_path / "run", quiet=True) == results
    config.epochs = 3
    before = json.loads((tmp_path / "run" / seals.FILE).read_text())  # its identity was another one, too
    seals.write(tmp_path / "run", before["files"], **{**before["facts"], "run": "0" * 64})
    with pytest.raises(UserError, match=r"was trained with other model\.name, which it did not record"):
        msa_jax.fit(config, tmp_path / "run")


def test_a_model_whose_file_changes_while_it_trains_ends_with_its_results(tmp_path, monkeypatch):
    file = tmp_path / "a_model_that_changes.py"
    file.write_text(MODEL)
    monkeypatch.syspath_prepend(tmp_path)
    config = msa_jax.configure("a_model_that_changes:synthetic:tiny", {"data.cache": tmp_path / "cache"})
    kept = workdir.claim

    def claim(*args, **kwargs):
        file.write_text(f"{MODEL}# edited\n")
        return kept(*args, **kwargs)

    monkeypatch.setattr("msa_jax.train.claim", claim)
    assert msa_jax.fit(config, tmp_path / "run", quiet=True)["test"]["mae"] > 0
    with pytest.raises(UserError, match="has changed since it was imported"):
        msa_jax.fit(config, tmp_path / "run")


def test_a_model_of_another_file_belongs_to_the_file_that_names_it(tmp_path, monkeypatch):
    (tmp_path / "a_shared_model.py").write_text(MODEL)
    own = 'from a_shared_model import Model, Loss\nDEFAULTS = {"epochs": 2}\n'
    (tmp_path / "a_model_with_another_loss.py").write_text(own)
    monkeypatch.syspath_prepend(tmp_path)
    codes = {models.code(name) for name in ("a_shared_model", "a_model_with_another_loss")}
    assert len(codes) == 2
    for name in ("a_shared_model", "a_model_with_another_loss"):
        models.refuse_changed(name)
    (tmp_path / "a_shared_model.py").unlink()
    assert models.code("a_shared_model") in codes


def test_a_batch_is_what_a_training_is_given(tmp_path):
    path = make_words_folder(tmp_path / "words")
    changes = {"data.path": path, "data.cache": tmp_path / "cache", "data.other_counts": True}
    config = msa_jax.configure("lmf_mosi", {**changes, "text.encoder": "scratch"})
    batch = msa_jax.batch(config, clips=3)
    assert batch["audio"].shape == (3, batch["audio_mask"].shape[1], 3)
    assert batch["vision"].shape == (3, batch["vision_mask"].shape[1], 2)
    assert (batch["text"].shape, batch["text"].dtype) == (batch["text_mask"].shape, np.int32)
    assert batch["mask"].all()
    assert len(set(batch["index"])) == 3
    valid = msa_jax.batch(config, split="valid", clips=6)
    labels = [example.label for example in readers.read(path / "dev.pkl")]
    np.testing.assert_allclose(sorted(valid["label"]), sorted(np.ravel(labels)), rtol=1e-6)
    for wrong, message in (
        ({"split": "test"}, "the split is 'test'; before a training there are train and valid"),
        ({"clips": 0}, "clips"),
        ({"clips": None}, "clips is None; say how many"),
    ):
        with pytest.raises(UserError, match=message):
            msa_jax.batch(config, **wrong)
    with pytest.raises(UserError, match=r"make one by msa_jax\.configure"):
        msa_jax.batch("lmf_mosi")


def test_a_fit_is_a_run_that_is_loaded_and_only_read_the_second_time(tmp_path, capsys):
    config = tiny(tmp_path)
    results = msa_jax.fit(config, tmp_path / "run")
    assert "epoch 2/2" in capsys.readouterr().out
    assert 0 < results["test"]["mae"] < 4
    assert msa_jax.load(tmp_path / "run").config.model == config.model
    assert msa_jax.fit(config, str(tmp_path / "run")) == results
    assert "is finished" in capsys.readouterr().out


def test_a_quiet_fit_prints_nothing_and_what_follows_does(tmp_path, capfd):
    config = tiny(tmp_path)
    results = msa_jax.fit(config, tmp_path / "run", quiet=True)
    assert capfd.readouterr() == ("", "")
    assert msa_jax.fit(config, tmp_path / "run") == results
    assert capfd.readouterr().out


def test_a_fit_that_is_interrupted_goes_on_to_the_same_results(tmp_path, monkeypatch):
    unbroken = msa_jax.fit(tiny(tmp_path), tmp_path / "unbroken", quiet=True)
    validate, calls, before = loop.validate, [], signal.getsignal(signal.SIGINT)

    def interrupted(*args, **kwargs):
        calls.append(1)
        if len(calls) == 1:
            os.kill(os.getpid(), signal.SIGINT)
        return validate(*args, **kwargs)

    monkeypatch.setattr(loop, "validate", interrupted)
    with pytest.raises(KeyboardInterrupt):
        msa_jax.fit(tiny(tmp_path), tmp_path / "broken", quiet=True)
    assert signal.getsignal(signal.SIGINT) is before  # not always Python's: a job in the background has none
    results = msa_jax.fit(tiny(tmp_path), tmp_path / "broken", quiet=True)
    assert results["test"] == unbroken["test"]


def test_several_seeds_give_their_mean(tmp_path):
    results = msa_jax.fit(tiny(tmp_path, seeds=(0, 1)), tmp_path / "runs", quiet=True)
    values = results["test"]["mae"]["values"]
    assert len(values) == 2
    assert results["test"]["mae"]["mean"] == pytest.approx(np.mean(values))
    assert msa_jax.load(tmp_path / "runs" / "seed_1").config.seed == 1


@pytest.mark.parametrize(
    ("config", "message"),
    [("lmf_mosi", "the config is 'lmf_mosi'; make one by msa_jax.configure"), (None, "make one by")],
)
def test_a_fit_needs_a_config(config, message, tmp_path):
    with pytest.raises(UserError, match=message):
        msa_jax.fit(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_fit_without_data_says_what_to_set(tmp_path):
    config = msa_jax.configure("lmf_mosi", {"data.cache": str(tmp_path / "cache")})
    with pytest.raises(UserError, match=r"data\.path is not set, and no mosi corpus has been built"):
        msa_jax.fit(config, tmp_path / "run")
    with pytest.raises(UserError, match="quiet is 'no', which is neither True nor False"):
        msa_jax.fit(config, tmp_path / "run", quiet="no")
    assert not (tmp_path / "run").exists()


def table(file, texts):
    lines = [f"c{k},{text},{k % 3 - 1},{'train' if k < 4 else 'test'}" for k, text in enumerate(texts)]
    file.write_text("\n".join(["id,text,label,split", *lines]) + "\n")
    return file


def test_a_description_is_that_of_the_command_and_changes_nothing(tmp_path, capsys):
    from msa_jax.inspect.command import main

    file = table(tmp_path / "clips.csv", ["good", "bad", "", "fine", "good", "dull"])
    before = file.read_bytes()
    found = msa_jax.describe(file)
    shown = capsys.readouterr().out
    assert main([str(file)]) == 0
    assert shown == capsys.readouterr().out
    assert sum(found.clips.values()) == 6
    assert file.read_bytes() == before
    assert msa_jax.describe(file, corpus="mosi", show=False).corpus == "mosi"
    assert capsys.readouterr().out == ""


def test_in_a_notebook_a_description_is_one_text(tmp_path, capsys, monkeypatch):
    """There rich would hand each line over to be displayed."""
    path = make_words_folder(tmp_path / "words")
    msa_jax.describe(path)
    plain = capsys.readouterr().out
    monkeypatch.setattr("rich.console._is_jupyter", lambda: True)
    msa_jax.describe(path)
    assert capsys.readouterr().out == plain


def test_a_description_refuses_what_it_cannot_read(tmp_path):
    with pytest.raises(UserError, match=r"nothing\.csv"):
        msa_jax.describe(tmp_path / "nothing.csv")
    file = table(tmp_path / "clips.csv", ["good", "bad"])
    with pytest.raises(UserError, match=r"colour: there is no such option; .*rows"):
        msa_jax.describe(file, colour="red")
    with pytest.raises(UserError, match=r"corpus: 'mossi' .*mosi"):
        msa_jax.describe(file, corpus="mossi")
    with pytest.raises(UserError, match=r"corpus: \['mosi'\]"):
        msa_jax.describe(file, corpus=["mosi"])
    with pytest.raises(UserError, match="show is 'no', which is neither True nor False"):
        msa_jax.describe(file, show="no")


def test_no_public_function_has_the_name_of_a_module_and_importing_stays_light():
    code = "import msa_jax, sys; print(int('jax' in sys.modules or 'numpy' in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "0\n"
    import importlib.util

    functions = ("configure", "batch", "fit", "describe", "load")
    assert not [name for name in functions if importlib.util.find_spec(f"msa_jax.{name}")]
    assert all(getattr(msa_jax, name).__doc__ for name in functions)
