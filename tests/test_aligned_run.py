"""Runs on the same clips as MMSA's token rows and as word rows: the messages, and equal training."""

import contextlib
import dataclasses
import io
import json
import pickle
import shutil

import numpy as np
import pytest

from msa_jax import config as configs
from msa_jax import scoring
from msa_jax.data import readers, synthetic
from msa_jax.data.pipeline import Clips, Split
from msa_jax.data.preprocessing import Preprocessing, Statistics
from msa_jax.errors import UserError
from msa_jax.inspect.command import main as inspect_main
from msa_jax.main import main
from msa_jax.text import train_tokenizer
from tests.conftest import TINY, make_words_folder, reseal

CONFIG = "--config=configs/crosssent_mosi.py"
READ = "BERT tokens, [CLS] and [SEP] zero, 22 of 22 clips (22 end with the last one)"


def _token_file(folder, words_folder):
    """The clips of a words pickle as MMSA-FET writes them: a word's row for each of its pieces."""
    clips = {
        name: pickle.loads((words_folder / f"{name}.pkl").read_bytes()) for name in ("train", "dev", "test")
    }
    texts = {name: [" ".join(parts[3]) for parts, *_ in part] for name, part in clips.items()}
    tokenizer = train_tokenizer([text.lower() for text in texts["train"]], TINY["text.scratch.vocab_size"])
    tokenizer.save(folder / "tokenizer.json")
    whole = {}
    for name, part in clips.items():
        count = len(part)
        arrays = {
            "raw_text": np.array(texts[name]),
            "audio": np.zeros((count, 50, 3)),
            "vision": np.zeros((count, 50, 2)),
            "id": np.array([clip[2].replace("[", "$_$").rstrip("]") for clip in part]),
            "text_bert": np.zeros((count, 3, 50), np.int64),
            "regression_labels": np.array([clip[1].item() for clip in part], np.float32),
        }
        for k, ((_, vision, audio, _), *_) in enumerate(part):
            ids, words = tokenizer.encode(texts[name][k])
            arrays["text_bert"][k, 0, : len(ids)], arrays["text_bert"][k, 1, : len(ids)] = ids, 1
            for stream, rows in (("audio", audio), ("vision", vision)):
                arrays[stream][k, : len(ids)] = np.where((words < 0)[:, None], 0, rows[words])
        whole["valid" if name == "dev" else name] = arrays
    path = folder / "aligned_50.pkl"
    path.write_bytes(pickle.dumps(whole, protocol=4))
    return path


def _both(folder):
    words = make_words_folder(folder / "words")
    return words, _token_file(folder, words)


@pytest.fixture
def both(tmp_path):
    """(words folder, token file) with the same clips."""
    return _both(tmp_path)


def _arguments(path, folder, name, **changes):
    # The same few epochs, one bucket and one layer in all runs: one program to compile.
    values = {**TINY, "data.path": path, "data.cache": folder / "cache", "data.buckets": 1, "epochs": 2}
    values |= {"text.scratch.num_layers": 1, **changes}
    return [CONFIG, f"--workdir={folder / name}", *(f"--config.{k}={v}" for k, v in values.items())]


def _train(path, folder, name, **changes):
    assert main(_arguments(path, folder, name, **changes)) == 0


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """(folder with the finished runs `by_word` and `by_token`, what they said)."""
    folder = tmp_path_factory.mktemp("runs")
    words, tokens = _both(folder)
    with contextlib.redirect_stdout(io.StringIO()) as out:
        for name, path in (("by_word", words), ("by_token", tokens)):
            _train(path, folder, name, **{"data.standardise": False})
    return folder, out.getvalue()


def test_token_rows_and_word_rows_train_the_same_model(runs):
    folder, out = runs
    by_word, by_token = (folder / name / "predictions_test.csv" for name in ("by_word", "by_token"))
    assert by_word.read_text() == by_token.read_text()
    assert out.count(f"note: rows of audio and vision: {READ}") == 1
    assert json.loads((folder / "by_token/results.json").read_text())["conventions"]["rows"] == READ
    assert json.loads((folder / "by_word/results.json").read_text())["conventions"] == {}
    (sidecar,) = (s for s in (folder / "cache").glob("mosi-*/source.json") if "aligned_50" in s.read_text())
    assert json.loads(sidecar.read_text())["conventions"]["rows"] == READ


