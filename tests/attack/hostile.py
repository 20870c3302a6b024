"""Hostile inputs: files and folders of somebody else that try what they can, each with the right answer.

Each function writes one input into an empty folder and returns its path; `DATA`, `ENCODERS` and `CACHES` list
them with the words of the one line that the program has to print. An input with `line` None is good data with
something in it that must not reach the terminal as it is.
"""

import dataclasses
import json
import os
import pickle
import socket
import zlib
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np

from tests.attack import bombs
from tests.data import small_files

MARKER = "EXECUTED"  # the file that an input makes in its folder where it is executed
ESCAPES = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202egnp\u2066\r"  # title, cleared screen, C1, turned writing


@dataclasses.dataclass(frozen=True)
class Hostile:
    """One input.

    Attributes:
      name: what it tries.
      write: writes it into an empty folder; returns the path to give to the program.
      line: words of the one line that the program must print about it; None where it is read.
      options: of the command that looks at data.
    """

    name: str
    write: Callable[[Path], Path]
    line: str | None
    options: tuple[str, ...] = ()


# Claims: little is stored, much is declared.


def npz_of_zeros(folder: Path) -> Path:
    """4.3 GB of zeros in 4 MB."""
    members = [_texts("id", 16), _texts("text", 16), bombs.npz_member("audio.npy", "<f8", (16, 1 << 25))]
    return bombs.write_zip(folder / "features.npz", members)


def npz_of_wide_texts(folder: Path) -> Path:
    """Texts of 4 MiB of zeros each, of which NumPy would keep 4 GB."""
    members = [_texts("id", 1 << 10), bombs.npz_member("text.npy", "<U1048576", (1 << 10,))]
    return bombs.write_zip(folder / "features.npz", members)


def npz_of_one_wide_text(folder: Path) -> Path:
    """A single text of 1 GiB."""
    members = [_texts("id", 1), bombs.npz_member("text.npy", f"<U{1 << 28}", (1,))]
    return bombs.write_zip(folder / "features.npz", members)


def npz_of_many_clips(folder: Path) -> Path:
    """1e8 clips in 100 kB."""
    count = 96 << 20
    members = [bombs.npz_member(f"{name}.npy", "|S1", (count,)) for name in ("id", "text", "label")]
    return bombs.write_zip(folder / "features.npz", members)


def npz_of_brackets(folder: Path) -> Path:
    """9000 brackets where a header has a tuple."""
    return _npz_header(folder, b"[" * 9000)


def npz_of_few_brackets(folder: Path) -> Path:
    """Brackets in a header that is short enough for NumPy."""
    brackets = b"(" * 1500 + b")" * 1500
    return _npz_header(folder, b"{'descr':'<f4','fortran_order':False,'shape':" + brackets + b"}")


def npz_of_negative_shape(folder: Path) -> Path:
    """An array of -1 rows."""
    return _npz_header(folder, b"{'descr':'<f4','fortran_order':False,'shape':(-1,)}\n")


def h5_never_written(folder: Path) -> Path:
    """Arrays of 5.6 GB that hold nothing but the promise of zeros."""
    shape, chunks = (4, 1 << 20, 350), (1, 256, 350)
    return _h5(folder, lambda file, name: file.create_dataset("d1", shape, "f4", chunks=chunks))


def h5_of_one_chunk(folder: Path) -> Path:
    """Arrays whose one chunk unpacks to 2 GiB."""
    shape = (4, 1 << 19, 256)
    return _h5(folder, lambda file, name: bombs.zero_dataset(file, "d1", shape, shape))


def h5_of_long_clips(folder: Path) -> Path:
    """Clips of 2 GiB in chunks of a MiB."""
    shape, chunks = (4, 1 << 21, 256), (1, 1 << 17, 256)
    return _h5(folder, lambda file, name: bombs.zero_dataset(file, "d1", shape, chunks))


def h5_of_many_clips(folder: Path) -> Path:
    """1e8 clips, of which labels and features were never written."""

    def many(file: h5py.File, name: str) -> None:
        file.create_dataset("d1", (10**8,) if name == "y" else (10**8, 1, 1), "f4", chunks=True)

    return _h5(folder, many, labels=True)


