"""Feature files that are wrong, each in its own way: `python -m tests.data.bad_inputs` shows what is said.

Every case is a small file that is written on the spot, and the words that have to be in the one line that the
commands print about it; `test_bad_inputs.py` runs them all.
"""

import contextlib
import dataclasses
import functools
import gzip
import io
import os
import pickle
import struct
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np

from msa_jax.data import __main__ as data_main
from msa_jax.data.readers import safe_pickle
from msa_jax.errors import UserError
from msa_jax.main import main as train_main
from tests.data.circumstances import as_nobody, full_disk, small_disk
from tests.data.small_files import (
    CLIPS,
    SPLITS,
    csd_folder,
    csv_file,
    hdf5_folder,
    mfn_folder,
    mmsa,
    mult_pickle,
    npz_file,
    ur_funny_folder,
    words_folder,
    write,
    write_mmsa,
)

TRAIN, BUILD = "python -m msa_jax.main --config=configs/crosssent_mosi.py", "python -m msa_jax.data --build"
MARKER = "EXECUTED"  # what a hostile file would make


@dataclasses.dataclass(frozen=True)
class Case:
    """One bad input.

    Attributes:
      name: what is wrong.
      write: writes the input into an empty folder; returns its path.
      line: words of the line that the commands print.
      names: the file or folder that the line has to name; None = the input.
      options: of the training command, beside path, cache and workdir; the same of the other one.
      commands: those that refuse the input.
      during: the circumstances, given the folder.
    """

    name: str
    write: Callable[[Path], Path]
    line: str
    names: str | None = None
    options: tuple[str, ...] = ("data.other_counts=True",)
    commands: tuple[str, ...] = (TRAIN, BUILD)
    during: Callable[[Path], contextlib.AbstractContextManager] = contextlib.nullcontext


def run(case: Case, command: str, folder: Path, path: Path) -> tuple[int, str]:
    """(exit code, stderr) of a command on the input of a case, with cache and workdir in the folder."""
    if command == TRAIN:
        options = [f"--config.{option}" for option in case.options]
        argv = ["--config=configs/crosssent_mosi.py", f"--workdir={folder / 'workdir'}"]
        argv += [f"--config.data.path={path}", f"--config.data.cache={folder / 'cache'}", *options]
        job = functools.partial(train_main, argv)
    else:
        options = ["--other_counts"] if "data.other_counts=True" in case.options else []
        argv = [str(path), "--build", "--corpus=mosi", f"--cache={folder / 'cache'}", *options]
        job = functools.partial(data_main.main, argv)
    stderr = io.StringIO()
    with case.during(folder), contextlib.redirect_stderr(stderr), contextlib.redirect_stdout(io.StringIO()):
        code = job()
    return code, stderr.getvalue()


def _changed(change: Callable[[dict], object]) -> Callable[[Path], Path]:
    return functools.partial(write_mmsa, change=change)


def _bytes(content: bytes, name: str = "features.pkl") -> Callable[[Path], Path]:
    return functools.partial(write, content=content, name=name)


def _put(split: str, key: str, index: object, value: object) -> Callable[[Path], Path]:
    """An MMSA pickle in which one value is another."""

    def change(content: dict) -> None:
        content[split][key][index] = value

    return _changed(change)


