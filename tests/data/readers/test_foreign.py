"""Files that hold no features: failed downloads, media and archives, each named with what to do."""

import io
import json
import shutil
import subprocess
import sys
import tarfile
import wave
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest

from msa_jax.data import readers
from msa_jax.data.readers import foreign
from msa_jax.errors import UserError
from msa_jax.inspect.command import main as inspector
from tests.data.small_files import csd_folder, hdf5_folder, ur_funny_folder, words_folder

SHARED = Path(__file__).resolve().parents[4] / "shared"
NAMES = ("x.pkl", "x.csd", "x.h5", "x.npz", "x.csv")
PAGE = b"<!DOCTYPE html>\n<html><head><title>Virus scan\n warning</title></head><body>a,text,b</body></html>"
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 374212345\n"
FAILED = {
    "page": (PAGE, r"a web page \(Virus scan warning\), so that its download failed; download it again"),
    "page with a header's words": (PAGE.replace(b"\n", b" "), "a web page"),
    "page behind a mark": (b"\xef\xbb\xbf\n  " + PAGE, "a web page"),
    "XML": (b'<?xml version="1.0"?><Error><Message>Access denied</Message></Error>', r"\(Access denied\)"),
    "pointer": (POINTER, "a Git LFS pointer.*`git lfs pull`"),
    "annex": (b"../../.git/annex/objects/x/y/SHA256E-s1--00.pkl\n", "a git-annex pointer"),
    "zeros": (bytes(100_000), "nothing but zeros, so that its download failed"),
    "JSON": (b'{"error": {"code": 404, "message": "not found"}}', r"message in JSON \(\{.*download it again"),
    "long JSON": (json.dumps({"clips": [0.5] * 9999}).encode(), "the file is JSON; save the features"),
    "404": (b"404: Not Found", r"a short text \(404: Not Found\), so that its download failed"),
    "a word": (b"Access denied\n", "a short text"),
}  # fmt: skip