def h5_of_many_zero_clips(folder: Path) -> Path:
    """1e8 clips of zeros in some 100 kB a file."""

    def many(file: h5py.File, name: str) -> None:
        rest = (1,) if name == "y" else (1, 2)
        bombs.zero_dataset(file, "d1", (25 << 22, *rest), (1 << 22, *rest))

    return _h5(folder, many, labels=True)


def csd_never_written(folder: Path) -> Path:
    """A video with features of 5.9 GB, never written."""
    shape, chunks = (40, 37_000_000), (1, 10_000)
    return _csd(folder, lambda group: group.create_dataset("features", shape, "f4", chunks=chunks))


def csd_of_one_chunk(folder: Path) -> Path:
    """A video whose features unpack to 2.5 GB out of 2.5 MB."""
    return _csd(folder, lambda group: bombs.zero_dataset(group, "features", (40, 1 << 24), (40, 1 << 24)))


def csd_of_shared_words(folder: Path) -> Path:
    """65536 words of a MiB, which are one in the file."""
    path = small_files.csd_folder(folder)
    with h5py.File(path / "CMU_MOSI_TimestampedWords.csd", "a") as file:
        group = file["words/data/video0"]
        del group["features"], group["intervals"]
        times = np.linspace(0, 4, (1 << 16) + 1)
        group["intervals"] = np.stack([times[:-1], times[1:]], 1)
        shape, text = (1 << 16, 1), h5py.string_dtype()
        words = group.create_dataset("features", shape, text, chunks=shape, compression=9)
        words[0, 0] = "a" * (1 << 20)
        _, packed = words.id.read_direct_chunk((0, 0))
        raw = bytearray(zlib.decompress(packed))
        words.id.write_direct_chunk((0, 0), zlib.compress(bytes(raw[:16]) * (1 << 16)))
    return path


def _texts(name: str, count: int) -> tuple[str, bytes, int, int]:
    return bombs.npz_plain(f"{name}.npy", np.array([f"v{k}_{k}" for k in range(count)]))


def _npz_header(folder: Path, text: bytes) -> Path:
    raw = b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + bytes(64)
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    audio = ("audio.npy", packer.compress(raw) + packer.flush(), zlib.crc32(raw), len(raw))
    return bombs.write_zip(folder / "features.npz", [_texts("id", 16), _texts("text", 16), audio])


def _h5(folder: Path, write: Callable[[h5py.File, str], object], *, labels: bool = False) -> Path:
    """A folder of arrays, of which the audio (and the labels) of the training split are written otherwise."""
    path = small_files.hdf5_folder(folder)
    for name in ("audio", "video", "text", "y") if labels else ("audio",):
        (path / f"{name}_train.h5").unlink()
        with h5py.File(path / f"{name}_train.h5", "w") as file:
            write(file, name)
    return path


def _csd(folder: Path, write: Callable[[h5py.Group], object]) -> Path:
    """Computational sequences, in which the audio of one video is written otherwise."""
    path = small_files.csd_folder(folder)
    with h5py.File(path / "CMU_MOSI_COVAREP.csd", "a") as file:
        group = file["COVAREP/data/video0"]
        del group["features"]
        write(group)
    return path


# Reaching out: what is read lies elsewhere.


def h5_external_storage(folder: Path) -> Path:
    """Any file of the user's, as audio."""
    secret = _secret(folder)

    def outside(file: h5py.File, name: str) -> None:
        file.create_dataset("d1", (4, 6, 3), "f4", external=[(str(secret), 0, 288)])

    return _h5(folder, outside)


def h5_external_link(folder: Path) -> Path:
    """An array of another file."""

    def outside(file: h5py.File, name: str) -> None:
        file["d1"] = h5py.ExternalLink(str(_other(folder)), "d1")

    return _h5(folder, outside)


def h5_link_to_link(folder: Path) -> Path:
    """An array of another file, by a link within the file to a link out of it."""

    def outside(file: h5py.File, name: str) -> None:
        file.create_group("g")["elsewhere"] = h5py.ExternalLink(str(_other(folder)), "/")
        file["d1"] = h5py.SoftLink("/g/elsewhere/d1")

    return _h5(folder, outside)


def h5_external_pipe(folder: Path) -> Path:
    """A link to a named pipe, to wait for ever."""
    os.mkfifo(folder / "pipe")

    def outside(file: h5py.File, name: str) -> None:
        file["d1"] = h5py.ExternalLink(str(folder / "pipe"), "d1")

    return _h5(folder, outside)


