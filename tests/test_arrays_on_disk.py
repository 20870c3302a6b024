"""Arrays on disk: what is written is read, and what should be otherwise is refused before it is read."""

import numpy as np
import orbax.checkpoint as ocp
import pytest
import tensorstore

from msa_jax import arrays_on_disk
from msa_jax.errors import UserError

ONES = np.ones(4, np.float32)
TREE = {
    "params": {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": [np.zeros((), np.int32), ONES]},
    "key": np.array([1, 2], np.uint32),
    "more": np.full(2, 7, np.float32),
}


@pytest.fixture
def written(tmp_path):
    arrays_on_disk.write(tmp_path / "arrays", TREE)
    return tmp_path / "arrays"


def like(**params):
    return {**TREE, "params": {**TREE["params"], **params}}


def test_what_is_written_is_read(written):
    found = arrays_on_disk.read(written, TREE, "mend")
    assert found["params"]["a"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert found["params"]["b"][1].tolist() == [1, 1, 1, 1]
    assert (found["key"].tolist(), found["more"].tolist()) == ([1, 2], [7, 7])


@pytest.mark.parametrize(
    ("wanted", "line"),
    [
        (
            like(a=np.zeros((2, 4), np.float32)),
            r"params/a of shape \(2, 3\) and type float32 for \(2, 4\) and f",
        ),
        (
            like(a=np.zeros((2, 3), np.int32)),
            r"params/a of shape \(2, 3\) and type float32 for \(2, 3\) and int",
        ),
        (like(c=np.zeros(3)), "and none that is called params/c"),
        ({"params": TREE["params"], "key": TREE["key"]}, "more among them"),
    ],
)
def test_other_arrays_are_refused_before_they_are_read(written, wanted, line, monkeypatch):
    monkeypatch.setattr(ocp.Checkpointer, "restore", lambda *_, **__: pytest.fail("something was read"))
    with pytest.raises(UserError, match=rf"{written} holds other arrays, {line}.*; the mend"):
        arrays_on_disk.read(written, wanted, "the mend")


def test_a_part_that_is_larger_than_its_array_is_refused(written):
    """A part of zeros takes no room on the disk, and is made whole in memory."""
    spec = {
        "driver": "zarr",
        "kvstore": {"driver": "ocdbt", "base": f"file://{written}/", "path": "params.a/"},
        "metadata": {"shape": [2, 3], "chunks": [1 << 14, 1 << 14], "dtype": "<f4"},
    }
    array = tensorstore.open(spec, create=True, delete_existing=True).result()
    array[...] = TREE["params"]["a"]
    with pytest.raises(UserError, match=r"params/a of shape \(2, 3\) in parts of \(16384, 16384\); the mend"):
        arrays_on_disk.read(written, TREE, "the mend")