@pytest.mark.parametrize("codec", ["utf-32", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_text_in_utf32_is_named(tmp_path, codec, mark):
    text = mark + "video_id,clip_id,text,label\nv,0,这部电影,0.5\n"
    (tmp_path / "x.csv").write_bytes(text.encode(codec))
    with pytest.raises(UserError, match=r"x\.csv: the file is text in UTF-32, which is not read; save it as"):
        readers.read(tmp_path / "x.csv")
    (tmp_path / "x.csv").write_bytes(text.encode("utf-16"))
    assert [clip.text for clip in readers.read(tmp_path / "x.csv")] == ["这部电影"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", FAILED)
def test_a_failed_download_is_named_as_one(tmp_path, kind, name):
    raw, message = FAILED[kind]
    (tmp_path / name).write_bytes(raw)
    with pytest.raises(UserError, match=message) as error:
        readers.read(tmp_path / name)
    assert str(error.value).startswith(f"{tmp_path / name}: ")
    assert str(error.value).isprintable()
    assert (tmp_path / name).read_bytes() == raw


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (words_folder, "dev.pkl"),
        (hdf5_folder, "audio_valid.h5"),
        (csd_folder, "CMU_MOSI_COVAREP.csd"),
        (ur_funny_folder, "covarep_features_sdk.pkl"),
    ],
)
@pytest.mark.parametrize("kind", ["page", "pointer", "zeros", "404"])
def test_one_file_of_a_folder_is_named_too(tmp_path, make, name, kind):
    folder = make(tmp_path)
    raw, message = FAILED[kind]
    (folder / name).write_bytes(raw)
    with pytest.raises(UserError, match=message) as error:
        readers.read(folder, text_features=None)
    assert str(error.value).startswith(f"{folder / name}: ")


@pytest.mark.parametrize("name", ["x.pkl", "x.npz", "x.h5"])
def test_a_file_cut_short_is_to_be_downloaded_again(tmp_path, name):
    path = tmp_path / name
    if name == "x.h5":
        with h5py.File(path, "w") as file:
            file["d1"] = np.ones((9, 9, 9))
    else:
        np.savez(tmp_path / "x.npz", id=["v_0"] * 99, text=["a"] * 99)
        if name == "x.pkl":
            path.write_bytes(b"\x80\x04\x95" + bytes(50))
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(UserError, match=r"(truncated|damaged).*(copy or download|download)"):
        readers.read(path)


def _wav():
    raw = io.BytesIO()
    with wave.open(raw, "wb") as file:
        file.setparams((1, 2, 16000, 0, "NONE", ""))
        file.writeframes(bytes(320))
    return raw.getvalue()


MEDIA = {
    "a sound (WAV)": _wav(),
    "a video (AVI)": b"RIFF\x24\x00\x00\x00AVI LIST" + bytes(40),
    "a picture (WebP)": b"RIFF\x24\x00\x00\x00WEBPVP8 ",
    "a video or sound (MP4)": b"\x00\x00\x00\x20ftypisom" + bytes(40),
    "a video (Matroska or WebM)": b"\x1aE\xdf\xa3\x01\x00",
    "a sound (FLAC)": b"fLaC\x00\x00\x00\x22" + bytes(34),
    "a sound (MP3)": b"ID3\x04\x00\x00\x00\x00\x00\x21" + bytes(40),
    "a sound or video (Ogg)": b"OggS\x00\x02" + bytes(40),
    "a picture (PNG)": b"\x89PNG\r\n\x1a\n" + bytes(40),
    "a picture (JPEG)": b"\xff\xd8\xff\xe0\x00\x10JFIF\x00",
    "a picture (GIF)": b"GIF89a\x01\x00",
    "a picture (BMP)": b"BM\x3a\x00\x00\x00\x00\x00\x00\x00\x36\x00",
}


@pytest.mark.parametrize("name", ["clip", "clip.pkl"])
@pytest.mark.parametrize("kind", MEDIA)
def test_media_need_features_first(tmp_path, kind, name):
    (tmp_path / name).write_bytes(MEDIA[kind])
    with pytest.raises(UserError, match=r"features must be extracted first.*MMSA-FET") as error:
        readers.read(tmp_path / name)
    assert f"the file is {kind}, not features" in str(error.value)


def test_a_folder_of_media(tmp_path, capsys):
    for name, kind in (("v1/0.mp4", "a video or sound (MP4)"), ("v1/1.wav", "a sound (WAV)")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(MEDIA[kind])
    (tmp_path / "readme.txt").write_text("clips")
    assert foreign.media(tmp_path) == ["v1/0.mp4", "v1/1.wav"]
    assert inspector([str(tmp_path)]) == 2
    line = capsys.readouterr().err
    assert f"{tmp_path}: the folder holds videos, sounds or pictures (v1/0.mp4, v1/1.wav)" in line
    assert "features must be extracted first" in line


@pytest.mark.skipif(not (SHARED / "data/media").exists(), reason="needs the real media in ../shared")
def test_real_media():
    for path in (SHARED / "data/media", *(SHARED / "data/media").iterdir()):
        with pytest.raises(UserError, match="features must be extracted first"):
            readers.read(path)


@pytest.mark.parametrize(
    ("magic", "message"),
    [
        (b"%PDF-1.7", "a PDF"),
        (b"\x93NUMPY\x01\x00", r"a single NumPy array \(\.npy\); save it together"),
        (b"MATLAB 5.0 MAT-file, Platform", r"a MATLAB file.*scipy\.io\.loadmat"),
        (b"MATLAB 7.3 MAT-file, Platform", "a MATLAB file.*h5py, reverse the axes"),
        (b"PAR1\x15\x04", "Parquet"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1", "Excel or Word"),
        (b"\x28\xb5\x2f\xfd\x04", "compressed by zstd"),
        (b"7z\xbc\xaf\x27\x1c", "compressed by 7-Zip"),
    ],
)
def test_other_kinds(tmp_path, magic, message):
    (tmp_path / "x").write_bytes(magic + bytes(600))
    with pytest.raises(UserError, match=message):
        readers.read(tmp_path / "x")


def test_archives(tmp_path):
    (tmp_path / "a.pkl").write_bytes(b"x")
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.write(tmp_path / "a.pkl", "mosi/a.pkl")
    with zipfile.ZipFile(tmp_path / "x.xlsx", "w") as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        archive.add(tmp_path / "a.pkl", "a.pkl")
    for name, message in (
        ("x.zip", r"a ZIP archive \(mosi/a\.pkl\), not an \.npz.*unpack it"),
        ("x.xlsx", "Excel or Word; save it as CSV"),
        ("x.tar", "a TAR archive; unpack it"),
    ):
        with pytest.raises(UserError, match=message):
            readers.read(tmp_path / name)


@pytest.mark.parametrize(
    "header",
    [
        "text,label",
        "BM,text,label",
        "x^2,text",
        "ID3,text",
        "PAR,text",
        "label,text,error",
        "II*,text",
        "MM,text",
    ],
)
@pytest.mark.parametrize("name", ["x.csv", "x.pkl", "x"])
def test_a_table_is_not_taken_for_something_else(tmp_path, header, name):
    columns = header.split(",")
    row = ",".join("not found" if column == "text" else "0" for column in columns)
    (tmp_path / name).write_text(f"{header}\n{row}\n")
    (clip,) = readers.read(tmp_path / name, require_labels=False)
    assert clip.text == "not found"


@pytest.mark.skipif(not (SHARED / "cases").exists(), reason="needs the input cases in ../shared")
def test_the_cases(tmp_path):
    lines = {}
    for case in ("01_torch_tensors", "10_failed_download"):
        script = shutil.copy(SHARED / "cases" / f"{case}.py", tmp_path)
        subprocess.run([sys.executable, script, tmp_path / case], check=True)
        for path in (tmp_path / case).iterdir():
            with pytest.raises(UserError) as error:
                readers.read(path)
            lines[path.name] = str(error.value)
    for name in ("tensors.pkl", "saved.pt"):
        assert "tensor.cpu().numpy()" in lines[name]
        assert "pickle.dump" in lines[name]
    assert "torch.save" in lines["saved.pt"]
    assert "a web page" in lines["page.pkl"]
    assert "Git LFS pointer" in lines["pointer.pkl"]
    assert "zeros" in lines["zeros.pkl"]
    assert "JSON" in lines["error.pkl"]
    assert all("download" in lines[name] for name in ("page.pkl", "pointer.pkl", "zeros.pkl", "error.pkl"))
