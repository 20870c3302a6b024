"""What the inspector says of a file's conventions, and the options that say otherwise."""

import pickle
import shlex

import numpy as np
import pytest

from msa_jax.data import readers
from msa_jax.errors import UserError
from msa_jax.inspect.command import main


@pytest.fixture
def words(tmp_path):
    """A words pickle in Python 2's manner: GBK, ids that tell no video, streams without zeros beside them."""
    rng = np.random.default_rng(0)
    clips = []
    for k in range(40):
        text = [word.encode("gbk") for word in ("这部", "电影", "很好" if k % 2 else "太差")]
        parts = ([], rng.normal(size=(6, 2)), rng.normal(size=(5, 3)), text, 3, 2)
        clips.append((parts, [[float(k % 7 - 3)]], f"{k}film{k // 4:02d}x".encode()))
    path = tmp_path / "words.pkl"
    path.write_bytes(pickle.dumps(clips, protocol=2))
    return path


def test_each_convention_is_said_with_its_evidence(words, capsys):
    assert main([str(words)]) == 2  # its rows go on beyond the lengths, and none of them are zeros
    assert "padding=front or behind" in capsys.readouterr().err
    assert main([str(words), "--padding=front"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "padding: in front, as you said" in out
    assert "text encoding: GB18030 (8 of 8 Chinese characters are common)" in out
    assert (
        "videos: could not be told from the ids (40 ids, the first is 0film00x), each clip counts as one"
        in out
    )
    assert "say --video_id=REGEX" in out


def test_what_is_said_reaches_the_reader_and_the_command(words, capsys):
    said = ["--video_id", r"\d+(film\d+)x", "--padding", "behind", "--encoding", "gbk"]
    assert main([str(words), *said]) == 0
    out = capsys.readouterr().out
    folded = " ".join(out.split())
    assert "padding: behind, as you said" in folded
    assert "text encoding: gbk, as you said" in folded
    assert "videos: as you said (40 of 40 ids, 10 videos)" in folded
    (command,) = (line for line in out.splitlines() if "msa_jax.main" in line)
    keys = dict(part.split("=", 1) for part in shlex.split(command) if part.startswith("--config.data."))
    assert keys["--config.data.video_id"] == r"\d+(film\d+)x"
    assert (keys["--config.data.padding"], keys["--config.data.encoding"]) == ("behind", "gbk")


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (["--encoding=klingon"], "'klingon' is not a text encoding"),
        (["--video_id=film"], "--video_id: 'film' has 0 groups"),
        (["--video_id=(clip)"], "finds no video in 40 of 40 ids"),
    ],
)
def test_a_wrong_word_is_one_line(words, capsys, option, message):
    assert main([str(words), *option]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) == 1


def test_a_format_without_a_choice_says_so(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text("video_id,clip_id,text,label\nv,0,good,1\n")
    for key, value in (("padding", "front"), ("video_id", "(.)")):
        with pytest.raises(UserError, match=rf"leaves no choice here; remove data\.{key}"):
            readers.read(path, **{key: value})
