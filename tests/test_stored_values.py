"""Stored values: what a run's JSON files hold is refused in one line where its type or its size cannot be."""

import json
import sys

import numpy as np
import pytest

import msa_jax
from msa_jax import arrays_on_disk, bounds, config, json_kinds, kept, models, seals, workdir
from msa_jax.config import base
from msa_jax.data.example import Example
from msa_jax.errors import UserError
from msa_jax.files import read_json
from tests.conftest import reseal


@pytest.fixture(scope="module")
def run(trained_once):
    """The folder of a finished run; tests put back what they change."""
    return trained_once[1] / "run"


@pytest.fixture
def change(run):
    """Changes a file of the run by a function of its content, and seals it."""
    before = {p: p.read_bytes() for p in run.glob("*.json")}

    def changed(name, how):
        values = json.loads((run / name).read_text())
        how(values)
        if name == seals.FILE:
            values["seal"] = seals.digest_json({key: values[key] for key in ("facts", "files")})
        (run / name).write_text(json.dumps(values))
        if name != seals.FILE:
            reseal(run)

    yield changed
    for path, content in before.items():
        path.write_bytes(content)


def setting(*path, value):
    def how(values):
        for key in path[:-1]:
            values = values[key]
        values[path[-1]] = value

    return how


@pytest.mark.parametrize(
    ("key", "value", "line"),
    [
        ("facts", [[[]]], r"facts is \[\[\[\]\]\]"),
        ("facts", True, "facts is True"),
        ("facts", {}, "it has no fact run"),
        ("facts", {"run": 1, "epochs": 1, "finished": True}, "facts.run is 1"),
        ("facts", {"run": "a", "epochs": "1", "finished": True}, "facts.epochs is '1'"),
        ("files", "../../../etc/passwd", "files is '../../../etc/passwd'"),
        ("files", {"/etc/passwd": "0"}, "files is {'/etc/passwd': '0'}"),
        ("files", {"../x": "0"}, "files is {'../x': '0'}"),
        ("files", 1 << 63, "files is 9223372036854775808"),
    ],
)
def test_a_seal(run, change, key, value, line):
    change(seals.FILE, setting(key, value=value))
    with pytest.raises(UserError, match=rf"seal\.json is damaged: {line}; bring it back from a copy"):
        msa_jax.load(run)


@pytest.mark.parametrize(
    ("file", "path", "value", "line"),
    [
        ("config.json", ("data", "cut", "valid_fraction"), None, "valid_fraction is None, as it cannot be"),
        ("config.json", ("data", "modalities"), [{"a": 1}], "must hold one or more of text"),
        ("config.json", ("data", "threads"), 10**9, "data.threads: 1000000000 is more than 1000"),
        ("config.json", ("eval_batch_size",), 10**30, "is more than 1048576"),
        ("preparation.json", ("encoder", "num_layers"), 10**9, "encoder.num_layers is 1000000000"),
        ("preparation.json", ("encoder", "num_layers"), 101, "encoder.num_layers is 101"),
        ("preparation.json", ("buckets",), [[1, 1, 1 << 20]], "buckets hold more than the 500 steps"),
        ("preparation.json", ("statistics", "mean", "audio"), [float("inf")] * 3, "holds inf"),
        ("preparation.json", ("statistics", "mean", "audio"), [10**400] * 3, "holds 1000"),
    ],
)
def test_settings_and_preparation(run, change, file, path, value, line):
    change(file, setting(*path, value=value))
    with pytest.raises(UserError, match=line):
        msa_jax.load(run)


def _places(values):
    """(holder, key) of every value that JSON holds, inner ones too."""
    for key in values if isinstance(values, dict) else range(len(values)):
        yield values, key
        if isinstance(values[key], dict | list):
            yield from _places(values[key])


@pytest.mark.parametrize("huge", [10**400, -(10**400)], ids=["above", "below"])
@pytest.mark.parametrize("name", models.names())
def test_no_whole_number_is_too_large_to_be_refused(name, huge, tmp_path):
    """No float holds it, so that what only looks whether a number is finite raises an OverflowError."""
    plain = json.dumps(base.config(name).to_dict())
    for place in range(len(list(_places(json.loads(plain))))):
        values = json.loads(plain)
        holder, key = list(_places(values))[place]
        holder[key] = huge
        (tmp_path / "config.json").write_text(json.dumps(values))
        with pytest.raises(UserError, match=r"000|not a config of this library|another version|names the"):
            bounds.check(config.stored(tmp_path / "config.json", hint=""))


