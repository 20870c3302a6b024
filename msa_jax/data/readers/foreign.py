"""Foreign files: what a file that holds no features is, told by its first bytes, and what to do about it.

Downloads that failed leave a web page, a pointer, an error message or zeros under the name of the file;
videos, sounds and pictures have no features before a tool extracts them.
"""

import itertools
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

from msa_jax.data.conventions.encodings import MARKS_32
from msa_jax.data.readers.clean import unreadable
from msa_jax.data.readers.libraries import TORCH
from msa_jax.errors import UserError

_HEAD = 4096  # bytes that are looked at
_SHORT = 1024  # bytes of the longest text that a server sends in place of a file
_NAMES, _LINE = 16, 64  # bytes, at least and at most, of names of columns that tell UTF-32 without a mark
_SHOWN = 80  # characters of it that are shown
_WALKED = 200  # entries of a folder that are looked at
_AGAIN = "its download failed; download it again"
_EXTRACT = (
    "features must be extracted first, for instance with MMSA-FET (its pickles are read) or the "
    "CMU-MultimodalSDK (.csd)"
)
_BINARY = (
    ".pkl",
    ".pickle",
    ".h5",
    ".hdf5",
    ".csd",
    ".npz",
    ".pt",
    ".pth",
)  # names of files that are no text
_FAILED = re.compile(r"\b(40\d|50\d|not found|denied|forbidden|unauthori[sz]ed|quota|error)\b", re.I)
# (where, the bytes there, what it is), of media.
_MEDIA = (
    (4, b"ftyp", "a video or sound (MP4)"),
    (4, b"moov", "a video (QuickTime)"),
    (4, b"mdat", "a video (QuickTime)"),
    (0, b"\x1aE\xdf\xa3", "a video (Matroska or WebM)"),
    (0, b"\x00\x00\x01\xba", "a video (MPEG)"),
    (0, b"\x00\x00\x01\xb3", "a video (MPEG)"),
    (0, b"FLV\x01", "a video (FLV)"),
    (0, b"0&\xb2u\x8ef\xcf\x11", "a video or sound (WMV, WMA)"),
    (0, b"fLaC", "a sound (FLAC)"),
    (0, b"OggS", "a sound or video (Ogg)"),
    (0, b"ID3\x02", "a sound (MP3)"),
    (0, b"ID3\x03", "a sound (MP3)"),
    (0, b"ID3\x04", "a sound (MP3)"),
    (0, b"\xff\xfb", "a sound (MP3)"),
    (0, b"\xff\xf3", "a sound (MP3)"),
    (0, b"\xff\xf2", "a sound (MP3)"),
    (0, b"\xff\xf1", "a sound (AAC)"),
    (0, b"\xff\xf9", "a sound (AAC)"),
    (0, b"#!AMR", "a sound (AMR)"),
    (0, b"\x89PNG", "a picture (PNG)"),
    (0, b"\xff\xd8\xff", "a picture (JPEG)"),
    (0, b"GIF87a", "a picture (GIF)"),
    (0, b"GIF89a", "a picture (GIF)"),
    (0, b"II*\x00", "a picture (TIFF)"),
    (0, b"MM\x00*", "a picture (TIFF)"),
)
_IN_CHUNKS = {b"WAVE": "a sound (WAV)", b"AVI ": "a video (AVI)", b"WEBP": "a picture (WebP)"}
_IN_CHUNKS |= {b"AIFF": "a sound (AIFF)", b"AIFC": "a sound (AIFF)"}
_COMPRESSED = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
    b"]\x00\x00": "lzma",
    b"(\xb5/\xfd": "zstd",
    b"\x04\x22M\x18": "lz4",
    b"7z\xbc\xaf": "7-Zip",
    b"Rar!": "RAR",
}
_UNPACK = (
    "the file is compressed by {}; unpack it and name what comes out (or, where joblib wrote it, load it in "
    "Python with joblib.load and save it with pickle.dump)"
)
_OTHERS = {
    b"%PDF": "the file is a PDF; name a feature file",
    b"\x93NUMPY": "the file is a single NumPy array (.npy); save it together with ids, texts and labels as "
    "an .npz or a pickle",
    b"MATLAB 5.0 MAT-file": "the file is a MATLAB file; load it in Python with scipy.io.loadmat and save its "
    "arrays as an .npz or a pickle",
    b"MATLAB 7.3 MAT-file": "the file is a MATLAB file; load it in Python with h5py, reverse the "
    "axes of its arrays, and save them as an .npz or a pickle",
    b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.": TORCH,
    b"PAR1": "the file is Parquet; load it in Python with pandas and save texts and labels as a CSV",
    b"\xd0\xcf\x11\xe0": "the file is of Excel or Word; save it as CSV (UTF-8)",
}


