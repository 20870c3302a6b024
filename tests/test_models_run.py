"""Models, every one through the main command: classes, text features, subsets of modalities, patience."""

import csv
import dataclasses
import functools
import json

import numpy as np
import pytest

import msa_jax
from msa_jax import assemble, cli, models
from msa_jax import config as configs
from msa_jax import train as training
from msa_jax.data import given, opening, synthetic
from msa_jax.data.synthetic import PRESETS
from msa_jax.errors import UserError
from msa_jax.evaluate import validation
from msa_jax.main import main
from msa_jax.run import Run
from tests.conftest import WORDS

TINY = {
    "epochs": 2,
    "batch_size": 8,
    "eval_batch_size": 16,
    "log_every": 1,
    "text.max_content": 8,
    "data.buckets": 1,
    "data.other_counts": True,
    "text.scratch.num_layers": 1,
    "text.scratch.hidden_size": 16,
    "text.scratch.num_heads": 2,
    "text.scratch.intermediate_size": 16,
}


@pytest.fixture(scope="module", autouse=True)
def _small_corpora():
    """The embedded corpora with a few short clips each."""
    with pytest.MonkeyPatch.context() as patch:
        for name, made in PRESETS.items():
            few = dataclasses.replace(made, counts=(24, 10, 10), max_words=5, mean_words=4.0)
            patch.setitem(synthetic.PRESETS, name, few)
        yield


def command(config, tmp_path, **more):
    """Arguments for a shipped config, with its variants after a colon."""
    name, *variants = config.split(":")
    spec = ":".join((f"configs/{name}.py", *variants))
    tiny = models.find(configs.load(spec)[0].model.name).variants.get("tiny", {})
    values = {**TINY, **tiny, "data.cache": tmp_path / "cache", **more}
    return [f"--config={spec}", *(f"--config.{k}={v}" for k, v in values.items())]