def h5_virtual(folder: Path) -> Path:
    """An array that is put together from another file."""

    def outside(file: h5py.File, name: str) -> None:
        layout = h5py.VirtualLayout((4, 6, 3), "f4")
        layout[...] = h5py.VirtualSource(str(_other(folder)), "d1", (4, 6, 3))
        file.create_virtual_dataset("d1", layout)

    return _h5(folder, outside)


def h5_link_to_itself(folder: Path) -> Path:
    """A link that never ends."""

    def round_and_round(file: h5py.File, name: str) -> None:
        file["d1"] = h5py.SoftLink("/d2")
        file["d2"] = h5py.SoftLink("/d1")

    return _h5(folder, round_and_round)


def csd_external_storage(folder: Path) -> Path:
    """Any file of the user's, as a video's audio."""
    outside = [(str(_secret(folder)), 0, 480)]
    return _csd(folder, lambda group: group.create_dataset("features", (40, 3), "f4", external=outside))


def csd_external_video(folder: Path) -> Path:
    """A video of another file."""
    path = small_files.csd_folder(folder)
    with h5py.File(path / "CMU_MOSI_COVAREP.csd", "a") as file:
        del file["COVAREP/data/video0"]
        file["COVAREP/data/video0"] = h5py.ExternalLink(str(_other(folder)), "/")
    return path


def csd_external_root(folder: Path) -> Path:
    """A whole sequence of another file."""
    path = small_files.csd_folder(folder)
    with h5py.File(path / "CMU_MOSI_COVAREP.csd", "w") as file:
        file["COVAREP"] = h5py.ExternalLink(str(_other(folder)), "/")
    return path


def _secret(folder: Path) -> Path:
    path = folder / "secret"
    path.write_bytes(np.arange(1000, dtype="<f4").tobytes())
    return path


def _other(folder: Path) -> Path:
    path = folder / "other.h5"
    with h5py.File(path, "w") as file:
        file["d1"] = np.ones((4, 6, 3), "f4")
        file["data/video0/features"] = np.ones((40, 3), "f4")
    return path


# What is no file.


def pipe(folder: Path) -> Path:
    """A named pipe in place of a file."""
    os.mkfifo(folder / "features.pkl")
    return folder / "features.pkl"


def link_to_device(folder: Path) -> Path:
    """A file that never ends."""
    (folder / "features.pkl").symlink_to("/dev/zero")
    return folder / "features.pkl"


def bound_socket(folder: Path) -> Path:
    """A socket in place of a file."""
    here = os.getcwd()
    os.chdir(folder)  # a socket's path is short
    try:
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind("features.pkl")
    finally:
        os.chdir(here)
    return folder / "features.pkl"


def splits_pipe(folder: Path) -> Path:
    """A named pipe where the file that divides the videos is: passed over, as it is no file."""
    path = small_files.csd_folder(folder)
    (path / "splits.json").unlink()
    os.mkfifo(path / "splits.json")
    return path


# Depth and length.


def deep_splits(folder: Path) -> Path:
    """JSON of a hundred thousand brackets."""
    path = small_files.csd_folder(folder)
    (path / "splits.json").write_text('{"train": ' + "[" * 100_000 + "]" * 100_000 + "}")
    return path


def large_splits(folder: Path) -> Path:
    """31 MB of JSON, which would be 1 GB of lists."""
    path = small_files.csd_folder(folder)
    (path / "splits.json").write_text('{"train": [' + "[]," * (40 << 20 >> 2) + "[]]}")
    return path


def deep_pickle(folder: Path) -> Path:
    """A list in a list, a hundred thousand times."""
    return small_files.write(folder, b"\x80\x04" + b"]" * 100_000 + b"a" * 99_999 + b".")


def csv_of_many_columns(folder: Path) -> Path:
    """A million columns, all of which a message could name."""
    header = "text," + ",".join(f"c{k}" for k in range(9_000))  # the first line has to end within 64 KiB
    return small_files.write(folder, f"{header}\n{'x,' * 9000}\n".encode(), "label.csv")


def csv_of_one_long_split(folder: Path) -> Path:
    """A clip in a split whose name has 100 000 letters."""
    return small_files.csv_file(folder, row=f"v,0,a film,1,{'x' * 100_000}")


