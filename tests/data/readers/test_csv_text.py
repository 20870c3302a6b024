"""CSV files of texts and labels."""

import math
from pathlib import Path

import pytest

from msa_jax.data import readers
from msa_jax.errors import UserError

REAL = Path(__file__).resolve().parents[4] / "shared" / "data" / "mosi" / "mosi_text_labels.csv"


def _read(tmp_path, text, encoding="utf-8", **options):
    path = tmp_path / "clips"
    path.write_bytes(text.encode(encoding))
    return list(readers.read(path, **options))


def test_columns_in_any_order_with_quotes_and_mark(tmp_path):
    clips = _read(
        tmp_path,
        'Label, extra,TEXT,clip_id,video_id,Mode\r\n1.5,x,"so,  ""good""\n here",007,v_1,Train\r\n'
        "\r\n-3,y,NA,8,v_1,DEV\r\n0,z,ü,9,null,test\r\n",
        "utf-8-sig",
    )
    assert [clip.id for clip in clips] == ["v_1_007", "v_1_8", "null_9"]
    assert [clip.video for clip in clips] == ["v_1", "v_1", "null"]
    assert [clip.split for clip in clips] == ["train", "valid", "test"]
    assert [clip.text for clip in clips] == ['so, "good" here', "NA", "ü"]
    assert [clip.label for clip in clips] == [1.5, -3.0, 0.0]
    assert all(clip.audio.shape == clip.vision.shape == (0, 0) and not clip.aligned for clip in clips)


def test_no_split_column(tmp_path):
    (clip,) = _read(tmp_path, "video_id,clip_id,text,label\nv,1,a b,0.5\n")
    assert clip.split == ""
    assert clip.label == 0.5


def test_both_split_columns_need_a_choice(tmp_path):
    text = "video_id,clip_id,text,label,split,mode\nv,1,a,0,train,test\n"
    with pytest.raises(
        UserError, match=r"both split and mode divide the clips; set --config\.data\.split_name"
    ):
        _read(tmp_path, text)
    assert _read(tmp_path, text, split_name="mode")[0].split == "test"
    with pytest.raises(UserError, match="split_name is 'fold', but the columns are"):
        _read(tmp_path, text, split_name="fold")


def test_without_labels(tmp_path):
    text = "video_id,clip_id,text\nv,1,a\n"
    (clip,) = _read(tmp_path, text, require_labels=False)
    assert clip.id == "v_1"
    assert math.isnan(clip.label)
    with pytest.raises(UserError, match="no column label in the CSV"):
        _read(tmp_path, text)


def test_texts_alone_are_named_by_row(tmp_path):
    clips = _read(tmp_path, "text\nfirst one\n\nsecond\n", require_labels=False)
    assert [(clip.id, clip.text) for clip in clips] == [("1", "first one"), ("2", "second")]
    with pytest.raises(UserError, match="no column video_id, clip_id, label"):
        _read(tmp_path, "text\nfirst one\n")


def test_empty_label_when_predicting(tmp_path):
    (clip,) = _read(tmp_path, "video_id,clip_id,text,label\nv,1,a,\n", require_labels=False)
    assert math.isnan(clip.label)


HEAD = "video_id,clip_id,text,label,split\nv,1,fine,0,train\n"


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ('v,2,"two\nlines",1,train\nv,3,x,high,train\n', "line 5: label 'high' is not a number"),
        ("v,2,x,,train\n", "line 3: label '' is not a number"),
        ("v,2,x,1,holdout\n", "line 3: split 'holdout' is none of train, valid"),
        ("v,2,a, b,1,train\n", "line 3: 6 fields under 5 columns.*double quotes"),
        ("v,2,x,1\n", "line 3: 4 fields under 5 columns"),
        ('v,2,"x,1,train\n', "row from line 3: not comma-separated fields"),
    ],
)
def test_bad_rows(tmp_path, rows, message):
    with pytest.raises(UserError, match=message) as error:
        _read(tmp_path, HEAD + rows)
    assert "clips" in str(error.value)
    assert "\n" not in str(error.value)


def test_one_letter_of_latin_1_far_behind_the_first_line(tmp_path):
    clips = _read(tmp_path, HEAD + "v,2," + "x" * 100000 + "é,1,train\n", "latin1")
    assert clips[-1].text == "x" * 100000 + "é"


@pytest.mark.skipif(not REAL.exists(), reason="needs the real MOSI labels in ../shared")
def test_real_labels():
    clips = list(readers.read(REAL))
    counts = [sum(clip.split == split for clip in clips) for split in ("train", "valid", "test")]
    assert counts == [1284, 229, 686]
    assert len({clip.id for clip in clips}) == 2199
    assert len({clip.video for clip in clips}) == 93
    assert all(-3 <= clip.label <= 3 and clip.text for clip in clips)
