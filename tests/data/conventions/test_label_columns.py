"""Label columns: one layout in every container, type of number and format; read equal, or refused by name."""

import json
import re

import numpy as np
import pytest

from msa_jax.corpora import CORPORA
from msa_jax.data import __main__ as inspector
from msa_jax.data import checks, datasets, readers
from msa_jax.data.conventions import Said, label_columns
from msa_jax.data.splits import Cut
from msa_jax.errors import UserError
from tests.data.conventions.clips import clips
from tests.data.conventions.label_files import (
    TYPED,
    WORDLESS,
    WRITERS,
    by_split,
    containers,
    emotions,
    mosei,
)

CLIPS = clips()[30:]  # thirty, of ten videos; some in each split
SCORES = np.array([clip.label for clip in CLIPS])
EMOTIONS = emotions(len(CLIPS))
CLASSES = EMOTIONS[:, 0]
PAIRS = np.eye(2)[CLASSES.astype(int)]
TRAITS = 1 + (np.arange(17 * len(CLIPS)).reshape(-1, 17) * 7 % 25) / 4
MEND = r"say which column counts by --config\.data\.label_column=K, from 0 \(in Python: label_column=K\)$"
UNDIVIDED = ("CMU-MultimodalSDK .csd", "utterance .npz")  # in the order of the clips


def _read(path, name, **said):
    source = readers.read(path, text_features=name in WORDLESS, **said)
    assert source.format == name
    return source, np.array([clip.label for clip in source])


def _in_order(name, labels):
    """The labels in the order of the file."""
    return labels if name in UNDIVIDED else labels[np.concatenate(list(by_split(CLIPS).values()))]


def _each(tmp_path, name, labels):
    """(what it is called, the file) for every container that the format can hold."""
    for number, (called, held) in enumerate(containers(labels).items()):
        if called != "?" or name not in TYPED:
            folder = tmp_path / str(number)
            folder.mkdir()
            yield called, WRITERS[name](folder, CLIPS, held)


def _write(tmp_path, name, labels):
    return WRITERS[name](tmp_path, CLIPS, labels)


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize(
    ("labels", "said", "least"),
    [
        (SCORES, None, 7),
        (CLASSES, None, 10),
        (mosei(SCORES), "the first of 7 columns, CMU-MOSEI's sentiment: 0 in [", 7),
        (EMOTIONS, "4 columns of 0 and 1, IEMOCAP's: happy, sad, angry and neutral, each or not", 10),
    ],
    ids=["scores", "classes", "CMU-MOSEI", "IEMOCAP"],
)
def test_a_layout_that_is_known_is_read_from_every_container(tmp_path, name, labels, said, least):
    expected = _in_order(name, labels[:, 0] if np.ndim(labels) == 2 and labels.shape[1] == 7 else labels)
    if name == "MulT pickle" and expected.ndim == 2:
        expected = expected[:, [1, 2, 3, 0]]  # its files have neutral first
    read = 0
    for called, path in _each(tmp_path, name, labels):
        source, found = _read(path, name)
        np.testing.assert_array_equal(found, expected, err_msg=called)
        decided = source.reading.conventions.get("labels")
        assert decided is None if said is None else decided.startswith(said)
        read += 1
    assert read >= least


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize(
    ("labels", "line"),
    [
        (
            PAIRS,
            r"the labels have 2 columns \(0 to 1 in \[0, 1\]\), one class a clip: write the class, not a "
            "pair, or ",
        ),
        (TRAITS, r"the labels have 17 columns \(.*\), and nothing tells which one is the label; "),
        (
            mosei(SCORES) * 2,
            r"7 columns \(0 in \[-.*, 1 to 6 in .*, and nothing tells which one is the label; ",
        ),
        (
            mosei(np.abs(SCORES)),
            r"the labels have 7 columns \(.*, and nothing tells which one is the label; ",
        ),
        (
            np.eye(7)[np.arange(len(CLIPS)) % 7],
            "one class a clip: write the class, not one column a class, or ",
        ),
        (EMOTIONS * 2, r"4 columns \(0 to 3 in \[0, 2\]\), and nothing tells which one is the label; "),
        (
            np.stack([SCORES, SCORES], 1),
            r"2 columns \(0 to 1 in \[.*\]\), and nothing tells which one is the label; ",
        ),
    ],
    ids=["pairs", "17 traits", "7, wider", "7 emotions", "7 classes", "4 of another kind", "two scores"],
)
def test_others_are_refused_until_the_user_says_the_column(tmp_path, name, labels, line):
    path = _write(tmp_path, name, labels)
    with pytest.raises(UserError, match=line + MEND) as error:
        readers.read(path, text_features=name in WORDLESS)
    assert str(error.value).startswith(str(tmp_path))
    assert "\n" not in str(error.value)
    last = labels.shape[1] - 1
    source, found = _read(path, name, label_column=last)
    np.testing.assert_array_equal(found, _in_order(name, labels[:, last]))
    assert source.reading.conventions["labels"] == f"column {last} of {last + 1}, as you said"
    with pytest.raises(
        UserError, match=rf"data\.label_column is {last + 1}, but the file has {last + 1} columns"
    ):
        readers.read(path, text_features=name in WORDLESS, label_column=last + 1)


@pytest.mark.parametrize("name", [name for name in WRITERS if name not in TYPED])
def test_texts_that_are_numbers_are_numbers(tmp_path, name):
    _, found = _read(_write(tmp_path, name, [str(score) for score in SCORES]), name)
    np.testing.assert_array_equal(found, _in_order(name, SCORES))


