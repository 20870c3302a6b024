"""The restricted unpickler: what feature files need comes through, everything else is refused unexecuted."""

import collections
import dataclasses
import io
import json
import os
import pickle
import struct
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from msa_jax.data import readers
from msa_jax.data.conventions import label_columns, texts
from msa_jax.data.readers import clean, pickled_arrays, safe_pickle
from msa_jax.errors import UserError


def _write(path, content, protocol=4):
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    return path


class _Touch:
    """Unpickled by `pickle.load`, makes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_arrays_and_containers_come_back(tmp_path, protocol):
    content = {
        "float32": np.arange(6, dtype=np.float32).reshape(2, 3),
        "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "big-endian": np.arange(3, dtype=">i4"),
        "empty": np.zeros((0, 5), np.float64),
        "strings": np.array(["a", "wörd"]),
        "bytes": np.array([b"ab", b"c"]),
        "objects": np.array([[1.5, "x"], [None, b"y"]], dtype=object),
        "bools": np.array([True, False]),
        "plain": [1, (2.5, None), {"k": b"\xff"}, {1, 2}, frozenset([3]), b"", "ü"],
    }
    back = safe_pickle.load(_write(tmp_path / "a.pkl", content, protocol))
    assert back.keys() == content.keys()
    assert back["plain"] == content["plain"]
    for name, array in content.items():
        if name != "plain":
            np.testing.assert_array_equal(np.asarray(back[name]), array)
            assert (back[name].dtype.kind, back[name].itemsize) == (array.dtype.kind, array.itemsize)


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_scalars_become_python_values(tmp_path, protocol):
    content = [
        np.float32(1.5),
        np.int64(3),
        np.bool_(True),
        np.str_("id"),
        collections.OrderedDict(a=np.float64(2)),
    ]
    back = safe_pickle.load(_write(tmp_path / "a.pkl", content, protocol))
    assert back == [1.5, 3, True, "id", {"a": 2.0}]
    assert [type(value) for value in back] == [float, int, bool, str, dict]


def test_old_and_new_numpy_module_names(tmp_path):
    raw = pickle.dumps(np.arange(3), protocol=2)
    for name in (b"numpy.core.multiarray", b"numpy._core.multiarray"):
        (tmp_path / "a.pkl").write_bytes(raw.replace(b"numpy._core.multiarray", name))
        np.testing.assert_array_equal(safe_pickle.load(tmp_path / "a.pkl"), np.arange(3))


@pytest.mark.parametrize("wrap", [lambda x: x, lambda x: [x], lambda x: np.array([x, 1], dtype=object)])
@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_code_is_refused_and_not_executed(tmp_path, wrap, protocol):
    victim = tmp_path / "touched"
    path = _write(tmp_path / "a.pkl", wrap(_Touch(victim)), protocol)
    with pytest.raises(UserError, match=r"asks for (posix|nt)\.system") as error:
        safe_pickle.load(path)
    assert not victim.exists()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "name",
    [
        b"builtins\neval",
        b"builtins\ngetattr",
        b"numpy\nload",
        b"numpy.core.multiarray\nfrombuffer",
        b"os\nsystem",
    ],
)
def test_other_names_are_refused(tmp_path, name):
    (tmp_path / "a.pkl").write_bytes(b"\x80\x02c" + name + b"\n.")
    with pytest.raises(UserError, match=name.replace(b"\n", b".").decode()):
        safe_pickle.load(tmp_path / "a.pkl")


def test_bytes_never_become_objects(tmp_path):
    """A forged data type must not let raw bytes be taken for object pointers."""
    raw = pickle.dumps(np.arange(4, dtype=np.int64), protocol=2)
    assert raw.count(b"i8") == 1
    (tmp_path / "a.pkl").write_bytes(raw.replace(b"i8", b"O8"))
    with pytest.raises(UserError, match="damaged"):
        safe_pickle.load(tmp_path / "a.pkl")
    record = np.zeros(2, [("a", np.int32), ("b", object)])
    with pytest.raises(UserError, match="data type"):
        safe_pickle.load(_write(tmp_path / "b.pkl", record))
    with pytest.raises(UserError, match="data type"):
        safe_pickle.load(_write(tmp_path / "c.pkl", np.array(["2020-01-01"], "datetime64[D]")))


def test_truncated_anywhere_is_one_line(tmp_path):
    raw = pickle.dumps({"train": [np.arange(10.0), "word", b"id"]}, protocol=4)
    path = tmp_path / "a.pkl"
    for end in range(1, len(raw) - 1, 7):
        path.write_bytes(raw[:end])
        with pytest.raises(UserError) as error:
            safe_pickle.load(path)
        assert "\n" not in str(error.value)
        assert str(path) in str(error.value)


def test_bytes_that_do_not_fill_the_shape(tmp_path):
    raw = pickle.dumps(np.arange(4, dtype=np.int64), protocol=2)
    (tmp_path / "a.pkl").write_bytes(raw.replace(b"i8", b"i4"))
    with pytest.raises(UserError, match="do not fill its shape"):
        safe_pickle.load(tmp_path / "a.pkl")


class _Python2(pickle._Pickler):
    """Writes text and bytes as Python 2's `str`; protocol 0 or 2."""

    dispatch: ClassVar = dict(pickle._Pickler.dispatch)

    def _string(self, value):
        raw = value if isinstance(value, bytes) else value.encode("latin1")
        if self.proto and len(raw) < 256:
            self.write(pickle.SHORT_BINSTRING + bytes([len(raw)]) + raw)
        elif self.proto:
            self.write(pickle.BINSTRING + struct.pack("<i", len(raw)) + raw)
        else:
            self.write(b"S" + repr(raw)[1:].encode() + b"\n")
        self.memoize(value)

    dispatch[str] = dispatch[bytes] = _string


