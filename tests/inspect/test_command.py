"""`python -m msa_jax.data`: readable lines, strict JSON, one line for a mistake, builds for training."""

import json
import pickle
import re
import subprocess
import sys

import numpy as np
import pytest

from msa_jax import cli
from msa_jax import config as configs
from msa_jax.corpora import CORPORA, SPLITS
from msa_jax.data import datasets
from msa_jax.inspect.command import main
from tests.conftest import make_words_folder
from tests.data.small_files import ur_funny_folder

ANSI = "\x1b"


@pytest.fixture
def official(tmp_path):
    """A CSV with as many clips as CMU-MOSI, in its splits."""
    path = tmp_path / "my file.csv"
    rng = np.random.default_rng(0)
    lines = ["video_id,clip_id,text,label,mode"]
    for split, count in zip(SPLITS, CORPORA["mosi"].counts, strict=True):
        labels = np.round(rng.uniform(-3, 3, count), 1)
        lines += [f"{split}{k // 20},{k},a good film,{label},{split}" for k, label in enumerate(labels)]
    path.write_text("\n".join(lines) + "\n")
    return path


def _strict(text):
    def refuse(name):
        raise AssertionError(f"{name} is not JSON")

    return json.loads(text, parse_constant=refuse)


def test_lines_for_people(words_folder, capsys):
    assert main([str(words_folder)]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert ANSI not in out
    for line in out.splitlines():
        assert line == line.rstrip()
        assert line.isascii()
        assert len(line) <= 80 or str(words_folder) in line
    headings = [line for line in out.splitlines()[1:] if line and not line.startswith(" ")]
    assert [h.split(" (")[0] for h in headings] == [
        "Corpus", "Clips", "Lengths", "Labels", "Dirt", "Shared between splits", "Size", "Next"
    ]  # fmt: skip
    assert re.search(r"clips +10 +6 +6 +22\n", out)
    assert re.search(r"audio, rows +22 +3 ", out)
    assert "not the official splits, which are train 1284, valid 229, test 686" in out
    assert "aligned word by word: all 22 clips" in out
    assert f"--config=configs/crosssent_mosi.py --config.data.path={words_folder}" in out


def test_a_path_with_spaces_is_quoted(official, capsys):
    assert main([str(official)]) == 0
    out = capsys.readouterr().out
    assert f"python -m msa_jax.main --config=configs/crosssent_mosi.py '--config.data.path={official}'" in out
    assert "other_counts" not in out


def test_json_is_strict_and_alone(tmp_path, capsys):
    path = tmp_path / "x.npz"
    audio = np.full((6, 2), np.nan, np.float32)
    np.savez(
        path, id=[f"v{k}_0" for k in range(6)], text=["ä"] * 6, label=[np.nan] * 5 + [np.inf], audio=audio
    )
    assert main([str(path), "--json"]) == 0
    out, err = capsys.readouterr()
    found = _strict(out)
    assert err == ""
    assert (found["format"], found["corpus"], found["labelled"]) == ("utterance .npz", None, 0)
    assert found["next"].startswith("python -m msa_jax.main --mode=predict")
    assert found["built"] is None
    assert {"what": "clips whose audio has no finite number", "count": 6, "first": ["v0_0", "v1_0", "v2_0"],
            "effect": "left out"} in found["findings"]  # fmt: skip


def test_build_is_what_training_opens(official, tmp_path, capsys):
    cache = tmp_path / "cache"
    assert main([str(official), "--build", f"--cache={cache}", "--json"]) == 0
    found = _strict(capsys.readouterr().out)
    (built,) = datasets.find_built("mosi", cache)
    assert str(built.folder) == found["built"]
    assert tuple(built.counts.values()) == CORPORA["mosi"].counts
    assert f"--config.data.cache={cache}" in found["next"]
    assert main([str(official), "--build", f"--cache={cache}"]) == 0
    assert capsys.readouterr().out.endswith(f"Built\n  {built.folder}\n")
    assert len(datasets.find_built("mosi", cache)) == 1


def test_the_default_cache_is_that_of_training(words_folder, capsys):
    assert main([str(words_folder), "--build", "--other_counts", "--json"]) == 0
    folder = _strict(capsys.readouterr().out)["built"]
    config, _ = configs.load("configs/crosssent_mosi.py")
    home = str(words_folder.parent / "home")  # tests have a home of their own
    assert folder.startswith(config.data.cache.replace("~", home))


def test_text_features_are_built_where_there_are_no_words_to_train_on(tmp_path, capsys):
    rng = np.random.default_rng(0)
    content = {
        split: {
            "id": [f"{split}{k}$_$0" for k in range(4)],
            "raw_text": ["a b"] * 4,
            "text": rng.normal(size=(4, 3, 5)),
            "audio": rng.normal(size=(4, 3, 2)),
            "vision": rng.normal(size=(4, 3, 2)),
            "regression_labels": np.tile([0, 1, 1, 0], (4, 1)),
        }
        for split in SPLITS
    }
    path = tmp_path / "x.pkl"
    path.write_bytes(pickle.dumps(content))
    assert main([str(path), "--build", "--other_counts", f"--cache={tmp_path / 'c'}", "--json"]) == 0
    capsys.readouterr()
    (built,) = datasets.find_built("iemocap", tmp_path / "c", text_features=True)
    assert built.text_width == 5


def test_a_file_without_words_is_trained_on_its_text_features(tmp_path, capsys):
    rng = np.random.default_rng(0)
    content = {
        split: {
            **{
                name: rng.normal(size=(4, 6, width))
                for name, width in (("text", 5), ("audio", 3), ("vision", 2))
            },
            "labels": rng.uniform(-3, 3, (4, 1, 1)),
            "id": np.array([[f"{split}{k}", "0", "1"] for k in range(4)]),
        }
        for split in SPLITS
    }
    path = tmp_path / "x.pkl"
    path.write_bytes(pickle.dumps(content))
    assert main([str(path), "--build", "--other_counts", f"--cache={tmp_path / 'c'}"]) == 0
    out = capsys.readouterr().out
    assert "not in the file: text\n" in out
    assert re.search(r"text features, rows +12 +5 ", out)
    command = next(line.split() for line in out.splitlines() if "msa_jax.main" in line)
    config = cli.parse(command[3:]).config
    assert (config.model.name, config.text.encoder, config.data.other_counts) == ("mulg", "features", True)
    (built,) = datasets.find_built("mosi", tmp_path / "c", text_features=True)
    assert out.endswith(f"Built\n  {built.folder}\n")


def test_a_released_ur_funny_folder(tmp_path, capsys):
    path = ur_funny_folder(tmp_path)
    for options, rows in (([], 2), (["--context"], 3)):
        assert main([str(path), *options]) == 0
        out = capsys.readouterr().out
        assert "UR-FUNNY SDK pickles" in out
        assert "aligned word by word: all 6 clips" in out
        assert re.search(rf"text, words +6 +{rows} +{rows} ", out)
        assert re.search(rf"audio, rows +6 +3 +{rows} +{rows} ", out)
        assert re.search(rf"text features, rows +6 +300 +{rows} +{rows} ", out)
        assert "--config=configs/tecafn_urfunny.py" in out
    argv = [str(path), "--build", "--corpus=ur_funny", "--other_counts", f"--cache={tmp_path / 'c'}"]
    assert main(argv) == 0
    (built,) = datasets.find_built("ur_funny", tmp_path / "c")
    assert [clip["text"] for clip in built.split("train")] == ["he laughed"] * 2


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["nowhere.pkl"], "no such file or folder"),
        (["empty.pkl"], "the file is empty"),
        (["folder"], "folder"),
        (["picture.png"], "picture.png"),
        (["words", "--split_name=x"], "remove --split_name"),
        (["two.npz"], "set --split_name to one"),
        (["words", "--context"], "remove --context"),
        (["words", "--build"], "--other_counts"),
        (["five.csv", "--build"], "fits none of"),
        (["five.csv", "--build", "--corpus=mosi"], "outside"),
    ],
)
def test_a_mistake_gets_one_line_and_exit_code_2(argv, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.pkl").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    make_words_folder(tmp_path / "words")
    two = {"split_a": ["train"] * 3, "split_b": ["test"] * 3}
    np.savez(tmp_path / "two.npz", id=["a_0", "b_0", "c_0"], text=["x"] * 3, label=[1.0] * 3, **two)
    rows = [f"v{k},0,x,{1 + k % 5}" for k in range(20)]
    (tmp_path / "five.csv").write_text("\n".join(["video_id,clip_id,text,label", *rows]))
    assert main(argv) == 2
    out, err = capsys.readouterr()
    assert err.count("\n") == 1
    assert err.startswith("msa_jax: ")
    assert message in err
    assert "config" not in err
    assert bool(out) is ("--build" in argv)  # what was found out is shown before it is refused


def test_names_out_of_a_file_cannot_steer_the_terminal(tmp_path, capsys):
    clips = [((["x"], np.full((1, 2), np.nan), np.ones((1, 2))), [[9.0]], f"\x1b[2J[bold]{k}_{'z' * 99}")
             for k in range(3)]  # fmt: skip
    path = tmp_path / "x.pkl"
    path.write_bytes(pickle.dumps(clips))
    assert main([str(path)]) == 0
    out = capsys.readouterr().out
    assert ANSI not in out
    assert r"\x1b[2J[bold]0_zzz" in out
    assert "z" * 40 not in out.partition("Next")[0]


def test_help_and_typos(capsys):
    for argv, code in ((["--help"], 0), ([], 2), (["x", "--jsn"], 2), (["x", "--corpus=mossi"], 2)):
        with pytest.raises(SystemExit) as end:
            main(argv)
        assert end.value.code == code
    out = capsys.readouterr().out
    assert "examples:" in out
    assert all(len(line) <= 80 for line in out.splitlines())


def test_as_a_module_into_a_pipe_that_closes(words_folder):
    command = f"'{sys.executable}' -m msa_jax.data '{words_folder}' | head -n 1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60)
    assert done.stdout == f"{words_folder}\n"
    assert done.stderr == ""
    assert done.returncode in (0, 1)  # whether the pipe was closed before the last line is a race


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["x.pkl", "--padding", "both"], r"argument --padding: invalid choice: 'both' \(choose from .*none"),
        ([], "the following arguments are required: PATH"),
        (["x.pkl", "--nope"], "unrecognized arguments: --nope"),
    ],
)
def test_an_option_that_is_wrong_gets_one_line(capsys, argv, says):
    with pytest.raises(SystemExit) as end:
        main(argv)
    (line,) = capsys.readouterr().err.splitlines()
    assert end.value.code == 2
    assert re.fullmatch(rf".*data: {says}.*; see .*data --help", line)