def test_embedded_clips_as_token_rows_and_word_rows_make_equal_batches(tmp_path):
    """All 2199 clips of the short embedded corpus; before standardisation, to the bit."""
    clips = synthetic.generate(synthetic.PRESETS["synthetic_short"])[0]
    tokenizer = train_tokenizer([clip.text for clip in clips if clip.split == "train"], 150)
    tokenizer.save(tmp_path / "tokenizer.json")
    widths = {"audio": clips[0].audio.shape[1], "vision": clips[0].vision.shape[1]}
    read = {}
    for form in ("words", "tokens"):
        whole = {}
        for split in ("train", "valid", "test"):
            part = [clip for clip in clips if clip.split == split]
            arrays = {m: np.zeros((len(part), 50, d)) for m, d in widths.items()}
            arrays["raw_text"] = np.array([clip.text for clip in part])
            arrays["id"] = np.array([f"{clip.video}$_${k}" for k, clip in enumerate(part)])
            arrays["regression_labels"] = np.array([clip.label for clip in part])
            bert = np.zeros((len(part), 3, 50), np.int64)
            for k, clip in enumerate(part):
                ids, words = tokenizer.encode(clip.text)
                bert[k, 0, : len(ids)], bert[k, 1, : len(ids)] = ids, 1
                for m in widths:
                    rows = getattr(clip, m)
                    spread = np.where((words < 0)[:, None], 0, rows[words])
                    values = rows if form == "words" else spread
                    arrays[m][k, : len(values)] = values
            whole[split] = arrays | ({"text_bert": bert} if form == "tokens" else {})
        path = tmp_path / f"{form}.pkl"
        path.write_bytes(pickle.dumps(whole, protocol=4))
        source = readers.read(path)
        assert source.reading.conventions["rows"].startswith(
            "words" if form == "words" else "BERT tokens, [CLS] and [SEP] zero"
        )
        how = Preprocessing(48, False, ("text", "audio", "vision"), widths)
        split = Split(Clips([dataclasses.asdict(clip) for clip in source]), tokenizer, how)
        read[form] = split.batch(np.arange(len(split)), (50, 50, 50), len(split), Statistics.identity(widths))
    assert len(read["words"]["index"]) == len(clips) == 2199
    assert (read["words"]["text_mask"].sum(1) - 2 > [len(c.text.split()) for c in clips]).any()
    for name, values in read["words"].items():
        np.testing.assert_array_equal(read["tokens"][name], values, err_msg=name)


def test_another_tokenizer_gets_the_rows_through_words(both, tmp_path):
    """A vocabulary of letters alone cuts every word, and every piece has its word's row."""
    words, tokens = both
    scores = []
    for name, path in (("by_word", words), ("by_token", tokens)):
        changes = {"data.standardise": False, "epochs": 1, "text.scratch.vocab_size": 32}
        _train(path, tmp_path, name, **changes)
        scores.append((tmp_path / name / "predictions_test.csv").read_text())
    assert scores[0] == scores[1]


def test_eval_and_predict_read_the_file_as_training_did(both, tmp_path):
    _, tokens = both
    _train(tokens, tmp_path, "run")
    own = (tmp_path / "run/predictions_test.csv").read_text()
    assert main(["--mode=eval", f"--workdir={tmp_path / 'run'}"]) == 0
    (again,) = (tmp_path / "run").glob("eval_*/predictions_test.csv")
    assert again.read_text() == own
    assert main(["--mode=predict", f"--workdir={tmp_path / 'run'}", f"--config.data.path={tokens}"]) == 0
    rows = (tmp_path / "run/predictions_aligned_50.csv").read_text().splitlines()
    scores = dict(row.split(",")[:2] for row in rows[1:])
    for row in own.splitlines()[1:]:
        name, _, score = row.split(",")
        assert float(scores[name]) == pytest.approx(float(score), abs=2e-6)


def test_another_file_is_scored_without_what_was_said_of_the_first(both, tmp_path, capsys):
    """data.rows speaks of the file that was trained on."""
    words, tokens = both
    _train(tokens, tmp_path, "run", **{"data.rows": "tokens"})
    run = [f"--workdir={tmp_path / 'run'}"]
    capsys.readouterr()
    assert main(["--mode=predict", *run, f"--config.data.path={words}"]) == 0
    assert "rows of audio" not in capsys.readouterr().out
    assert main(["--mode=predict", *run, f"--config.data.path={tokens}"]) == 0
    assert f"note: rows of audio and vision: {READ}" in capsys.readouterr().out
    assert main(["--mode=eval", *run, f"--config.data.path={words}", "--config.data.other_counts=True"]) == 0
    assert main(["--mode=predict", *run, f"--config.data.path={words}", "--config.data.rows=tokens"]) == 2
    assert "remove data.rows" in capsys.readouterr().err
    beside = tokens.parent / "." / "words" / ".." / tokens.name  # the same file, written otherwise
    assert main(["--mode=eval", *run, f"--config.data.path={beside}"]) == 0
    assert f"note: rows of audio and vision: {READ}" in capsys.readouterr().out


