"""Containers of the standard library in pickles: read as plain values, without running anything."""

import argparse
import array
import collections
import datetime
import decimal
import fractions
import pathlib
import pickle
import time
import types
import zipfile

import joblib
import numpy as np
import pytest
import scipy.sparse

from msa_jax.data import readers
from msa_jax.data.readers import safe_pickle
from msa_jax.errors import UserError
from tests.data.small_files import mmsa

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)


def _load(tmp_path, content, protocol=4):
    (tmp_path / "a.pkl").write_bytes(content if protocol is None else pickle.dumps(content, protocol))
    return safe_pickle.load(tmp_path / "a.pkl")


def _default_dict():
    content = collections.defaultdict(list, a=[1])
    content["b"].append("x")
    return content


def _chain():
    return collections.ChainMap({"a": 1}, {"a": 2, "b": 3})


CONTAINERS = {
    "OrderedDict": (collections.OrderedDict([("b", 1), ("a", [2])]), {"b": 1, "a": [2]}),
    "defaultdict": (_default_dict(), {"a": [1], "b": ["x"]}),
    "defaultdict of dicts": (collections.defaultdict(dict, a={"k": 0.5}), {"a": {"k": 0.5}}),
    "defaultdict of sets": (collections.defaultdict(set, a={"k"}), {"a": {"k"}}),
    "Counter": (collections.Counter("aab"), {"a": 2, "b": 1}),
    "deque": (collections.deque([1, "x", (2,)], maxlen=5), [1, "x", (2,)]),
    "UserDict": (collections.UserDict(a=1), {"a": 1}),
    "UserList": (collections.UserList([1, 2]), [1, 2]),
    "ChainMap": (_chain(), {"a": 1, "b": 3}),
    "SimpleNamespace": (types.SimpleNamespace(a=1, b=[2]), {"a": 1, "b": [2]}),
    "Namespace": (argparse.Namespace(lr=0.5), {"lr": 0.5}),
    "bytearray": (bytearray(b"\xffab"), b"\xffab"),
    "PosixPath": (pathlib.PurePosixPath("/a/b.mp4"), "/a/b.mp4"),
    "Path": (pathlib.Path("clips/b.mp4"), "clips/b.mp4"),
    "WindowsPath": (pathlib.PureWindowsPath("C:/a/b"), "C:\\a\\b"),
    "datetime": (datetime.datetime(2024, 5, 6, 7, 8), "2024-05-06 07:08:00"),
    "datetime in a zone": (
        datetime.datetime(2024, 5, 6, 7, tzinfo=datetime.UTC),
        "2024-05-06 07:00:00 UTC+0:00:00",
    ),
    "date": (datetime.date(2024, 5, 6), "2024-05-06"),
    "time": (datetime.time(7, 8, 9), "07:08:09"),
    "range": (range(3, 12, 4), [3, 7, 11]),
    "range backwards": (range(2, -1, -1), [2, 1, 0]),
    "Decimal": (decimal.Decimal("-1.25"), -1.25),
    "Fraction": (fractions.Fraction(-3, 4), -0.75),
    "timedelta": (datetime.timedelta(seconds=90), "0:01:30"),
}


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("name", CONTAINERS)
def test_a_container_comes_as_a_plain_one(tmp_path, name, protocol):
    content, plain = CONTAINERS[name]
    back = _load(tmp_path, [content, {"k": content}], protocol)
    assert back == [plain, {"k": plain}]
    assert isinstance(back[0], type(plain)) or isinstance(plain, bytes)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("code", "bBhHiIlLqQfd")
def test_an_array_of_the_standard_library_keeps_its_numbers(tmp_path, code, protocol):
    content = array.array(code, [0, 1, 100])
    back = _load(tmp_path, {"labels": content}, protocol)["labels"]
    assert list(back) == [0, 1, 100]


def test_a_file_of_such_containers_is_read_as_one_of_dicts(tmp_path):
    plain = mmsa()
    for arrays in plain.values():
        arrays["audio_lengths"] = np.array(arrays["audio_lengths"])
        arrays["regression_labels"] = np.round(arrays["regression_labels"], 2)
    odd = collections.defaultdict(dict)
    for split, arrays in plain.items():
        odd[split] = collections.OrderedDict(arrays)
        odd[split] |= {
            "id": collections.deque(arrays["id"]),
            "regression_labels": array.array("d", arrays["regression_labels"]),
            "audio_lengths": range(6, 2, -1),
            "vision_lengths": [fractions.Fraction(n) for n in arrays["vision_lengths"]],
            "made": datetime.datetime(2024, 1, 1),
            "folder": pathlib.Path("/data"),
        }
    found = []
    for name, content in (("plain", plain), ("odd", odd)):
        (tmp_path / f"{name}.pkl").write_bytes(pickle.dumps(content))
        found.append(list(readers.read(tmp_path / f"{name}.pkl")))
    assert len(found[0]) == len(found[1]) == 12
    for one, two in zip(*found, strict=True):
        assert (one.id, one.split, one.text, one.label) == (two.id, two.split, two.text, two.label)
        np.testing.assert_array_equal(one.audio, two.audio)


def _named(name):
    return b"\x80\x02c" + name + b"\n"