def pickle_of_many_keys(folder: Path) -> Path:
    """Ten thousand keys with long names."""
    return small_files.write(folder, pickle.dumps({f"split{k:>0100}": {} for k in range(10_000)}))


def wide_clip(folder: Path) -> Path:
    """A clip with a row of a million columns among small ones."""
    rows = [np.ones((2, 1), "f4") for _ in range(small_files.CLIPS)]
    wide = [np.ones((1, 1_000_000), "f4"), *rows[1:]]

    def change(content: dict) -> None:
        for split, arrays in content.items():
            del arrays["audio_lengths"]
            arrays["audio"] = wide if split == "train" else rows

    return small_files.write_mmsa(folder, change)


def long_clip(folder: Path) -> Path:
    """A clip of a million rows among a thousand small ones, which no one array can hold; it is read."""
    count, start, long = 1000, np.ones((2, 1), "f4"), np.ones((1_000_000, 1), "f4")
    content = {
        split: {
            "id": [f"{split}{k}$_$0" for k in range(count)],
            "raw_text": ["a good film"] * count,
            "audio": [long if split == "train" and not k else start for k in range(count)],
            "vision": [start] * count,
            "regression_labels": [1.0] * count,
        }
        for split in small_files.SPLITS
    }
    return small_files.write(folder, pickle.dumps(content))


# What must not reach the terminal.


def escapes_in_csv_split(folder: Path) -> Path:
    """Escape sequences in the name of a split, which the message repeats."""
    return small_files.csv_file(folder, row=f'v,0,a film,1,"{ESCAPES}"')


def escapes_in_ids(folder: Path) -> Path:
    """Escape sequences in ids, which the inspector shows."""

    def change(content: dict) -> None:
        for split, arrays in content.items():
            arrays["id"] = [f"{ESCAPES}{split}{k // 2}$_${k % 2}" for k in range(small_files.CLIPS)]
            arrays["audio"][0] = np.nan

    return small_files.write_mmsa(folder, change)


def escapes_in_keys(folder: Path) -> Path:
    """Escape sequences in the keys of a pickle of no known form."""
    return small_files.write(folder, pickle.dumps({ESCAPES: 1, "\ud83d": 2}))


def escapes_in_columns(folder: Path) -> Path:
    """Escape sequences in the columns of a table."""
    return small_files.csv_file(folder, header=f"text,{ESCAPES},x,y,z".replace("\r", ""))


def escapes_in_file_name(folder: Path) -> Path:
    """Escape sequences in the name of a file that is read."""
    return small_files.write_mmsa(folder, name=f"{ESCAPES}.pkl")


def file_name_in_no_encoding(folder: Path) -> Path:
    """A file name that is not UTF-8."""
    return small_files.write_mmsa(folder, name=os.fsdecode(b"f\xff\xe9.pkl"))


def chinese_names(folder: Path) -> Path:
    """A Chinese file name, ids and texts, which many a console cannot print."""

    def change(content: dict) -> None:
        for split, arrays in content.items():
            arrays["id"] = [f"电影{split}{k // 2}$_${k % 2}" for k in range(small_files.CLIPS)]
            arrays["raw_text"] = ["一部好电影 😀"] * small_files.CLIPS
            arrays["audio"][0] = np.nan

    return small_files.write_mmsa(folder, change, name="特征😀.pkl")