def test_the_inspector_says_what_the_rows_are(both, tmp_path, capsys):
    _, tokens = both
    assert inspect_main([str(tokens), "--corpus=mosi"]) == 0
    out = capsys.readouterr().out
    lines = [line.strip() for line in out.splitlines()]
    assert f"rows of audio and vision: {READ}" in " ".join(lines[2:8])
    assert "aligned word by word" not in out
    assert inspect_main([str(tokens), f"--bert_vocab={tmp_path / 'tokenizer.json'}", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["conventions"]["rows"] == READ
    assert found["notes"] == [
        f"The words of the tokens were found by the vocabulary of {tmp_path / 'tokenizer.json'}."
    ]
    assert inspect_main([str(tokens), "--rows=stream"]) == 0
    assert "rows of audio and vision: a stream of their own" in capsys.readouterr().out


def test_rows_that_nothing_explains_are_refused_until_named(both, tmp_path, capsys):
    _, tokens = both
    whole = pickle.loads(tokens.read_bytes())
    for arrays in whole.values():
        for stream in ("audio", "vision"):
            arrays[stream][:] = 1
    tokens.write_bytes(pickle.dumps(whole))
    argv = _arguments(tokens, tmp_path, "run")
    assert main(argv) == 2
    error = capsys.readouterr().err
    assert "it is not clear what the rows of audio and vision belong to (of 22 clips none" in error
    assert "--config.data.rows=tokens, words or stream" in error
    assert not (tmp_path / "run").exists()
    assert inspect_main([str(tokens)]) == 2
    assert "say what they are by --rows=tokens, words or stream" in capsys.readouterr().err
    assert main([*argv, "--config.data.rows=stream"]) == 0
    assert (
        json.loads((tmp_path / "run/results.json").read_text())["conventions"]["rows"]
        == "a stream of their own"
    )


def test_where_most_words_stay_unknown_the_vocabulary_is_asked_for(both, tmp_path, capsys):
    """Texts that were changed after their ids were made, and an encoder with other tokens."""
    _, tokens = both
    whole = pickle.loads(tokens.read_bytes())
    for arrays in whole.values():
        arrays["raw_text"] = np.array([f"{text} and some more words here" for text in arrays["raw_text"]])
    tokens.write_bytes(pickle.dumps(whole))
    argv = _arguments(tokens, tmp_path, "run")
    assert main(argv) == 2
    error = capsys.readouterr().err
    assert "10 clips have BERT tokens of unknown words" in error
    assert "--config.data.bert_vocab" in error
    assert not (tmp_path / "run").exists()


def test_a_vocabulary_that_a_run_names_is_a_hint(both, tmp_path, capsys, monkeypatch, untrained):
    """The run may come from anybody: only what it was trained with is used, and nothing is downloaded."""
    asked = []
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda name, **_: asked.append(name))
    _, tokens = both
    vocabulary, run = tmp_path / "tokenizer.json", tmp_path / "run"
    _train(tokens, tmp_path, "run", **{"data.bert_vocab": vocabulary})
    copy = shutil.copy(vocabulary, tmp_path / "copy.json")
    for mode in ("eval", "predict"):
        command = [f"--mode={mode}", f"--workdir={run}"]
        assert main(command) == 0
        vocabulary.write_text(vocabulary.read_text().replace('"[MASK]"', '"[OTHER]"'))
        capsys.readouterr()
        for path in ([], [f"--config.data.path={tokens}"]):
            assert main([*command, *path]) == 2
            assert (
                "what is there is not what it was trained with; name the vocabulary by --config.data.be"
                in (capsys.readouterr().err)
            )
        vocabulary.unlink()
        assert main(command) == 2
        assert capsys.readouterr().err.count("\n") == 1
        assert main([*command, f"--config.data.bert_vocab={copy}"]) == 0
        shutil.copy(copy, vocabulary)
    config = json.loads((run / "config.json").read_text())
    for hostile in ("someorg/x", "$NO_SUCH_VARIABLE/x", "x" * 5000, "\0"):
        config["data"]["bert_vocab"] = config["text"]["encoder"] = hostile
        (run / "config.json").write_text(json.dumps(config))
        reseal(run)
        capsys.readouterr()
        assert main(["--mode=eval", f"--workdir={run}"]) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        assert "which is not to be had here" in error
        assert "name the vocabulary by --config.data.bert_vocab=FILE" in error
        for use in (
            scoring.evaluate_run,
            scoring.predict_file,
        ):  # from Python, with the config as it lies there
            with pytest.raises(UserError, match="which is not to be had here"):
                use(configs.stored(run / "config.json", hint=""), run)
    assert asked == []