def refuse(path: Path) -> None:
    """Does nothing but for a file that holds no features, whatever it is called.

    Raises:
      UserError: when it is the rest of a failed download, media, compressed, or of a kind that is known not
        to be read; says which, and what to do.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError as error:
        raise unreadable(path, error) from None
    for what in (_download(head, size, path), _media_line(head), _other(head)):
        if what:
            raise UserError(f"{path}: {what}")


def media(folder: Path) -> list[str]:
    """The videos, sounds and pictures in a folder and the folders in it, by their names in it."""
    found = []
    for file in itertools.islice(_files(folder), _WALKED):
        try:
            with file.open("rb") as opened:
                head = opened.read(16)
        except OSError:
            continue
        if _medium(head):
            found.append(str(file.relative_to(folder)))
    return found


def media_in(folder: Path, names: list[str]) -> str:
    """What to say of a folder that holds media and no features; `names` is what `media` found in it."""
    shown = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
    return f"{folder}: the folder holds videos, sounds or pictures ({shown}); {_EXTRACT}"


def _files(folder: Path) -> Iterator[Path]:
    for place, folders, files in os.walk(folder):
        folders.sort()
        yield from (Path(place, name) for name in sorted(files))


def _medium(head: bytes) -> str:
    """What medium the first bytes are of; "" for none."""
    if head[:2] == b"BM" and head[6:10] == bytes(4):
        return "a picture (BMP)"
    if head[:4] in (b"RIFF", b"RIFX", b"FORM"):
        # A table may begin with the word FORM.
        return _IN_CHUNKS.get(head[8:12], "" if head[:4] == b"FORM" else "a video or sound (RIFF)")
    return next((what for at, magic, what in _MEDIA if head[at : at + len(magic)] == magic), "")


def _media_line(head: bytes) -> str:
    what = _medium(head)
    return f"the file is {what}, not features; {_EXTRACT}" if what else ""


def _other(head: bytes) -> str:
    for magic, name in _COMPRESSED.items():
        if head.startswith(magic):
            return _UNPACK.format(name)
    if head[:2] in (b"x\x01", b"x\x5e", b"x\x9c", b"x\xda") and not head[:64].isascii():
        return _UNPACK.format("zlib")
    if _utf32(head):
        return "the file is text in UTF-32, which is not read; save it as UTF-8"
    if head[257:262] == b"ustar":
        return "the file is a TAR archive; unpack it and name what comes out"
    return next((what for magic, what in _OTHERS.items() if head.startswith(magic)), "")


def _utf32(head: bytes) -> bool:
    """Whether a file begins as text in UTF-32 does, with its mark or without."""
    if head.startswith(MARKS_32):
        return True
    some = head[: min(len(head), _LINE) // 4 * 4]
    return len(some) >= _NAMES and any(_plain(some, codec) for codec in ("utf-32-le", "utf-32-be"))


def _plain(text: bytes, codec: str) -> bool:
    try:
        decoded = text.decode(codec)
    except UnicodeDecodeError:
        return False
    return decoded.isascii() and " ".join(decoded.split()).isprintable()


def _download(head: bytes, size: int, path: Path) -> str:
    """What a failed download has left; "" where it is none."""
    if head and not head.strip(b"\x00"):
        return f"the file begins with nothing but zeros, so that {_AGAIN}"
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    start = text[:64].lower()
    if start.startswith((b"<!doctype", b"<html", b"<head", b"<?xml", b"<error")):
        title = re.search(rb"<(title|message)>\s*([^<]+)", text, re.I)
        named = f" ({_printed(title[2])})" if title else ""
        return f"the file is a web page{named}, so that {_AGAIN} (in a browser, where a page asks something)"
    if text.startswith(b"version https://git-lfs.github.com/spec/"):
        return (
            "the file is a Git LFS pointer, which stands in a repository for the file itself; fetch that by "
            "`git lfs pull`, or download it from the repository's page"
        )
    if size < _SHORT and b".git/annex/objects" in text:
        return "the file is a git-annex pointer, which stands for the file itself; `git annex get` fetches it"
    if text[:1] in (b"{", b"[") and (message := _json(text, size)):
        return message
    is_table = text.split(b"\n", 1)[0].strip().lower() == b"text"
    if 0 < size <= _SHORT and text.isascii() and _printed(text) and b"," not in text and not is_table:
        failed = _FAILED.search(text.decode("ascii")) and text.count(b"\n") < 3
        # A pickle of protocol 0 is text as well, and ends with a full stop.
        if failed or (path.suffix.lower() in _BINARY and text[-1:] != b"."):
            return f"the file is a short text ({_printed(text)}), so that {_AGAIN}"
    return ""


def _json(text: bytes, size: int) -> str:
    """What to say of JSON: an error message of a server, or data; "" where it is not JSON."""
    try:
        content = json.loads(text) if size <= _HEAD else None
    except (ValueError, RecursionError):
        return ""
    if content is None and not re.match(rb'\{\s*"[^"]*"\s*:|\[\s*[\[{"]', text):
        return ""
    keys = {str(key).lower() for key in content} if isinstance(content, dict) else set()
    if keys & {"error", "errors", "message", "code", "status", "detail"}:
        return f"the file is an error message in JSON ({_printed(text)}), so that {_AGAIN}"
    return "the file is JSON; save the features as a pickle of arrays, lists and dicts, or the texts as a CSV"


def _printed(text: bytes) -> str:
    """The beginning of a text in one line, without what could steer a terminal; "" where it is none."""
    line = " ".join(text.decode("utf-8", "replace").split())
    if not line.isprintable():
        return ""
    return line if len(line) <= _SHOWN else f"{line[:_SHOWN]}..."
