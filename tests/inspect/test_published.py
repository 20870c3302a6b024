"""Published files of MMSA: a file is told by its content, and a name alone is not believed."""

import hashlib
import json

import pytest

from msa_jax.inspect import published
from msa_jax.inspect.command import main
from tests.conftest import make_words_folder
from tests.data.small_files import write_mmsa


def told(path, capsys, *more):
    assert main([str(path), "--json", *more]) == 0
    found = json.loads(capsys.readouterr().out)
    assert main([str(path), *more]) == 0
    return found["published"], " ".join(capsys.readouterr().out.split())


def test_the_five_are_those_of_mmsa():
    assert len(published.FILES) == len(set(published.FILES.values())) == 5
    assert sorted(published.NAMES) == ["aligned_50.pkl", "unaligned_39.pkl", "unaligned_50.pkl"]
    for value in published.FILES.values():
        assert len(bytes.fromhex(value)) == 32
    assert published.FILES["MOSI/Processed/aligned_50.pkl"].startswith("d3994fd2")
    assert published.FILES["MOSI/Processed/unaligned_50.pkl"].startswith("78e0f8b5")
    assert published.FILES["MOSEI/Processed/aligned_50.pkl"].startswith("45eccfb7")
    assert published.FILES["MOSEI/Processed/unaligned_50.pkl"].startswith("ad8b23d5")
    assert published.FILES["SIMS/Processed/unaligned_39.pkl"].startswith("c9e20c13")


def test_a_published_file_is_known_under_any_name(tmp_path, capsys, monkeypatch):
    path = write_mmsa(tmp_path, name="mine.pkl")
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    monkeypatch.setitem(published.FILES, "SIMS/Processed/unaligned_39.pkl", sha256)
    facts, text = told(path, capsys)
    assert facts == {"sha256": sha256, "same_as": "SIMS/Processed/unaligned_39.pkl", "named_as": []}
    assert "the file that MMSA published as SIMS/Processed/unaligned_39.pkl, by its SHA-256" in text


@pytest.mark.parametrize(
    ("corpus", "names"),
    [
        ("mosei", ["MOSEI/Processed/unaligned_50.pkl"]),
        ("mosi", ["MOSI/Processed/unaligned_50.pkl"]),
        ("sims", ["MOSI/Processed/unaligned_50.pkl", "MOSEI/Processed/unaligned_50.pkl"]),
    ],
)
def test_a_file_of_a_published_name_with_other_content_is_said_to_differ(tmp_path, capsys, corpus, names):
    path = write_mmsa(tmp_path, name="unaligned_50.pkl")
    facts, text = told(path, capsys, f"--corpus={corpus}")
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    assert facts == {"sha256": sha256, "same_as": None, "named_as": names}
    assert f"has the name of MMSA's {' and '.join(names)}, but other content" in text


def test_another_mmsa_file_has_its_hash_and_no_sentence(tmp_path, capsys):
    path = write_mmsa(tmp_path)
    facts, text = told(path, capsys)
    assert facts["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert facts["same_as"] is None
    assert "SHA-256" not in text
    assert "other content" not in text


def test_the_name_alone_is_not_believed_in_another_format(tmp_path, capsys):
    words = make_words_folder(tmp_path / "words") / "train.pkl"
    path = words.rename(tmp_path / "aligned_50.pkl")
    facts, text = told(path, capsys)
    assert facts["named_as"] == ["MOSI/Processed/aligned_50.pkl"]
    assert "has the name of MMSA's MOSI/Processed/aligned_50.pkl, but other content" in text


def test_other_files_are_not_hashed(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(published, "compare", pytest.fail)
    facts, _ = told(make_words_folder(tmp_path / "words"), capsys)
    assert facts is None