@pytest.mark.parametrize("name", [name for name in WRITERS if name not in TYPED])
@pytest.mark.parametrize("value", ["good", b"1,5", ""])
def test_a_label_that_is_not_a_number_is_named_with_its_clip(tmp_path, name, value):
    texts = [str(score) for score in SCORES]
    texts[4] = value.decode() if name == "utterance .npz" and isinstance(value, bytes) else value
    numbers = CLIPS[4].video, CLIPS[4].number
    forms = {"UR-FUNNY SDK pickles": "4", "MulT pickle": "4", "MMSA pickle": "film_{}$_${}"}
    clip = re.escape(forms.get(name, "film_{}_{}").format(*numbers))
    with pytest.raises(
        UserError, match=rf"clip {clip} has {re.escape(repr(texts[4]))}, which is not a number"
    ):
        readers.read(_write(tmp_path, name, texts), text_features=name in WORDLESS)


def test_complex_numbers_are_named_with_their_clip(tmp_path):
    labels = SCORES.astype(complex)
    with pytest.raises(UserError, match=r"clip film_10_0 has the complex number .*, which is not a number"):
        readers.read(_write(tmp_path, "utterance .npz", labels))


@pytest.mark.parametrize("name", WRITERS)
def test_no_label_is_nan_whatever_the_columns(tmp_path, name):
    labels = mosei(SCORES)
    labels[2] = np.nan
    labels[5, 3] = np.nan  # an emotion that is not known
    _, found = _read(_write(tmp_path, name, labels), name)
    np.testing.assert_array_equal(found, _in_order(name, labels[:, 0]))


def test_infinite_labels_are_no_sentiment():
    labels = mosei(SCORES)
    labels[5, 0] = np.inf
    with pytest.raises(UserError, match=r"7 columns \(0 in \[-.*, inf\]"):
        label_columns.decide({"train": labels}, asked=None, where="x")


def test_few_clips_need_no_negative_sentiment():
    few = mosei(np.abs(SCORES))[:5]
    assert label_columns.decide({"train": few}, asked=None, where="x").taken == 0


def test_clips_without_any_label():
    nothing = np.full((3, 17), np.nan)
    assert label_columns.decide({"train": nothing[:, :7]}, asked=None, where="x").taken == 0
    assert label_columns.decide({"train": nothing[:, :4]}, asked=None, where="x").taken is None
    with pytest.raises(
        UserError, match=r"17 columns \(0 to 16 empty\), and nothing tells which one is the label"
    ):
        label_columns.decide({"train": nothing}, asked=None, where="x")


def test_clips_that_differ_in_their_number_of_labels(tmp_path):
    labels = [[score] for score in SCORES]
    labels[7] = [1.0, 2.0]
    with pytest.raises(UserError, match=r"clip film_12_1 has 2 numbers, and clip film_10_0 has 1$"):
        readers.read(_write(tmp_path, "words pickle", labels))


@pytest.mark.parametrize("value", [-1, 1.0, True, "0"])
def test_what_is_not_a_column_is_refused(value):
    with pytest.raises(UserError, match=r"data\.label_column: .* is not a column; count them 0, 1, 2"):
        Said(label_column=value)


def _survey(labels):
    source = [clip for clip in readers.read(labels, text_features=True)]
    return checks.survey(source)


def test_two_classes_of_minus_one_and_one_get_the_mend(tmp_path):
    path = _write(tmp_path, "MulT pickle", 2 * CLASSES - 1)
    below = int(np.sum(CLASSES == 0))
    lines = checks.problems(_survey(path), CORPORA["ur_funny"])
    (line,) = (line for line in lines if "labels are" in line)
    assert line.startswith(f"{below} labels are -1, and the others 1 (write -1 as 0): ")
    path = _write(tmp_path, "MulT pickle", np.where(np.arange(len(CLIPS)) == 3, 2, 2 * CLASSES - 1))
    lines = checks.problems(_survey(path), CORPORA["ur_funny"])
    assert any("labels are neither 0 nor 1" in line for line in lines)


def test_the_inspector_does_not_take_two_classes_for_scores(tmp_path, capsys):
    path = _write(tmp_path, "MulT pickle", 2 * CLASSES - 1)
    assert inspector.main([str(path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["corpus"] is None
    assert "all labels are -1 or 1, two classes; write -1 as 0" in found["refusal"]


def test_the_inspector_has_an_option_for_the_column(tmp_path, capsys):
    path = _write(tmp_path, "MMSA pickle", np.stack([SCORES, SCORES / 3], 1))
    assert inspector.main([str(path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert "say which column counts by --label_column=K, from 0" in found["refusal"]
    assert found["labelled"] == 0
    assert inspector.main([str(path), "--label_column=0", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["conventions"]["labels"] == "column 0 of 2, as you said"
    assert found["label_range"] == [SCORES.min(), SCORES.max()]
    assert "--config.data.label_column=0" in found["next"]


def test_builds_of_two_columns_are_two_and_keep_what_was_decided(tmp_path):
    path = _write(tmp_path, "MMSA pickle", np.stack([SCORES, SCORES / 3], 1))
    options = {"cache": tmp_path / "cache", "cut": Cut(), "other_counts": True}
    first, second = (datasets.load("mosi", path, label_column=k, **options) for k in (0, 1))
    assert first.folder != second.folder
    assert second.conventions["labels"] == "column 1 of 2, as you said"
    label = first.split("train")[0]["label"]
    assert label == SCORES[0]
    np.testing.assert_allclose(second.split("train")[0]["label"], label / 3)