@pytest.mark.parametrize(
    "raw",
    [
        _named(b"builtins\nlist") + b"]\x85R.",  # called, not named
        _named(b"collections\nUserDict") + b"}\x85R.",
        _named(b"types\nSimpleNamespace") + b"}\x85R.",
        _named(b"collections\nUserDict") + b"}\x85\x81.",
        _named(b"builtins\nobject") + b")\x81.",
        _named(b"builtins\nbytearray") + b"J\xff\xff\xff\x7f\x85R.",  # two billion zeros
        _named(b"pathlib\nPosixPath") + b"K\x01\x85R.",
        _named(b"datetime\ndatetime") + b"C\x02ab\x85R.".replace(b"C", b"U"),
        _named(b"builtins\nrange") + b"J\xff\xff\xff\x7f\x85R.",  # two billion numbers
        _named(b"builtins\nrange") + b"}\x85R.",
        _named(b"decimal\nDecimal") + b"]\x85R.",
        _named(b"decimal\nDecimal") + b"U\x01x\x85R.",
        _named(b"fractions\nFraction") + b"K\x01K\x00\x86R.",
        _named(b"fractions\nFraction") + b"U\x03a/b\x85R.",
        _named(b"array\n_array_reconstructor") + b"NNK\x63N\x86\x86\x86R.",
    ],
)
def test_a_stand_in_takes_nothing_else(tmp_path, raw):
    with pytest.raises(UserError):
        _load(tmp_path, raw, None)


@pytest.mark.parametrize("name", [b"collections\nOrderedDict", b"collections\ndeque", b"builtins\nset"])
def test_the_same_members_copied_again_and_again_are_refused_at_once(tmp_path, name):
    members = b"(" + b"".join(b"J" + k.to_bytes(4, "little") for k in range(10_000)) + b"l"
    pairs = b"]q\x01(" + b"".join(b"J" + k.to_bytes(4, "little") + b"N\x86" for k in range(10_000)) + b"e"
    many = pairs if name.endswith(b"OrderedDict") else members + b"q\x01"
    raw = b"\x80\x02" + many + b"0c" + name + b"\nq\x020](" + b"h\x02h\x01\x85R" * 20_000 + b"e."
    started = time.perf_counter()
    with pytest.raises(UserError, match="little else than"):
        _load(tmp_path, raw, None)
    assert time.perf_counter() - started < 20


def test_many_ranges_are_refused_at_once(tmp_path):
    raw = (
        b"\x80\x02](cbuiltins\nrange\nq\x01J\x00\x00\x10\x00\x85R"
        + b"h\x01J\x00\x00\x10\x00\x85R" * 1000
        + b"e."
    )
    with pytest.raises(UserError, match="little else than ranges"):
        _load(tmp_path, raw, None)


@pytest.mark.parametrize(
    ("module", "name", "message"),
    [
        (
            "pandas.core.frame",
            "DataFrame",
            r"pandas objects \(pandas.core.frame.DataFrame\).*\.to_numpy\(\)",
        ),
        (
            "torch._utils",
            "_rebuild_tensor_v2",
            r"PyTorch tensors.*tensor\.cpu\(\)\.numpy\(\).*pickle\.dump",
        ),
        ("tensorflow.python.framework.ops", "convert_to_tensor", r"TensorFlow tensors.*\.numpy\(\)"),
        ("numpy.ma", "MaskedArray", r"masked arrays of NumPy.*\.filled\(0\)"),
        ("__main__", "Clip", r"a class of the script that wrote it \(__main__\.Clip\)"),
        ("mylib.things", "Clip", "asks for mylib.things.Clip, which is neither a NumPy array nor"),
    ],
)
@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_objects_of_libraries_are_named_with_the_mend(tmp_path, module, name, message, protocol):
    one, two = module.encode(), name.encode()
    named = b"c" + one + b"\n" + two + b"\n"
    if protocol == 4:
        named = b"\x8c" + bytes([len(one)]) + one + b"\x8c" + bytes([len(two)]) + two + b"\x93"
    head = b"" if protocol == 0 else b"\x80" + bytes([protocol])
    with pytest.raises(UserError, match=message) as error:
        _load(tmp_path, head + b"(lp0\n" + named + b"(tRa.", None)
    assert "\n" not in str(error.value)


def test_a_sparse_matrix(tmp_path):
    with pytest.raises(UserError, match=r"sparse matrices of SciPy \(scipy\.sparse.*\.toarray\(\)"):
        _load(tmp_path, {"audio": scipy.sparse.csr_matrix(np.eye(3))})


@pytest.mark.parametrize(
    "compress", [0, ("zlib", 3), ("zlib", 9), ("gzip", 3), ("bz2", 3), ("xz", 3), ("lzma", 3)]
)
def test_what_joblib_writes(tmp_path, compress):
    path = tmp_path / "x.pkl"
    joblib.dump({"train": {"audio": np.random.default_rng(0).normal(size=(30, 4))}}, path, compress=compress)
    with pytest.raises(UserError, match=r"joblib\.load") as error:
        readers.read(path)
    assert str(path) in str(error.value)


def test_torch_save(tmp_path):
    """Its zip; and its older form, several pickles one after the other, of which the first is a number."""
    with zipfile.ZipFile(tmp_path / "new.pkl", "w") as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02}.")
        archive.writestr("archive/version", "3\n")
    old = b"".join(pickle.dumps(part, 2) for part in (0x1950A86A20F9469CFC6C, 1001, {}, {"a": 1}))
    (tmp_path / "old.pkl").write_bytes(old)
    message = r"written by torch\.save; .*tensor\.cpu\(\)\.numpy\(\).*pickle\.dump"
    for name in ("new.pkl", "old.pkl"):
        with pytest.raises(UserError, match=message):
            readers.read(tmp_path / name)