_BUILD = ("--build", "--corpus=mosi")  # refused before anything is built
_OUTSIDE = "whose bytes are not in the file itself"
DATA = (
    Hostile(".npz of 4.3 GB of zeros", npz_of_zeros, "audio: is said to be 0.27 GB"),
    Hostile(".npz of wide texts", npz_of_wide_texts, "text: is said to be 4.29 GB"),
    Hostile(".npz of one wide text", npz_of_one_wide_text, "text is damaged (a text of 1073741824 bytes)"),
    Hostile(".npz of 1e8 clips", npz_of_many_clips, "hold 100663296 clips"),
    Hostile(".npz of brackets", npz_of_brackets, "audio is damaged"),
    Hostile(".npz of fewer brackets", npz_of_few_brackets, "audio is damaged"),
    Hostile(".npz of -1 rows", npz_of_negative_shape, "audio is damaged"),
    Hostile("HDF5 never written", h5_never_written, "was never written"),
    Hostile("HDF5 of one chunk", h5_of_one_chunk, "is said to be 2.15 GB"),
    Hostile("HDF5 of long clips", h5_of_long_clips, "is said to be 2.15 GB"),
    Hostile("HDF5 of 1e8 clips", h5_of_many_clips, "was never written"),
    Hostile("HDF5 of 1e8 clips of zeros", h5_of_many_zero_clips, "hold 104857600 clips"),
    Hostile(".csd never written", csd_never_written, "was never written"),
    Hostile(".csd of one chunk", csd_of_one_chunk, "is said to be 2.68 GB"),
    Hostile(".csd of shared words", csd_of_shared_words, "is said to be"),
    Hostile("HDF5 in another file", h5_external_storage, _OUTSIDE),
    Hostile("HDF5 by a link", h5_external_link, _OUTSIDE),
    Hostile("HDF5 by a link to a link", h5_link_to_link, _OUTSIDE),
    Hostile("HDF5 in a pipe", h5_external_pipe, _OUTSIDE),
    Hostile("HDF5 put together", h5_virtual, _OUTSIDE),
    Hostile("HDF5 link to itself", h5_link_to_itself, "must hold one dataset"),
    Hostile(".csd in another file", csd_external_storage, _OUTSIDE),
    Hostile(".csd of another file's video", csd_external_video, _OUTSIDE),
    Hostile(".csd of another file's root", csd_external_root, _OUTSIDE),
    Hostile("a pipe", pipe, "is neither a file nor a folder"),
    Hostile("a device", link_to_device, "is neither a file nor a folder"),
    Hostile("a socket", bound_socket, "is neither a file nor a folder"),
    Hostile("a pipe among the files", splits_pipe, None),
    Hostile("a wide clip", wide_clip, "rows of 1000000 columns"),
    Hostile("a long clip", long_clip, None),
    Hostile("JSON in depth", deep_splits, "is nested too deeply"),
    Hostile("JSON at length", large_splits, "holds over 4000000 values"),
    Hostile("a pickle in depth", deep_pickle, "nested more than 32 deep"),
    Hostile("CSV of many columns", csv_of_many_columns, "no column video_id, clip_id, label", _BUILD),
    Hostile("CSV of a long split", csv_of_one_long_split, "is none of train"),
    Hostile("a pickle of many keys", pickle_of_many_keys, "no known format"),
    Hostile("escapes in a split", escapes_in_csv_split, "is none of train"),
    Hostile("escapes in ids", escapes_in_ids, None),
    Hostile("escapes in keys", escapes_in_keys, "no known format"),
    Hostile("escapes in columns", escapes_in_columns, "no column video_id", _BUILD),
    Hostile("escapes in a file name", escapes_in_file_name, None),
    Hostile("a file name in no encoding", file_name_in_no_encoding, None),
    Hostile("Chinese names", chinese_names, None),
)


# Folders of encoders.


def _encoder(folder: Path, **config: object) -> Path:
    """A folder that looks like BERT's, with a vocabulary and no weights."""
    sizes = {"vocab_size": 8, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
    config = {"model_type": "bert", "intermediate_size": 8, "max_position_embeddings": 8, **sizes, **config}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "film"]))
    return folder


def encoder_pipe(folder: Path) -> Path:
    """A named pipe in place of config.json."""
    (_encoder(folder) / "config.json").unlink()
    os.mkfifo(folder / "config.json")
    return folder


def encoder_in_depth(folder: Path) -> Path:
    """A config.json of brackets."""
    (_encoder(folder) / "config.json").write_text('{"a":' + "[" * 100_000 + "]" * 100_000 + "}")
    return folder


def encoder_outside(folder: Path) -> Path:
    """Weights that lie elsewhere."""
    index = {"weight_map": {"embeddings.word_embeddings.weight": "../../secret.safetensors"}}
    (_encoder(folder) / "model.safetensors.index.json").write_text(json.dumps(index))
    return folder