def test_a_number_is_one_that_a_float_holds():
    for value in (0, -1.5, 10**308, -(10**308), sys.float_info.max):
        assert json_kinds.number(value)
    for value in (10**309, -(10**400), float("inf"), float("nan"), True, "1", None):
        assert not json_kinds.number(value)


def test_a_vocabulary_without_its_token_for_the_unknown(run, change):
    change("tokenizer.json", lambda values: values["model"]["vocab"].pop("[UNK]"))
    change("tokenizer.json", setting("added_tokens", value=[]))
    with pytest.raises(UserError, match=r"the tokenizer cannot take a text apart .*: its vocabulary is not"):
        msa_jax.load(run).predict(["\u4e00 zzz"])


@pytest.mark.parametrize(
    ("path", "value", "line"),
    [
        (("data",), [], r"data is \[\]"),
        (("data", "hash"), None, "data.hash is None"),
        (("content",), "x", "content is 'x'"),
        (("content", "text.encoder"), 7, "content.text.encoder is 7"),
        (("content", "data.bert_vocab"), [], r"content.data.bert_vocab is \[\]"),
    ],
)
def test_circumstances(run, change, path, value, line):
    change("environment.json", setting(*path, value=value))
    for read in (workdir.recorded, workdir.trained_on):
        with pytest.raises(UserError, match=rf"environment\.json is damaged: {line}; train again"):
            read(run)


@pytest.mark.parametrize(
    ("path", "value", "line"),
    [
        (("data",), 1, "data is 1"),
        (("test",), [], r"test is \[\]"),
        (("test", "clips"), "many", "test.clips is 'many'"),
        (("test", "mae"), "low", "test.mae is 'low'"),
        (("test", "mae"), 10**400, "test.mae is 1000.*"),
        (("test", "undefined"), 3, "test.undefined is 3"),
    ],
)
def test_results(run, change, path, value, line):
    epochs = seals.check(run, mend="")["epochs"]
    assert workdir.read_results(run, epochs)["test"]["clips"]
    change("results.json", setting(*path, value=value))
    with pytest.raises(UserError, match=rf"results\.json is damaged: {line}; delete "):
        workdir.read_results(run, epochs)


@pytest.mark.parametrize("name", ["predictions_valid.csv", "predictions_test.csv"])
def test_predictions_that_are_not_what_was_written(run, name):
    epochs, file = seals.check(run, mend="")["epochs"], run / name
    whole = file.read_bytes()
    file.write_bytes(whole[:-3])
    with pytest.raises(UserError, match=rf"{name} is damaged: .*; delete it, and the same command writes"):
        workdir.read_results(run, epochs)
    file.unlink()
    assert workdir.read_results(run, epochs) is None
    file.write_bytes(whole)


STARTED = {
    **kept.fresh(),
    **{"best_epoch": 0, "best_value": 0.5, "best_by": "l1", "best_step": 3},
    **{"sums": {"loss": [1.0, 4]}, "plateau": {"best": 0.5, "waited": 0, "rate_factor": 0.5}},
}


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"best_value": ""}, "best_value is ''"),
        ({"best_value": None}, "its values do not fit together"),
        ({"best_epoch": 10**30}, "best_epoch is 1000"),
        ({"best_step": [[]]}, r"best_step is \[\[\]\]"),
        ({"to_judge": "${HOME}"}, r"to_judge is '\$\{HOME\}'"),
        ({"to_judge": True, "sums": {}}, "its values do not fit together"),
        ({"plateau": "${HOME}"}, r"plateau is '\$\{HOME\}'"),
        ({"plateau": {"best": None, "waited": 0, "rate_factor": float("inf")}}, "plateau.rate_factor is inf"),
        ({"sums": {"loss": [1.0, 0]}}, r"sums is \{'loss': \[1.0, 0\]\}"),
        ({"seconds": -1}, "seconds is -1"),
        ({"seconds": 10**400}, "seconds is 1000"),
        ({"best_value": -(10**400)}, "best_value is -1000"),
        ({"best_step": 4}, "its values do not fit together"),
    ],
)
def test_what_a_run_knows_of_itself(changes, line, tmp_path):
    whole = {"step": 3, "per_epoch": 3, "file": tmp_path / "progress.json", "mend": "delete it"}
    kept.check(kept.fresh(), **whole)
    kept.check({**STARTED, "to_judge": True}, **whole)
    with pytest.raises(UserError, match=rf"progress\.json is damaged: {line}.*; delete it"):
        kept.check({**STARTED, **changes}, **whole)
    with pytest.raises(UserError, match="its values do not fit together"):
        kept.check({**STARTED, "to_judge": True}, **{**whole, "step": 4})
    with pytest.raises(UserError, match="another version"):
        kept.check({}, **whole)


