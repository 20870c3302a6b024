"""Saves in the background: what waits is bounded, what a newer one needs is kept, what goes wrong is said."""

import concurrent.futures
import contextlib
import queue
import threading
import time
import weakref

import numpy as np
import pytest

from msa_jax import arrays_on_disk, checkpoint, checkpoint_folders
from msa_jax.checkpoint import Checkpoints
from msa_jax.writer import Writer


class Content:
    """Something that may be looked for."""


@pytest.fixture
def slow():
    """(a writer whose disk is busy until the event, the event, the list of what was written)."""
    writer, free, written = Writer("slow"), threading.Event(), []
    writer.run(free.wait, 60)
    yield writer, free, written
    free.set()
    writer.close()


def _save(slow, kind, step, needs=None):
    writer, _, written = slow
    content = Content()
    writer.save(lambda _: written.append((kind, step)), content, kind=kind, step=step, needs=needs)
    return weakref.ref(content)


def _end(slow):
    writer, free, written = slow
    free.set()
    writer.flush()
    return written


def test_of_what_waits_the_newest_is_saved_and_the_others_are_let_go(slow):
    kept = [_save(slow, "latest", step) for step in range(20)]
    assert [ref() is None for ref in kept] == [True] * 19 + [False]
    assert _end(slow) == [("latest", 19)]


def test_what_a_save_that_waits_needs_is_saved_before_it(slow):
    _save(slow, "best", 1)
    _save(slow, "latest", 2, ("best", 1))
    _save(slow, "best", 3)
    _save(slow, "best", 4)
    assert _end(slow) == [("best", 1), ("latest", 2), ("best", 4)]


def test_what_only_a_replaced_save_needed_goes_with_it(slow):
    kept = []
    for step in range(0, 40, 2):
        kept += [_save(slow, "best", step), _save(slow, "latest", step + 1, ("best", step))]
    assert sum(ref() is not None for ref in kept) == 2
    assert _end(slow) == [("best", 38), ("latest", 39)]


def test_a_state_whose_best_variables_are_being_written_is_not_replaced():
    """Each epoch is better, and ends while the next thing is written: what is on the disk still rises."""
    writer, began, go, written = Writer("rising"), queue.Queue(), queue.Queue(), []

    def write(what):
        began.put(what)
        go.get(timeout=60)
        written.append(what)

    epochs, most = 12, 0
    with contextlib.closing(writer):
        for epoch in range(epochs):
            writer.save(write, ("best", epoch), kind="best", step=epoch)
            writer.save(write, ("latest", epoch), kind="latest", step=epoch, needs=("best", epoch))
            most = max(most, len(writer._waiting()))
            began.get(timeout=60)
            go.put(None)
            while len(written) <= epoch:
                time.sleep(0.001)
        while_training = list(written)
        for _ in range(5):
            go.put(None)
    latest = [step for kind, step in written if kind == "latest"]
    assert latest == sorted({*latest})
    assert [step for kind, step in while_training if kind == "latest"] == [0, 1, 3, 5, 7, 9]
    assert latest[-1] == epochs - 1
    assert most <= 4
    done = set()
    for kind, step in written:
        assert kind == "best" or ("best", step) in done
        done.add((kind, step))


def test_what_is_next_in_turn_stays_where_others_wait_before_the_newer(slow):
    _save(slow, "best", 0)
    _save(slow, "latest", 0)
    for step in range(1, 9):
        _save(slow, "best", step)
        _save(slow, "latest", step, ("best", step))
    assert _end(slow) == [("best", 0), ("latest", 0), ("best", 8), ("latest", 8)]


def test_a_save_whose_need_failed_is_not_saved_and_fails_for_the_same_reason():
    """Also where it begins after the failure was told; and once what it needs is there, it is saved."""
    writer, written = Writer("failing"), []

    def fail(_):
        raise OSError("full")

    with contextlib.closing(writer):
        free = threading.Event()
        writer.run(free.wait, 60)
        writer.save(fail, 6, kind="best", step=6)
        writer.save(written.append, 6, kind="latest", step=6, needs=("best", 6))
        free.set()
        with pytest.raises(OSError, match="full"):
            writer.flush()
        writer.save(written.append, 7, kind="latest", step=7, needs=("best", 6))
        with pytest.raises(OSError, match="full"):
            writer.flush()
        assert written == []
        writer.save(written.append, 6, kind="best", step=6)
        writer.save(written.append, 8, kind="latest", step=8, needs=("best", 6))
        writer.flush()
    assert written == [6, 8]


def test_one_kind_does_not_replace_another_and_small_jobs_are_all_done(slow):
    writer, _, written = slow
    _save(slow, "frozen", 0)
    _save(slow, "latest", 5)
    for k in range(3):
        writer.run(written.append, k)
    _save(slow, "best", 9)
    assert _end(slow) == [("frozen", 0), ("latest", 5), 0, 1, 2, ("best", 9)]


def test_what_went_wrong_is_said_by_the_next_save_or_the_flush():
    writer = Writer("broken")

    def fail(_):
        raise OSError("full")

    with contextlib.closing(writer):
        writer.save(fail, None, kind="latest", step=1)
        with pytest.raises(OSError, match="full"):
            writer.flush()
        writer.flush()
        writer.save(fail, None, kind="latest", step=2)
        concurrent.futures.wait([writer._saves[-1].done])
        with pytest.raises(OSError, match="full"):
            writer.save(fail, None, kind="latest", step=3)
        writer.flush()


def test_checkpoints_on_a_slow_disk_are_few_and_end_with_the_newest(tmp_path, monkeypatch):
    """Thirty epochs while the first state is written: four copies at most, and one state to write then."""
    free, write, copies, wrote = threading.Event(), arrays_on_disk.write, [], []

    def slowly(folder, tree):
        free.wait(60)
        wrote.append(folder.parent.name)
        write(folder, tree)

    def on_host(tree):
        copies.append(weakref.ref(copy := {"w": np.array(tree["w"])}["w"]))
        return {"w": copy}

    monkeypatch.setattr(checkpoint.arrays_on_disk, "write", slowly)
    monkeypatch.setattr(checkpoint.arrays_on_disk, "on_host", on_host)
    with contextlib.closing(Checkpoints(tmp_path, "a run")) as checkpoints:
        for step in range(1, 31):
            tree = {"w": np.full(4, step, np.float32)}
            if step % 3 == 0:
                checkpoints.save_best(step, tree)
            checkpoints.save_latest(step, tree, {"best_step": step - step % 3 or None})
            assert sum(ref() is not None for ref in copies) <= 4
        free.set()
        checkpoints.flush()
    assert wrote[-2:] == [".writing-30", ".writing-30"]
    assert len(wrote) <= 4
    places = (
        checkpoint_folders.steps_in(tmp_path / "checkpoints" / "latest"),
        checkpoint_folders.steps_in(tmp_path / "checkpoints" / "best"),
    )
    assert (places[0][-1], places[1]) == (30, [30])
    like = {"params": {"w": np.zeros(4, np.float32)}}
    found = arrays_on_disk.read(tmp_path / "checkpoints/latest/30/arrays", like["params"], "")
    assert found["w"].tolist() == [30.0] * 4