def _flipped(folder: Path) -> Path:
    """The first bit past the middle whose flip the pickle does not survive."""
    raw = pickle.dumps(mmsa())
    for at in range(len(raw) // 2, len(raw) - 1):
        path = write(folder, raw[:at] + bytes([raw[at] ^ 0x80]) + raw[at + 1 :])
        try:
            safe_pickle.load(path)
        except UserError:
            return path
    raise AssertionError("no flip breaks the pickle")


class _Touch:
    """Unpickling it would run a command."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple:
        return os.system, (self.command,)


def _hostile(folder: Path) -> Path:
    return write_mmsa(folder, lambda c: c.update(extra=_Touch(f"touch {folder / MARKER}")))


def _stack_global(folder: Path) -> Path:
    """pathlib's Path(MARKER).touch, by names on the stack that only the instruction itself puts together."""
    command = f"open({str(folder / MARKER)!r}, 'w')".encode()
    raw = b"\x80\x04" + b"".join(b"\x8c" + bytes([len(name)]) + name for name in (b"builtins", b"eval"))
    return write(folder, raw + b"\x93X" + struct.pack("<I", len(command)) + command + b"\x85R.")


def _npz_huge(folder: Path) -> Path:
    """Its header says that audio is 12 GB, of which three bytes are there."""
    path, header = npz_file(folder), io.BytesIO()
    shape = (len(SPLITS) * CLIPS, 250_000_000)
    form = {"descr": "<f4", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(header, form)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in {**members, "audio.npy": header.getvalue() + b"123"}.items():
            archive.writestr(name, content)
    return path


def _npz_flipped(folder: Path, at: int) -> Path:
    """A bit is another in the first entry of the archive's directory."""
    path = npz_file(folder)
    raw = bytearray(path.read_bytes())
    raw[raw.index(b"PK\x01\x02") + at] ^= 0x10
    return write(folder, bytes(raw), path.name)


def _cut_short(make: Callable[[Path], Path]) -> Callable[[Path], Path]:
    """The first three quarters of a file (or of the first file of a folder)."""

    def cut(folder: Path) -> Path:
        path = make(folder)
        file = min(path.iterdir()) if path.is_dir() else path
        file.write_bytes(file.read_bytes()[: file.stat().st_size * 3 // 4])
        return path

    return cut


def _without(make: Callable[[Path], Path], name: str) -> Callable[[Path], Path]:
    """A folder that lacks a file."""

    def write_without(folder: Path) -> Path:
        path = make(folder)
        (path / name).unlink()
        return path

    return write_without


def _numbered(folder: Path) -> Path:
    """Computational sequences whose audio has the numbers of its frames for times."""
    path = csd_folder(folder)
    with h5py.File(path / "CMU_MOSI_COVAREP.csd", "a") as file:
        for group in file["COVAREP/data"].values():
            numbers = np.arange(len(group["features"]))
            group["intervals"][...] = np.stack([numbers, numbers + 1], axis=1)
    return path


def _closed_cache(folder: Path) -> Path:
    (folder / "cache").mkdir()
    return write_mmsa(folder)


def _indices(folder: Path) -> Path:
    clip = ((np.arange(2), np.ones((2, 2)), np.ones((2, 3))), [[1.0]], "v[0]")
    return write(folder, pickle.dumps({split: [clip] for split in SPLITS}))


def _two_corpora(folder: Path) -> Path:
    hdf5_folder(folder)
    return words_folder(folder)  # into the same folder


def _empty_folder(folder: Path) -> Path:
    (folder / "downloads").mkdir()
    return folder / "downloads"


def _pictures(folder: Path) -> Path:
    path = _empty_folder(folder)
    write(path, b"\x89PNG\r\n\x1a\n", "a.png")
    write(path, b"notes", "readme.txt")
    return path


def _each(key: str, value: Callable[[dict], object]) -> Callable[[Path], Path]:
    """An MMSA pickle in which every split has another array under a key."""

    def change(content: dict) -> None:
        for arrays in content.values():
            arrays[key] = value(arrays)

    return _changed(change)


def _unlabelled(content: dict) -> None:
    for arrays in content.values():
        del arrays["regression_labels"]


def _only_audio(content: dict) -> None:
    for arrays in content.values():
        for key in arrays.keys() - {"audio", "audio_lengths"}:
            del arrays[key]


def _unselected(folder: Path) -> Path:
    """MFN's files with all columns of COVAREP and FACET that its script can join."""
    path = mfn_folder(folder)
    with h5py.File(path / "X_train.h5", "w") as file:
        file["data"] = np.ones((CLIPS, 6, 300 + 34 + 43))
    return path


def _shared_video(content: dict) -> None:
    content["test"]["id"][0] = "train0$_$9"


def _renamed(content: dict) -> None:
    content["dev"] = content["valid"]


_HEADER = b"video_id,clip_id,text,label\n"
_RUSSIAN = _HEADER + "v,0,хороший фильм,1\n".encode("cp1251")
_GZIP = gzip.compress(pickle.dumps(mmsa()))
_TEXT = b"Dear all,\nplease find the features attached.\n"
_PAGE = b"<!DOCTYPE html><html><head><title>Too large</title></head></html>"
_POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"
_WAV = b"RIFF$\x00\x00\x00WAVEfmt "
_TENSOR = b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n)R."
_PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)
# An array of 80 GB in 200 bytes, and a text of 10 GB in 15.
_HUGE = pickle.dumps(np.zeros(1, np.float64), 2).replace(b"K\x01\x85", b"\x8a\x05\x00\xe4\x0bT\x02\x85")
_LONG = b"\x80\x04\x8e" + struct.pack("<Q", 10 << 30) + b"abc."

CASES = (
    Case("empty file", _bytes(b""), "the file is empty"),
    Case("a picture", _bytes(_PNG, "features.png"), "the file is a picture"),
    Case("a letter", _bytes(_TEXT, "features.txt"), "is not a pickle, .npz or HDF5"),
    Case("a web page", _bytes(_PAGE), "a web page (Too large), so that its download failed; download it ag"),
    Case("a Git LFS pointer", _bytes(_POINTER, "x.csd"), "a Git LFS pointer"),
    Case("zeros", _bytes(bytes(1 << 16), "x.h5"), "nothing but zeros"),
    Case("an error message", _bytes(b'{"error": 404}', "x.npz"), "an error message in JSON"),
    Case("a sound", _bytes(_WAV, "clip.wav"), "a sound (WAV), not features; features must be ex"),
    Case("PyTorch tensors", _bytes(_TENSOR), "holds PyTorch tensors"),
    Case("gzip", _bytes(_GZIP, "features.pkl.gz"), "compressed by gzip; unpack it"),
    Case("pickle cut short", _cut_short(write_mmsa), "truncated or damaged"),
    Case("pickle with a bit flipped", _flipped, "damaged"),
    Case("pickle that runs a command", _hostile, "asks for"),
    Case("pickle that calls eval", _stack_global, "asks for builtins.eval"),
    Case("pickle with an array of 80 GB in 200 bytes", _bytes(_HUGE), "damaged"),
    Case("pickle with a text of 10 GB in 15 bytes", _bytes(_LONG), "longer than the file"),
    Case("pickle of something else", _bytes(pickle.dumps({"weights": np.ones(3)})), "no known format"),
    Case("pickle of an empty dict", _bytes(pickle.dumps({})), "no known format (an empty dict)"),
    Case("no words in an MMSA pickle", _changed(lambda c: c["train"].pop("raw_text")), "needs 'raw_text'"),
    Case("word indices without words", _indices, "no list of words"),
    Case("features of letters", _each("vision", lambda a: [[["x", "y"]] * 5] * CLIPS), "not as in an MMSA"),
    Case("something odd in place of audio", _each("audio", lambda a: 5), "of another form"),
    Case(".npz cut short", _cut_short(npz_file), "truncated or damaged"),
    Case(".npz of Python objects", functools.partial(npz_file, text=np.array([{}] * 12)), "Python objects"),
    Case(".npz of 12 GB in 900 bytes", _npz_huge, "audio is damaged"),
    Case(".npz whose directory is damaged", lambda f: _npz_flipped(f, 0), "truncated or damaged"),
    Case(".npz with an unknown compression", lambda f: _npz_flipped(f, 10), "archive is damaged"),
    Case(".npz of other arrays", lambda f: (np.savez(f / "x.npz", a=1), f / "x.npz")[1], "no known format"),
    Case(".npz with two divisions", lambda f: npz_file(f, split_b=["test"] * 12), "2 divisions"),
    Case(".csd cut short", _cut_short(csd_folder), "cannot be read as HDF5", names="CMU_MOSI_COVAREP.csd"),
    Case(".csd folder without labels", _without(csd_folder, "CMU_MOSI_Opinion_Labels.csd"), "no labels"),
    Case(".csd of frame numbers", _numbered, "about 10 a second", names="CMU_MOSI_COVAREP.csd"),
    Case("CSV without columns", functools.partial(csv_file, header="a,b,text,c,d"), "no column video_id"),
    Case("CSV with a comma in a text", functools.partial(csv_file, row="v,0,a, b,1,test"), "line 14: 6 fie"),
    Case("CSV with a word for a label", functools.partial(csv_file, row="v,0,x,ok,test"), "is not a number"),
    Case("CSV in an unclear encoding", _bytes(_RUSSIAN, "label.csv"), "encoding of the texts is not clear"),
    Case("CSV with a clip of no split", functools.partial(csv_file, row="v,0,x,1,"), "1 clip has no split"),
    Case("CSV without clips", _bytes(_HEADER, "label.csv"), "holds no clips"),
    Case("one of several HDF5 arrays", lambda f: hdf5_folder(f) / "audio_train.h5", "name the folder"),
    Case("an HDF5 array missing", _without(hdf5_folder, "y_test.h5"), "test split has no label array",
         options=("data.other_counts=True", "text.encoder=features")),
    Case("MFN's array without its selection of columns", _unselected, "377 columns wide",
         options=("data.other_counts=True", "text.encoder=features")),
    Case("the features of one modality", _changed(_only_audio), "feature file of one modality"),
    Case("a split missing", _changed(lambda c: c.pop("test")), "no test split"),
    Case("two names for one split", _changed(_renamed), "dev and valid both mean the valid split"),
    Case("widths differ between splits", _changed(
        lambda c: c["test"].update(vision=np.ones((4, 5, 7)))), "2 in train, 2 in valid, 7 in test"),
    Case("label NaN", _put("train", "regression_labels", 1, np.nan), "no label: train0_1"),
    Case("label out of range", _put("valid", "regression_labels", 2, 30), "outside [-3, 3]: valid1_2"),
    Case("no labels", _changed(_unlabelled), "needs 'regression_labels'"),
    Case("IEMOCAP's labels", _each("regression_labels", lambda a: np.eye(4)), "labels are not one number"),
    Case("labels of several columns", _each("regression_labels", lambda a: np.ones((4, 3))), "3 columns"),
    Case("lengths below 0", _put("train", "audio_lengths", 0, -1), "audio_lengths are below 0"),
    Case("arrays of uneven length", _changed(lambda c: c["test"]["id"].pop()), "4 numbers for 3 clips"),
    Case("audio all NaN", _each("audio", lambda a: a["audio"] * np.nan), "audio does not have one finite"),
    Case("an id twice", _put("train", "id", 1, "train0$_$0"), "id occurs twice: train0_0"),
    Case("a video in two splits", _changed(_shared_video), "more than one split: train0"),
    Case("other counts than the official ones", write_mmsa, "4 / 4 / 4 clips", options=()),
    Case("no words, no features asked for", mult_pickle, "--config.text.encoder=features", commands=(TRAIN,)),
    Case("no features of the text", write_mmsa, "no text features", commands=(TRAIN,),
         options=("data.other_counts=True", "text.encoder=features")),
    Case("two corpora in a folder", _two_corpora, "keep one corpus in a folder"),
    Case("an empty folder", _empty_folder, "the folder is empty"),
    Case("a folder of pictures", _pictures, "videos, sounds or pictures (a.png)"),
    Case("a folder without a split", lambda f: words_folder(f, ("train", "dev")), "no test split"),
    Case("UR-FUNNY without its splits", _without(ur_funny_folder, "data_folds.pkl"), "data_folds.pkl"),
    Case("a pipe", lambda f: (os.mkfifo(f / "pipe"), f / "pipe")[1], "neither a file nor a folder"),
    Case("nothing there", lambda folder: folder / "features.pkl", "no such file or folder"),
    Case("a file that may not be read", write_mmsa, "Permission denied",
         during=lambda folder: as_nobody(folder / "features.pkl")),
    Case("a folder that may not be read", words_folder, "Permission denied",
         during=lambda folder: as_nobody(folder / "mosi")),
    Case("a file in a closed folder", lambda f: words_folder(f) / "train.pkl", "Permission denied",
         during=lambda folder: as_nobody(folder / "mosi")),
    Case("a cache that may not be written", _closed_cache, "cannot keep a build there (Permission denied)",
         names="cache", during=lambda folder: as_nobody(folder / "cache", 0o555)),
    Case("a disk that is full", write_mmsa, "No space left on device", names="cache", during=full_disk),
    Case("a disk without room", write_mmsa, "no room for the build", names="cache", during=small_disk),
)  # fmt: skip


def main() -> None:
    """Prints what is said of each case, as a Markdown table."""
    print("| case | command | line | exit code |\n|---|---|---|---|")
    for case in CASES:
        told: dict[tuple[int, str], list[str]] = {}
        for command in case.commands:
            with tempfile.TemporaryDirectory() as temporary:
                folder = Path(temporary)
                folder.chmod(0o755)  # for nobody
                code, stderr = run(case, command, folder, case.write(folder))
                line = stderr.rstrip("\n").replace(f"{folder}{os.sep}", "")
                told.setdefault((code, line), []).append(command)
        for (code, line), commands in told.items():
            said, shown = (text.replace("|", "\\|").replace("\n", " // ") for text in (line, case.name))
            print(f"| {shown} | {'<br>'.join(f'`{c}`' for c in commands)} | {said} | {code} |")


if __name__ == "__main__":
    main()