@pytest.mark.parametrize(
    ("beside", "line"),
    [(False, "lies in that folder and is not"), (True, "lies in the working folder and is not")],
)
def test_a_model_that_the_run_brings_is_not_run(run, change, monkeypatch, beside, line):
    """As where the command is given in that folder or beside it, where Python then looks for modules."""
    place = run.parent if beside else run
    (place / "own_model.py").write_text("open('EXECUTED', 'w').close()\n")
    monkeypatch.delenv("PYTHONPATH", raising=False)
    monkeypatch.chdir(place)
    monkeypatch.syspath_prepend(str(place))
    change("config.json", setting("model", "name", value="own_model"))
    with pytest.raises(UserError, match=f"names the model own_model, whose code {line}"):
        msa_jax.load(run)
    (place / "own_model.py").unlink()
    assert not (place / "EXECUTED").exists()


@pytest.mark.parametrize("name", models.names())
def test_no_size_of_a_model_is_without_a_bound(name):
    """Each whole number of a model and of its loss is refused at once where it is absurd."""
    plain = base.config(name)
    sizes = [
        f"{part}.{key}"
        for part in ("model", "loss")
        for key, value in plain[part].items()
        if type(value) is int
    ]
    for key in sizes:
        config = base.config(name)
        base.set_key(config, key, 10**9)
        with pytest.raises(UserError, match=rf"--config\.{key}: 1000000000 is more than"):
            bounds.check(config)
    assert sizes


def test_a_batch_that_fits_no_memory_is_refused_before_it_is_made(run):
    loaded = msa_jax.load(run)
    loaded.config.eval_batch_size = 1 << 20
    how = loaded.preparation
    object.__setattr__(how, "buckets", ((50, 1 << 20, 1 << 20),))
    none = np.zeros((0, 0), np.float32)
    clip = Example(
        id="a", video="a", split="", text="a film", audio=none, vision=none, aligned=False, label=0.0
    )
    clips = how.check([clip])
    with pytest.raises(UserError, match=r"a batch of 1048576 clips of .* steps takes .* GiB, of which"):
        loaded.score(how.scan(clips))


def test_json_is_at_most_64_deep(tmp_path):
    for depth, fits in ((64, True), (65, False)):
        inner = []
        for _ in range(depth - 2):
            inner = [inner]
        (tmp_path / "deep.json").write_text(json.dumps({"a": inner}))
        if fits:
            assert read_json(tmp_path / "deep.json") == {"a": inner}
        else:
            with pytest.raises(UserError, match="nested too deeply"):
                read_json(tmp_path / "deep.json")


def test_room_is_asked_for_that_suffices_for_what_orbax_writes(tmp_path, monkeypatch):
    """Many small arrays: what is known of each takes more than they do."""
    asked = []
    take = arrays_on_disk._take_room

    def noted(folder, size):
        asked.append(size)
        take(folder, size)

    monkeypatch.setattr(arrays_on_disk, "_take_room", noted)
    tree = {f"layer{k}": np.random.default_rng(k).normal(size=(30, 8)).astype("f4") for k in range(60)}
    arrays_on_disk.write(tmp_path / "arrays", tree)
    written = sum(-(-p.stat().st_size // 4096) * 4096 for p in tmp_path.rglob("*") if p.is_file())
    assert written < asked[0]
