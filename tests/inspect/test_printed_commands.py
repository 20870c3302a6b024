"""Commands that the inspector prints: each is run on the file that it was printed for."""

import csv
import functools
import pickle
import shlex

import h5py
import numpy as np
import pytest

from msa_jax.inspect.command import main as inspector
from msa_jax.main import main
from tests.data.small_files import (
    WRITERS,
    csv_file,
    hdf5_folder,
    mmsa,
    npz_file,
    words_folder,
    write,
    write_mmsa,
)

PROGRAM = "python -m msa_jax.main "
CLIPS = {"UR-FUNNY SDK pickles": 6, "CMU-MultimodalSDK .csd": 24, "no splits": 18}  # of the others 12
pytestmark = pytest.mark.filterwarnings("ignore:the correlation of a constant")


def _without_text(folder):
    path = hdf5_folder(folder)
    for file in path.glob("text_*"):
        file.unlink()
    return path


def _audio_alone(folder):
    path = _without_text(folder)
    for file in path.glob("video_*"):
        file.unlink()
    return path


def _without_words(folder):
    content = mmsa()
    for arrays in content.values():
        del arrays["raw_text"]
    return write(folder, pickle.dumps(content))


def _to_cut(folder):
    rows = [f"film{v},{k},a good film,{v / 4 - 1}" for v in range(9) for k in range(2)]
    return write(folder, "\n".join(["video_id,clip_id,text,label", *rows]).encode(), "my clips.csv")


TRAINABLE = {
    **{name: (make, ()) for name, make in WRITERS.items()},
    "UR-FUNNY SDK pickles": (WRITERS["UR-FUNNY SDK pickles"], ("--context",)),
    "no text": (_without_text, ()),
    "audio alone": (_audio_alone, ()),
    "MMSA without words": (_without_words, ()),
    "no splits": (_to_cut, ()),
    "one of two divisions": (
        functools.partial(npz_file, split_b=["train", "valid", "test"] * 4),
        ("--split_name=official",),
    ),
}


def _printed(capsys, path, *options):
    """The arguments of the commands under "Next"."""
    assert inspector([str(path), *options]) == 0
    following = capsys.readouterr().out.partition("\nNext\n")[2]
    lines = [line.strip() for line in following.splitlines() if line.strip().startswith(PROGRAM)]
    assert lines
    return [shlex.split(line.removeprefix(PROGRAM)) for line in lines]


def _train(capsys, arguments, folder):
    """Runs a printed training command, small and with folders of the test's own."""
    spec, *rest = arguments
    assert spec.startswith("--config=configs/")
    own = [f"--workdir={folder / 'run'}", f"--config.data.cache={folder / 'cache'}", "--config.epochs=1"]
    # "tiny" makes the encoder; one that a config names must be from scratch here, or features as printed.
    printed = [a for a in rest if a.startswith("--config.text.encoder=") and not a.endswith("=features")]
    assert main([f"{spec}:tiny", *(a for a in rest if a not in printed), *own]) == 0
    capsys.readouterr()
    return folder / "run"


def _scores(capsys, arguments, run):
    output = run / "scores.csv"
    placed = [a.replace("=RUN", f"={run}") for a in arguments]
    assert main([*placed, f"--output={output}"]) == 0
    capsys.readouterr()
    rows = list(csv.DictReader(output.read_text().splitlines()))
    assert all(np.isfinite(float(value)) for row in rows for key, value in row.items() if key != "id")
    return rows


@pytest.mark.parametrize("name", TRAINABLE)
def test_a_file_is_trained_on_and_scored_as_printed(untrained, tmp_path, capsys, name):
    make, options = TRAINABLE[name]
    path = make(tmp_path)
    (arguments,) = _printed(capsys, path, *options)
    run = _train(capsys, arguments, tmp_path)
    reading = [a for a in arguments if a.startswith(("--config.data.split_name", "--config.data.context"))]
    predict = ["--mode=predict", "--workdir=RUN", f"--config.data.path={path}", *reading]
    assert len(_scores(capsys, predict, run)) == CLIPS.get(name, 12)


def _marks(folder):
    return write(folder, b"video_id,clip_id,text,label\nv,0,good,?\nv,1,bad,?\n", "new.csv")


def _two_classes(folder):
    """Labels that nobody can take for one number."""
    path = hdf5_folder(folder)
    for file in path.glob("y_*.h5"):
        with h5py.File(file, "w") as opened:
            opened["d1"] = np.tile([[0.0, 1.0, 0.0]], (4, 1))
    return path


def _one_clip(folder):
    clip = {"raw_text": "a good film", "audio": np.ones((6, 3)), "vision": np.ones((5, 2))}
    return write(folder, pickle.dumps(clip), "clip.pkl")


def _alone(folder):
    path = words_folder(folder, ("train", "dev", "test"))
    return path / "test.pkl"


def _padded_words(folder, value=0.0):
    path = _alone(folder)
    clips = [list(clip) for clip in pickle.loads(path.read_bytes())]
    for clip in clips:
        index, *streams, words = clip[0]
        wide = [np.pad(x, ((9 - len(x), 0), (0, 0)), constant_values=value) for x in streams]
        clip[0] = (index, *wide, words)
    return write(folder, pickle.dumps(clips), "padded.pkl")


def test_no_command_is_printed_that_would_refuse_the_clips(tmp_path, capsys):
    path = _padded_words(tmp_path, value=7.0)
    assert inspector([str(path)]) == 0
    said = capsys.readouterr().out
    assert PROGRAM not in said
    assert "none found" not in said
    for stream in ("audio", "vision"):
        assert f"4 clips whose rows of {stream} do not match their words or tokens" in " ".join(said.split())
    assert inspector([str(path), "--padding=front"]) == 0
    assert "--mode=predict" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("trained_on", "make", "clips"),
    [
        (csv_file, _marks, 2),
        (_without_text, _two_classes, 12),
        (write_mmsa, _one_clip, 1),
        (write_mmsa, _alone, 4),
        (write_mmsa, _padded_words, 4),
    ],
)
def test_a_file_that_cannot_be_trained_on_is_scored_as_printed(
    untrained, tmp_path, capsys, trained_on, make, clips
):
    (arguments,) = _printed(capsys, trained_on(tmp_path))
    run = _train(capsys, arguments, tmp_path)
    (tmp_path / "new").mkdir()
    path = make(tmp_path / "new")
    commands = _printed(capsys, path)
    (predict,) = [command for command in commands if "--mode=predict" in command]
    rows = _scores(capsys, predict, run)
    assert len(rows) == clips
    if make is _one_clip:
        assert rows[0]["id"] == "clip"