def _python2(content, protocol):
    file = io.BytesIO()
    _Python2(file, protocol).dump(content)
    return file.getvalue().replace(b"numpy._core", b"numpy.core")


@pytest.mark.parametrize("protocol", [0, 2])
def test_python_2(tmp_path, protocol):
    """Strings are bytes, which `texts.decoded` decodes, and so it does those of keys that are not UTF-8."""
    array = np.random.default_rng(0).normal(size=(100, 7))
    content = {
        "train": [{"text": array, "id": "it's"}, "好".encode(), b"caf\xe9", "both \" and '"],
        b"\xe9": 1,
    }
    (tmp_path / "a.pkl").write_bytes(_python2(content, protocol))
    back = safe_pickle.load(tmp_path / "a.pkl")
    assert list(back) == ["train", "\udce9"]
    back = texts.decoded(back, None, "a.pkl").content
    assert list(back) == ["train", "é"]
    first, *strings = back["train"]
    assert list(first) == ["text", "id"]
    np.testing.assert_array_equal(first["text"], array)
    assert strings == ["好", "café", "both \" and '"]
    assert clean.string(first["id"]) == "it's"


@pytest.mark.parametrize("cut", range(4))
def test_long_strings_are_decoded_in_pieces(tmp_path, cut):
    """No escape sequence of Python 2's strings is cut through, wherever the pieces end."""
    text = b"x" * cut + b"\\'\xe9\n\"ab\\\\n" * 100_000 + b"\\"
    (tmp_path / "a.pkl").write_bytes(_python2([text], 0))
    assert safe_pickle.load(tmp_path / "a.pkl") == [text]


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5, "python 2, protocol 0", "python 2, protocol 2"])
def test_memory_is_that_of_the_arrays(tmp_path, protocol):
    array = np.random.default_rng(0).integers(0, 256, 8_000_000, np.uint8).view(np.float32)
    if isinstance(protocol, int):
        raw = pickle.dumps({"a": array}, protocol=protocol)
    else:
        raw = _python2({"a": array}, int(protocol[-1]))
    path = tmp_path / "a.pkl"
    path.write_bytes(raw)
    del raw
    tracemalloc.start()
    try:
        back = safe_pickle.load(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert back["a"].tobytes() == array.tobytes()
    assert peak < 1.2 * array.nbytes + 4e6  # the pieces that it is read in


def _nested(opening, levels, width=1000):
    """A container in a container, `width` times over at each level."""
    code, closing = opening
    raw = b"\x80\x04" + code + (b"K\x01" * width) + closing + b"q\x00"
    for level in range(1, levels):
        raw += code + b"h" + b"h".join([bytes([level - 1])] * width) + closing + b"q" + bytes([level])
    return raw + b"."


def _state(shape, dtype, raw):
    """The state of an array as protocol 2 writes it, with parts that are not checked by the pickler."""
    return (
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R(K\x01"
        + shape
        + b"cnumpy\ndtype\nU"
        + bytes([len(dtype)])
        + dtype
        + b"K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89"
        + raw
        + b"tb."
    )


_LISTS, _TUPLES = (b"](", b"e"), (b"(", b"t")
_DOUBLED = b"]q\x00" + b"".join(
    b"0](h%ch%ceq%c" % (n, n, n + 1) for n in range(60)
)  # 2**60 members as a text
_MEMO = b"q\x640"  # keeps what is on the stack at place 100
_LONG = b"T" + struct.pack("<i", 4 << 20) + b"a" * (4 << 20) + _MEMO
_KEY = b"T" + struct.pack("<i", 60_000) + b"\xffa" * 30_000 + _MEMO
_EMPTY = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
_ITSELF = (
    _EMPTY
    + _MEMO
    + _state(b"K\x01\x85", b"O8", b"]h\x64a").partition(b"\x87R")[2][:-2].join((b"h\x64", b"b0"))
)


def _swapped(times):
    """Arrays whose bytes are in another order, out of the same bytes."""
    state = _state(b"J\x40\x42\x0f\x00\x85", b"f4", b"T" + struct.pack("<i", 4_000_000) + bytes(4_000_000))
    state = state.partition(b"\x87R")[2][:-2].replace(b"U\x01|", b"U\x01>")
    return b"\x80\x02" + state + _MEMO + b"](" + (_EMPTY + b"h\x64b0") * times + b"e."


_PAIR = b"K\x01q\x000" + b"".join(b"h%ch%c\x86q%c0" % (n, n, n + 1) for n in range(99)) + b"h\x63"
_MUCH = struct.pack("<Q", 10 << 30)
_ARRAY = pickle.dumps(np.arange(20_000), protocol=2)[:-1]
# Small files that would take gigabytes, or forever, from a loader that believes them; and what is said.
_HOSTILE = {
    **{
        f"length of {code!r}": (b"\x80\x04" + code + length + b"abc.", "longer than the file")
        for code, length in {
            **dict.fromkeys([b"\x95", b"\x8d", b"\x8e", b"\x96"], _MUCH),
            **dict.fromkeys([b"X", b"B", b"T", b"\x8b"], b"\xff\xff\xff\x7f"),
        }.items()
    },
    "negative": (b"\x80\x04T\xff\xff\xff\xffabc.", "part of -1 bytes"),
    "sets": (b"\x80\x04(" + b"\x8f" * 2_500_000 + b"t.", "little else than empty containers"),
    "memo": (b"\x80\x04K\x01" + b"\x94" * 5_000_000 + b".", "little else than empty containers"),
    "lists of lists": (_nested(_LISTS, 5), "same contents over and over"),
    "tuples of tuples": (_nested(_TUPLES, 5), "same contents over and over"),
    "one array many times": (_ARRAY + b"q\xff](" + b"h\xff" * 50_000 + b"e.", "same contents over"),
    "a list in itself": (b"\x80\x02]q\x00h\x00a.", "nested more than"),
    "deep": (b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b".", "nested more than"),
    "a key of tuples": (b"\x80\x04}" + _PAIR + b"K\x01s.", "key of type tuple"),
    "keys of tuples": (b"\x80\x04}(" + _PAIR + b"K\x01u.", "key of type tuple"),
    "a dict of tuples": (b"\x80\x04(" + _PAIR + b"K\x01d.", "key of type tuple"),
    "a set of tuples": (b"\x80\x04\x8f(" + _PAIR + b"\x90.", "key of type tuple"),
    "a frozenset of tuples": (b"\x80\x04(" + _PAIR + b"\x91.", "key of type tuple"),
    "a called set": (b"\x80\x02c__builtin__\nset\n(" + _PAIR + b"t\x85R.", "key of type tuple"),
    "an OrderedDict": (
        b"\x80\x02ccollections\nOrderedDict\n](](" + _PAIR + b"K\x01ee\x85R.",
        "key of type tuple",
    ),
    "a colliding key": (b"\x80\x02}" + pickle.dumps(1 << 70)[2:-1] + b"K\x01s.", "key of type int"),
    "texts without letters": (
        _state(b"\x8a\x06\x00\x00\x00\x00\x00\x01\x85", b"S0", b"U\x00"),
        "empty array",
    ),
    "empty rows": (_state(b"\x8a\x06\x00\x00\x00\x00\x00\x01K\x00\x86", b"f4", b"U\x00"), "empty array"),
    "a number for bytes": (_state(b"K\x01\x85", b"f4", b"J\x00\x00\x00\x7f"), "instead of an array's bytes"),
    "a long text": (
        b"\x80\x03X" + struct.pack("<I", 300_000) + "好".encode() * 100_000 + b".",
        "a text of over",
    ),
    "a doubled list for a type": (
        b"\x80\x02" + _DOUBLED + b"0cnumpy\ndtype\nh\x3c\x85R.",
        "data type in a list",
    ),
    "a doubled list for a zone": (
        b"\x80\x02" + _DOUBLED + b"0cdatetime\ntimezone\nh\x3c\x85R.",
        "offset in a list",
    ),
    "a doubled list for an encoding": (
        b"\x80\x02" + _DOUBLED + b"0c_codecs\nencode\nX\x01\x00\x00\x00ah\x3c\x86R.",
        "the encoding in a list",
    ),
    "an array in itself for an encoding": (
        b"\x80\x02" + _ITSELF + b"c_codecs\nencode\nX\x01\x00\x00\x00ah\x64\x86R.",
        "the encoding in a Array",
    ),
    "an array in itself for a code": (
        b"\x80\x02" + _ITSELF + b"carray\narray\nh\x64]\x86R.",
        "an array of characters",
    ),
    "an array in itself for days": (
        b"\x80\x02" + _ITSELF + b"cdatetime\ntimedelta\nh\x64\x85R.",
        "a duration that is not whole numbers",
    ),
    "sets of bytes": (
        b"\x80\x02" + _LONG + b"](" + b"cbuiltins\nset\nh\x64\x85R" * 20 + b"e.",
        "members of a container in a bytes",
    ),
    "a ChainMap of one dict": (
        b"\x80\x02}("
        + b"".join(b"J" + struct.pack("<i", k) + b"N" for k in range(10_000))
        + b"u"
        + _MEMO
        + b"ccollections\nChainMap\n)R}X\x04\x00\x00\x00maps]("
        + b"h\x64" * 40_000
        + b"esb.",
        "same contents over and over",
    ),
    "one long key": (b"\x80\x02" + _KEY + b"](" + b"}h\x64Ns" * 60_000 + b"e.", "little else than long keys"),
    "one long key in pairs": (
        b"\x80\x02"
        + _KEY
        + b"]("
        + b"h\x64N\x86" * 4000
        + b"eq\x010ccollections\nOrderedDict\nq\x020]("
        + b"h\x02h\x01\x85R" * 300
        + b"e.",
        "little else than",
    ),
    "one long member of sets": (
        b"\x80\x04" + _KEY + b"](" + b"\x8f(h\x64\x90(h\x64\x91" * 60_000 + b"e.",
        "little else than",
    ),
    "bytes in another order": (_swapped(1200), "same contents over and over"),
    "many arguments": (
        b"\x80\x02X\x00\x00\x00\x00"
        + _MEMO
        + b"("
        + b"h\x64" * 100_000
        + b"tq\x010cpathlib\nPosixPath\nq\x020]("
        + b"h\x02h\x01R0" * 20_000
        + b"e.",
        "little else than calls",
    ),
    "long sides": (
        b"\x80\x02\x8b"
        + struct.pack("<i", 800_000)
        + b"\x7f" * 800_000
        + _MEMO
        + _state(b"(" + b"h\x64" * 32 + b"t", b"f4", b"U\x00")[2:],
        "a shape that none can have",
    ),
    "more after the end": (b"\x80\x03K\x01.K\x01.", "goes on after its end"),
}
_LOAD = """
import json, pathlib, resource, sys
from msa_jax.data.readers import safe_pickle
from msa_jax.errors import UserError

now = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (now + 450_000_000,) * 2)
said = {}
for path in sys.argv[1:]:
    try:
        said[path] = repr(safe_pickle.load(pathlib.Path(path)))[:100]
    except UserError as error:
        said[path] = str(error)
print(json.dumps(said))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is limited as Linux does it")
def test_hostile_files_take_neither_memory_nor_time(tmp_path):
    for name, (raw, _) in _HOSTILE.items():
        (tmp_path / name.replace("\\", "")).write_bytes(raw)
    far = tmp_path / "far in the memo"
    far.write_bytes(b"\x80\x02K\x07r\xf0\xff\xff\xffp99999999999\n.")
    paths = [str(tmp_path / name.replace("\\", "")) for name in _HOSTILE]
    command = [sys.executable, "-c", _LOAD, *paths, str(far)]
    root = Path(__file__).resolve().parents[3]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=root)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said.pop(str(far)) == "7", "a place in the memo is a name, not an amount"
    for path, (_, message) in zip(paths, _HOSTILE.values(), strict=True):
        assert message in said[path], path
        assert "\n" not in said[path]


@pytest.mark.parametrize("code", [b"P1\n", b"Q", b"\x82\x01", b"\x83\x01\x00", b"2", b"(ios\nsystem\n", b"o"])
def test_instructions_that_nobody_needs(tmp_path, code):
    (tmp_path / "a.pkl").write_bytes(b"\x80\x04K\x01" + code + b".")
    persistent = code in (b"P1\n", b"Q")  # which torch.save alone uses
    message = (
        "written by torch.save" if persistent else r"asks for (the instruction [A-Z0-9_]+|an object of a c)"
    )
    with pytest.raises(UserError, match=message):
        safe_pickle.load(tmp_path / "a.pkl")


def test_the_stand_ins_cannot_be_changed(tmp_path):
    (tmp_path / "a.pkl").write_bytes(b"\x80\x02c_codecs\nencode\nN}U\x07touchedK\x01s\x86b.")
    with pytest.raises(UserError, match="asks for the state of something"):
        safe_pickle.load(tmp_path / "a.pkl")
    assert not hasattr(pickled_arrays._encode, "touched")


@pytest.mark.parametrize(
    "numbers", [lambda v: label_columns.numbers(v, len(v), "clip {}".format), clean.features, clean.shape]
)
def test_texts_among_numbers_take_no_memory(numbers):
    """As a matrix of characters, these are 400 MB."""
    texts = ["a"] * 2000 + ["a" * 50_000]
    tracemalloc.start()
    try:
        if numbers is clean.shape:
            assert numbers(texts) == (2001,)
        else:
            with pytest.raises(ValueError, match=r"could not convert|clip 0 has 'a', which is not"):
                numbers(texts)
        assert tracemalloc.get_traced_memory()[1] < 20e6
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("protocol", [2, 4, 5])
@pytest.mark.parametrize("order", "<>")
def test_numbers_that_are_no_characters(tmp_path, protocol, order):
    """NumPy would make strings of them that Python cannot hold."""
    for content in (np.array(["qz"], f"{order}U2"), np.str_("qz")):
        raw = pickle.dumps(content, protocol=protocol)
        assert raw.count(b"q\0\0\0z") == 1
        (tmp_path / "a.pkl").write_bytes(raw.replace(b"q\0\0\0z", b"q\x11\x11\x11z"))
        with pytest.raises(UserError, match="numbers that are not characters"):
            safe_pickle.load(tmp_path / "a.pkl")


def test_halves_of_characters():
    assert clean.text("\ud83d\ude00 a \ud83d") == "\U0001f600 a \ufffd"


def test_strings_longer_than_any_transcript():
    with pytest.raises(ValueError, match="a text of 2000000 characters"):
        clean.text(b"a" * 2_000_000)
    with pytest.raises(ValueError, match="a list instead of a text"):
        clean.string(["a"])


_WORDS = [
    ((np.arange(2), np.ones((2, 3)), np.ones((2, 2), np.float32), ["so", "good"]), np.ones((1, 1)), "v[0]")
]
_MMSA = {
    "id": ["v$_$0"],
    "raw_text": np.array(["a b"]),
    "audio": np.ones((1, 3, 2)),
    "vision": np.ones((1, 4, 2), np.float32),
    "audio_lengths": [3],
    "regression_labels": np.array([0.5]),
}


@pytest.mark.parametrize("content", [{"train": _WORDS}, {"train": _MMSA}], ids=["words", "MMSA"])
@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_a_flipped_bit_is_one_line_or_nothing(tmp_path, content, protocol):
    raw = pickle.dumps(content, protocol=protocol)
    path = tmp_path / "a.pkl"
    rng = np.random.default_rng(0)
    said = []
    for place in range(0, len(raw), 3):
        flipped = bytearray(raw)
        flipped[place] ^= 1 << rng.integers(8)
        path.write_bytes(flipped)
        try:
            list(readers.read(path))
        except UserError as error:  # and nothing else
            said.append(str(error))
    assert len(said) > len(raw) // 20
    assert all("\n" not in message and str(path) in message for message in said)


def test_a_file_larger_than_the_free_memory_is_refused_before_it_is_read(tmp_path, monkeypatch):
    path = tmp_path / "x.pkl"
    path.write_bytes(pickle.dumps([np.zeros(1000)]))
    free = dataclasses.make_dataclass("Memory", ["available"])
    monkeypatch.setattr("psutil.virtual_memory", lambda: free(path.stat().st_size - 1))
    with pytest.raises(UserError, match=r"read whole, and 0\.00 GiB of memory are not free"):
        safe_pickle.load(path)
    monkeypatch.setattr("psutil.virtual_memory", lambda: free(path.stat().st_size))
    assert len(safe_pickle.load(path)) == 1
