"""CSV files of texts and labels."""

import math
from pathlib import Path

import numpy as np
import pytest

from msa_jax.data import readers
from msa_jax.data.readers import csv_text
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
        *(
            (f"v,2,x,{x},train\n", f"line 3: label '{x}' is not a number; write it as in -1 or 0.5")
            for x in ("1_000", "inf", "-Infinity", "nan", "1e999", "１", "0x1", "True")
        ),
        ('v,2,x,"0,5",train\n', "line 3: label '0,5' is not a number; write it as in -1 or 0.5"),
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


def test_the_file_is_read_and_decoded_once(tmp_path, monkeypatch):
    calls = []
    whole, decoded = Path.read_bytes, csv_text._decoded
    monkeypatch.setattr(Path, "read_bytes", lambda path: calls.append("read") or whole(path))
    monkeypatch.setattr(csv_text, "_decoded", lambda *given: calls.append("decoded") or decoded(*given))
    path = tmp_path / "a.csv"
    path.write_bytes("video_id,clip_id,text,label\na,1,café,1\n".encode("latin-1"))
    reading = csv_text.reader(path, "a.csv", True)
    for _ in range(2):  # it may be iterated again
        assert [example.text for example in reading.examples()] == ["café"]
    assert calls == ["read", "decoded"]


@pytest.mark.parametrize("sign", [";", "\t", "|"])
def test_columns_divided_by_another_sign(tmp_path, sign):
    rows = [
        ["video_id", "clip_id", "text", "label", "mode"],
        ["v", "1", "good, very", "0.5", "train"],
        ["v", "2", f'"a{sign}b"', "-1e-1", "test"],
    ]
    path = tmp_path / "clips"
    path.write_text("".join(sign.join(row) + "\n" for row in rows))
    source = readers.read(path)
    clips = [(clip.id, clip.text, clip.label, clip.split) for clip in source]
    second = " ".join(f"a{sign}b".split())
    assert clips == [("v_1", "good, very", 0.5, "train"), ("v_2", second, -0.1, "test")]
    named = {";": "semicolons", "\t": "tabs", "|": "vertical bars"}[sign]
    assert f"the columns are divided by {named}" in source.reading.notes[0]


def test_a_decimal_comma_where_semicolons_divide(tmp_path):
    head = "video_id;clip_id;text;label;label_T\n"
    clips = _read(tmp_path, head + "v;1;good;0,5;-0,25\nv;2;a, b;-1;2\n")
    assert [clip.label for clip in clips] == [0.5, -1.0]
    np.testing.assert_array_equal(clips[0].unimodal_labels, [-0.25, np.nan, np.nan])
    with pytest.raises(
        UserError, match="line 2: 6 fields under 5 columns; put texts with semicolons in double"
    ):
        _read(tmp_path, head + "v;1;good;film;0,5;1\n")
    with pytest.raises(UserError, match="not fields divided by semicolons"):
        _read(tmp_path, head + 'v;1;"good;0,5;1\n')


def test_labels_by_modality_of_ch_sims(tmp_path):
    head = "video_id,clip_id,text,label,label_T,label_A,label_V,annotation,mode\n"
    text = head + "v,0001,好,0.2,0.4,-0.6,0.8,Positive,train\nv,0002,坏,-1,,0,-1,Negative,test\n"
    clips = _read(tmp_path, text)
    np.testing.assert_array_equal([c.unimodal_labels for c in clips], [[0.4, -0.6, 0.8], [np.nan, 0, -1]])
    assert [clip.label for clip in clips] == [0.2, -1.0]
    assert clips[0].unimodal_labels.dtype == np.float64
    with pytest.raises(UserError, match=r"line 2: label_a '-0\.6x' is not a number"):
        _read(tmp_path, text.replace("-0.6", "-0.6x"))
    scored = _read(tmp_path, text.replace("-0.6", "?"), require_labels=False)[0]
    np.testing.assert_array_equal(scored.unimodal_labels, [0.4, np.nan, 0.8])
    (plain,) = _read(tmp_path, "video_id,clip_id,text,label\nv,1,a b,0.5\n")
    assert plain.unimodal_labels.shape == (0,)


@pytest.mark.parametrize("name", ["label", "text", "video_id", "Clip_ID", "split", "label_T", "fold"])
def test_two_columns_of_one_name_are_refused(tmp_path, name):
    columns = ["video_id", "clip_id", "text", "label", "split", "label_T", "fold", f" {name.upper()}"]
    text = ",".join(columns) + "\nv,1,good,0.5,train,1,train,-1\n"
    place = [column.lower() for column in columns].index(name.lower()) + 1
    message = rf"2 columns are called '{name.lower()}' \(columns {place} and 8, .*; rename or remove"
    with pytest.raises(UserError, match=message):
        _read(tmp_path, text, split_name="fold" if name == "fold" else "split")
    assert _read(tmp_path, text.replace(f" {name.upper()}", "fold"), split_name="split")[0].label == 0.5


def test_what_is_not_read_may_be_there_twice(tmp_path):
    text = "text,label,label,note,note,mode,mode,split\ngood,1,2,a,b,x,y,train\n"
    (clip,) = _read(tmp_path, text, require_labels=None, split_name="split")
    assert (clip.text, clip.split) == ("good", "train")


def _notes(tmp_path, text, **options):
    path = tmp_path / "clips"
    path.write_text(text)
    return readers.read(path, **options).reading.notes


@pytest.mark.parametrize(
    ("header", "options", "said"),
    [
        (
            "video_id,clip_id,text,label,label_T,label_A,label_V,annotation,mode",
            {},
            "1 column is not read: annotation",
        ),
        (
            "Label_By,video_id,clip_id,text,label,,Annotation",
            {},
            "3 columns are not read: label_by, number 6, annot",
        ),
        ("video_id,clip_id,text,label,split,mode", {"split_name": "mode"}, "1 column is not read: split"),
        (
            "video_id,text,label",
            {"require_labels": False},
            "1 column is not read: video_id",
        ),  # of no use alone
        ("video_id,clip_id,text,label,split", {}, ""),
        ("video_id,clip_id,text,label", {"require_labels": None}, ""),
    ],
)
def test_columns_that_are_not_read_are_named(tmp_path, header, options, said):
    notes = _notes(tmp_path, header + "\n", **options)
    assert len(notes) == bool(said)
    assert said in "".join(notes)


@pytest.mark.skipif(not REAL.exists(), reason="needs the real MOSI labels in ../shared")
def test_real_labels():
    clips = list(readers.read(REAL))
    counts = [sum(clip.split == split for clip in clips) for split in ("train", "valid", "test")]
    assert counts == [1284, 229, 686]
    assert len({clip.id for clip in clips}) == 2199
    assert len({clip.video for clip in clips}) == 93
    assert all(-3 <= clip.label <= 3 and clip.text for clip in clips)