def encoder_with_code(folder: Path) -> Path:
    """A tokenizer and a model that bring code of their own."""
    tokenizer = {"AutoTokenizer": ["own.Own", None]}
    _encoder(folder, auto_map={"AutoConfig": "own.Own", "AutoModel": "own.Own", **tokenizer})
    (folder / "vocab.txt").unlink()
    marker = folder / MARKER
    (folder / "own.py").write_text(f"open({str(marker)!r}, 'w').close()\nclass Own: pass\n")
    said = {"tokenizer_class": "Own", "auto_map": tokenizer, "trust_remote_code": True}
    (folder / "tokenizer_config.json").write_text(json.dumps(said))
    return folder


ENCODERS = (
    Hostile("a pipe for a config", encoder_pipe, "is a named pipe"),
    Hostile("a config in depth", encoder_in_depth, "is nested too deeply"),
    Hostile("weights elsewhere", encoder_outside, "is not the name of a file beside it"),
    Hostile("code of its own", encoder_with_code, "no usable tokenizer"),
)


# Built corpora of somebody else: each takes the folder of a good one and changes it.


def cache_with_code(folder: Path) -> Path:
    """A feature of a class in a module beside the records, which TFDS would import."""
    (folder / "own_feature.py").write_text(f"open({str(folder / MARKER)!r}, 'w').close()\n")
    theirs = '"tensorflow_datasets.core.features.text_feature.Text"'
    return _change(folder, "features.json", theirs, '"own_feature.X"')


def cache_of_old_form(folder: Path) -> Path:
    """The same in the form that TFDS wrote once."""
    (folder / "own_feature.py").write_text(f"open({str(folder / MARKER)!r}, 'w').close()\n")
    (file,) = folder.rglob("features.json")
    file.write_text(json.dumps({"type": "own_feature.X", "content": {}}))
    return folder


def cache_of_features_in_info(folder: Path) -> Path:
    """A class named in dataset_info.json."""
    (folder / "own_feature.py").write_text(f"open({str(folder / MARKER)!r}, 'w').close()\n")
    return _info(folder, lambda info: info.update(features={"pythonClassName": "own_feature.X", "text": {}}))


def cache_of_another_module(folder: Path) -> Path:
    """A builder of a module beside the records; read, as nobody looks for it."""
    (folder / "own_feature.py").write_text(f"open({str(folder / MARKER)!r}, 'w').close()\n")
    return _info(folder, lambda info: info.update(moduleName="own_feature"))


def cache_of_records_elsewhere(folder: Path) -> Path:
    """Records in another folder."""
    return _info(folder, lambda info: info["splits"][0].update(filepathTemplate="/etc/{SPLIT}-{SHARD_INDEX}"))


def cache_of_linked_records(folder: Path) -> Path:
    """Records that are a link out of the folder."""
    file = next(file for file in folder.rglob("*-train.array_record*"))
    file.rename(folder.parent / "elsewhere")
    file.symlink_to(folder.parent / "elsewhere")
    return folder


def cache_in_depth(folder: Path) -> Path:
    """A features.json of brackets."""
    (file,) = folder.rglob("features.json")
    file.write_text('{"a":' + "[" * 100_000 + "]" * 100_000 + "}")
    return folder


def cache_of_a_pipe(folder: Path) -> Path:
    """A named pipe in place of a file of records."""
    file = next(file for file in folder.rglob("*-train.array_record*"))
    file.unlink()
    os.mkfifo(file)
    return folder


def _change(folder: Path, name: str, old: str, new: str) -> Path:
    (file,) = folder.rglob(name)
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))
    return folder


def _info(folder: Path, change: Callable[[dict], object]) -> Path:
    (file,) = folder.rglob("dataset_info.json")
    info = json.loads(file.read_text())
    change(info)
    file.write_text(json.dumps(info))
    return folder


_ANOTHER = "does not hold a corpus as this version builds it"
CACHES = (
    Hostile("a feature's class", cache_with_code, _ANOTHER),
    Hostile("a feature's class, as it was once written", cache_of_old_form, _ANOTHER),
    Hostile("a class in dataset_info.json", cache_of_features_in_info, _ANOTHER),
    Hostile("a builder's module", cache_of_another_module, None),
    Hostile("records elsewhere", cache_of_records_elsewhere, _ANOTHER),
    Hostile("records by a link", cache_of_linked_records, _ANOTHER),
    Hostile("features.json in depth", cache_in_depth, "is nested too deeply"),
    Hostile("a pipe of records", cache_of_a_pipe, "is a named pipe"),
)