def train(config, tmp_path, **more):
    """(results, folder) of a tiny run."""
    parsed = cli.parse(command(config, tmp_path, **more))
    if not opening.has_data(parsed.config):
        parsed = parsed.on_made_data()
    folder = tmp_path / "run"
    return training.train_and_evaluate(parsed.config, folder), folder


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A function from a model's name, and how it gets the text, to (results, folder) of a tiny run, which is
    made once and not to be changed."""

    @functools.cache
    def run(name, encoder="scratch"):
        return train(
            f"{name}_mosi:synthetic", tmp_path_factory.mktemp(name), **{"epochs": 1, "text.encoder": encoder}
        )

    return run


def untrained(config, tmp_path, **more):
    """A tiny run before its first step, as one that was loaded."""
    parsed = cli.parse(command(config, tmp_path, **more))
    pieces = assemble.assemble(parsed.config, opening.open_corpus(parsed.config))
    return Run(tmp_path, parsed.config, pieces.model, pieces.variables, pieces.preparation)


def rows(path):
    with path.open() as f:
        return list(csv.DictReader(f))


def test_two_classes_from_the_first_command_to_probabilities(tmp_path, capsys):
    results, folder = train("tecafn_urfunny", tmp_path)
    assert "runs configs/tecafn_urfunny.py:synthetic\n" in capsys.readouterr().out
    assert results["data"] == "synthetic"
    assert set(results["test"]) == {"clips", "acc2", "f1"}
    table = rows(folder / "predictions_test.csv")
    assert list(table[0]) == ["id", "label", "prediction", "probability"]
    right = np.mean([r["label"] == r["prediction"] for r in table])
    assert results["test"]["acc2"] == pytest.approx(right)
    assert all((float(r["probability"]) > 0.5) == (r["prediction"] == "1") for r in table)
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert {"cross_entropy", "pair_audio", "replaced_vision", "candidates_audio"} <= set(lines[0])
    assert any("valid_acc2" in line for line in lines)
    loaded = msa_jax.load(folder)
    chances = loaded.predict(["a b", "c"], audio=[np.ones((3, 81)), None], vision=[None, np.ones((2, 371))])
    assert chances.shape == (2, 2)
    np.testing.assert_allclose(chances.sum(1), 1, rtol=1e-5)


def test_four_emotions(tmp_path):
    results, folder = train("mulg_iemocap", tmp_path)
    assert {"acc_happy", "f1_neutral"} <= set(results["test"])
    table = rows(folder / "predictions_valid.csv")
    assert list(table[0])[:4] == ["id", "label_happy", "prediction_happy", "probability_happy"]
    for k in ("happy", "sad", "angry", "neutral"):
        right = np.mean([r[f"label_{k}"] == r[f"prediction_{k}"] for r in table])
        assert results["valid"][f"acc_{k}"] == pytest.approx(right)
    assert msa_jax.load(folder).predict(["a b"]).shape == (1, 4, 2)


# The others are run so in tests/models/test_every_model.py.
WITH_ENCODER = [name for name in models.names() if configs.base.config(name).text.encoder != "features"]


def test_text_as_features_needs_no_tokenizer(trained):
    results, folder = trained("crosssent", "features")
    assert np.isfinite(results["test"]["mae"])
    assert not (folder / "tokenizer.json").exists()
    assert msa_jax.load(folder).preparation.preprocessing.text_width == 300


@pytest.mark.parametrize("model", WITH_ENCODER)
def test_text_as_features_is_read_without_words(tmp_path, model):
    one = untrained(f"{model}_mosi:synthetic", tmp_path, **{"text.encoder": "features"})
    texts = np.random.default_rng(0).normal(size=(2, 5, 300)).astype(np.float32)
    scores = one.predict(["", ""], text_features=list(texts))
    assert scores[0] != scores[1]
    with pytest.raises(UserError, match="text features of 300 columns, got shape"):
        one.predict([""], text_features=[np.ones((2, 7))])


HEARD_AND_SEEN = {"data.modalities": ("audio", "vision"), "epochs": 1}


@pytest.mark.parametrize("model", models.names())
def test_without_text_a_model_hears_and_sees_and_does_not_read(tmp_path, model):
    one = untrained(f"{model}_mosi:synthetic", tmp_path, **HEARD_AND_SEEN)
    assert ("encoder" in one.variables["params"]) is models.find(model).needs_encoder
    rng = np.random.default_rng(0)
    audio, other = (rng.normal(size=(2, 74)).astype(np.float32) for _ in range(2))
    # As many words and tokens: which ones does not reach the model.
    same = one.predict(["xy yx", "yx xy", "xy yx"], audio=[audio, audio, other], aligned=True)
    assert same[0] == same[1] != same[2]


def test_a_model_without_text_is_trained_to_the_end(tmp_path):
    results, folder = train("crosssent_mosi:synthetic", tmp_path, **HEARD_AND_SEEN)
    assert np.isfinite(results["test"]["mae"])
    loaded = msa_jax.load(folder)
    rows = np.ones((3, loaded.preparation.preprocessing.widths["audio"]))
    assert np.isfinite(loaded.predict([""], audio=[rows])).all()
    with pytest.raises(UserError, match="it reads audio, vision: give them some of it"):
        loaded.predict(["xy yx"])


def test_patience_ends_a_run_and_a_resume_does_not_go_on(tmp_path, capsys):
    more = {"epochs": 40, "patience": 2, "optim.learning_rate": 1e-9}  # nothing gets better
    results, folder = train("lmf_mosi:synthetic", tmp_path, **more)
    epochs = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    values = [line["valid_l1"] for line in epochs if "valid_l1" in line]
    assert len(values) == results["best_epoch"] + 1 + 2 < 40
    assert "no better epoch in 2" in capsys.readouterr().out
    before = (folder / "results.json").read_bytes()
    (folder / "results.json").unlink()
    again, _ = train("lmf_mosi:synthetic", tmp_path, **more)
    assert again["best_epoch"] == results["best_epoch"]
    assert json.loads(before)["test"] == again["test"]
    assert len((folder / "metrics.jsonl").read_text().splitlines()) == len(epochs)


def test_a_frozen_encoder_does_not_move_while_the_rest_does(tmp_path):
    import jax

    _, folder = train(
        "tecafn_mosi:synthetic", tmp_path, **{"text.frozen": True, "data.modalities": ("text",)}
    )
    loaded = msa_jax.load(folder)
    key = jax.random.key(loaded.config.seed)
    start = assemble.init_variables(loaded.model, loaded.preparation, key, None)["params"]
    for a, b in zip(
        jax.tree.leaves(loaded.variables["params"]["encoder"]), jax.tree.leaves(start["encoder"]), strict=True
    ):
        np.testing.assert_array_equal(a, b)
    assert (
        np.abs(loaded.variables["params"]["head_dense"]["kernel"] - start["head_dense"]["kernel"]).max()
        > 1e-4
    )


def test_text_of_the_wrong_kind_is_refused(trained):
    features = np.ones((2, 300), np.float32)
    with pytest.raises(UserError, match="takes no text features"):
        msa_jax.load(trained("lmf")[1]).predict(["a b"], text_features=[features])
    loaded = msa_jax.load(trained("lmf", "features")[1])
    for wrong, message in (
        (None, "not texts"),
        ([features[:, 0]], "got shape"),
        ([np.full((2, 300), np.nan)], "NaN or infinity"),
    ):
        with pytest.raises(UserError, match=message):
            loaded.predict([""], text_features=wrong)
    with pytest.raises(
        UserError, match=r"clip 0: the run reads .*300 columns.*, and takes no text; write '' instead"
    ):
        loaded.predict(["a b"], text_features=[features])


def test_a_run_on_scores_is_not_tested_on_classes(trained, capsys):
    argv = ["--mode=eval", f"--workdir={trained('lmf')[1]}", "--config.data.corpus=synthetic_ur_funny"]
    assert main(argv) == 2
    assert "--config.loss.task" in capsys.readouterr().err


def test_a_dominant_modality_that_is_left_out_is_refused(tmp_path, capsys):
    argv = command("amsgfn_mosi:synthetic", tmp_path)
    argv += ["--config.model.dominant=vision", "--config.data.modalities=('text',)"]
    assert main([*argv, f"--workdir={tmp_path / 'run'}"]) == 2
    assert "vision is not in use, only text" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_file_without_text_features_is_refused_in_one_line(words_folder, tmp_path, capsys):
    argv = command("mulg_mosi", tmp_path, **{"data.path": words_folder})
    assert main([*argv, f"--workdir={tmp_path / 'run'}"]) == 2
    error = capsys.readouterr().err
    assert "has no text features; use --config.text.encoder=" in error
    assert error.count("\n") == 1


def test_real_words_reach_a_model_on_its_own_time_line(words_folder, tmp_path):
    more = {"data.path": words_folder, "text.encoder": "scratch", "text.scratch.vocab_size": 60}
    _, folder = train("mulg_mosi", tmp_path, **more)
    loaded = msa_jax.load(folder)
    text = " ".join(WORDS[:3])
    audio = np.random.default_rng(0).normal(size=(3, 3)).astype(np.float32)
    forward, back = (loaded.predict([text], audio=[a], aligned=True)[0] for a in (audio, audio[::-1]))
    assert forward != back  # a GRU hears the order

    rng = np.random.default_rng(1)  # clips whose audio and vision differ tenfold in length
    texts = [" ".join(WORDS[: 1 + i % 6]) for i in range(20)]
    streams = {"audio": 3, "vision": 2}
    features = {m: [rng.normal(size=(rng.integers(2, 40), d)) for _ in texts] for m, d in streams.items()}
    longest = (9, 40, 40)
    scores = []
    for buckets in ((longest,), ((4, 20, 9), (6, 21, 25), longest), ((30, 99, 99),)):
        preparation = dataclasses.replace(loaded.preparation, buckets=buckets)
        bucketed = dataclasses.replace(loaded, preparation=preparation)
        read = {**features, "text_features": None}
        examples = given.examples(texts, read, preparation.preprocessing, aligned=False)
        scores.append(bucketed.score(preparation.scan(preparation.check(examples))))
    scores.append(loaded.predict(texts, **features))
    np.testing.assert_allclose(scores[1], scores[0], atol=1e-5)
    np.testing.assert_allclose(scores[2], scores[0], atol=1e-5)
    np.testing.assert_allclose(scores[3], scores[0], atol=1e-5)


def test_a_task_loss_on_the_validation_split_equals_its_definition():
    rng = np.random.default_rng(0)
    config = cli.parse(["--config=configs/mulg_iemocap.py"]).config
    logits, labels = rng.normal(size=(5, 4, 2)), rng.integers(0, 2, (5, 4))
    shifted = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    expected = -np.mean([np.log(shifted[n, k, labels[n, k]]) for n in range(5) for k in range(4)])
    found = validation(config, "iemocap", logits, labels)
    assert (found.by, found.value) == ("cross_entropy", pytest.approx(expected))
    scores, targets = rng.normal(size=6), rng.normal(size=6)
    config = cli.parse(["--config=configs/mulg_mosi.py"]).config
    found = validation(config, "mosi", scores, targets)
    assert (found.by, found.value) == ("l1", pytest.approx(np.abs(scores - targets).mean()))
    config = cli.parse(["--config=configs/tecafn_mosi.py"]).config
    right = np.mean((scores > 0) == (targets > 0))
    found = validation(config, "mosi", scores, targets)
    assert (found.by, found.value) == ("acc2_non0", pytest.approx(right))
