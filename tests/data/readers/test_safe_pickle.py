"""The restricted unpickler: what feature files need comes through, everything else is refused unexecuted."""

import collections
import os
import pickle

import numpy as np
import pytest

from msa_jax.data.readers import safe_pickle
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
