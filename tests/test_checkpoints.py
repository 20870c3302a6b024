"""Checkpoints: which are deleted, which are believed, which are written again, and what a reader finds."""

import contextlib
import errno
import shutil
import threading

import numpy as np
import pytest

from msa_jax import arrays_on_disk, checkpoint, checkpoint_folders, kept, seals, workdir
from msa_jax.checkpoint import Checkpoints
from msa_jax.checkpoint_folders import restore_best
from msa_jax.errors import UserError
from msa_jax.files import write_json

RUN = "a" * 64


def params(value):
    return {"w": np.full(3, value, np.float32)}


def write(folder, *steps, run=RUN, best=True):
    """Checkpoints of a run after some steps, each the best so far, and each known to be good."""
    with contextlib.closing(Checkpoints(folder, run)) as opened:
        for step in steps:
            progress = kept.fresh()
            if best:
                opened.save_best(step, {"params": params(step)})
                progress |= {"best_epoch": 0, "best_value": 0.5, "best_by": "l1", "best_step": step}
            opened.save_latest(step, params(step), progress)
            opened.seen_finite(step + 1)
            opened.flush()  # otherwise the next one may take its place


def steps_in(folder, kind):
    return checkpoint_folders.steps_in(folder / "checkpoints" / kind)


def content(folder):
    """Every file below a folder with its bytes and time."""
    files = (p for p in folder.rglob("*") if p.is_file())
    return {str(p.relative_to(folder)): (p.read_bytes(), p.stat().st_mtime_ns) for p in files}


def resumed(folder, run=RUN):
    """(state, progress) as a resumed run gets them."""
    with contextlib.closing(Checkpoints(folder, run)) as opened:
        return opened.restore_latest(params(0), lambda *_, **__: None)


def best(folder, step=None):
    return restore_best(folder, {"params": params(0)}, RUN, step)["params"]["w"].tolist()


def arrays_of(place):
    """The largest of the files that hold a checkpoint's arrays."""
    return max((p for p in (place / "arrays").rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)


def flip(file):
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


@pytest.fixture
def run(tmp_path):
    """A folder with the checkpoints of steps 3 and 6."""
    write(tmp_path / "run", 3, 6)
    return tmp_path / "run"


def test_the_fixture_is_a_run_that_can_be_resumed(run):
    state, progress = resumed(run)
    assert (state["w"].tolist(), progress["best_step"], best(run)) == ([6.0] * 3, 6, [6.0] * 3)
    assert (steps_in(run, "latest"), steps_in(run, "best")) == ([6], [6])


@pytest.mark.parametrize("place", [".", "latest", "best", "frozen", "best/6", "latest/6", "best/.writing-9"])
def test_nothing_is_written_or_deleted_through_a_linked_folder(run, tmp_path, place):
    linked, target = run / "checkpoints" / place, tmp_path / "target"
    if linked.exists():
        linked.rename(target)
    for name in ("6", "2019", ".writing-1"):
        (target / name).mkdir(parents=True, exist_ok=True)
        (target / name / "photo").write_text("precious")
    linked.symlink_to(target)
    before = content(target)
    with pytest.raises(UserError, match=r"is a symbolic link, which is not written through; remove it"):
        Checkpoints(run, RUN)
    assert content(target) == before


def test_only_what_the_run_has_sealed_is_deleted(run, tmp_path):
    """Not folders of numbers that hold something else, and no checkpoints of another run."""
    write(tmp_path / "other", 5, run="b" * 64)
    theirs = [run / "checkpoints" / kind / "2" for kind in ("latest", "best")]
    for place in theirs:
        place.mkdir()
        (place / "photo").write_text("precious")
    for kind in ("latest", "best"):
        shutil.copytree(tmp_path / "other" / "checkpoints" / kind / "5", run / "checkpoints" / kind / "5")
    before = content(run)
    with contextlib.closing(Checkpoints(run, RUN)) as opened:
        opened.latest_step = 6
        opened.restore_latest(params(0), lambda *_, **__: None)
        for step in (9, 12):
            opened.save_best(step, {"params": params(step)})
            opened.save_latest(step, params(step), kept.fresh() | {"best_step": step})
            opened.seen_finite(step + 1)
            opened.flush()  # otherwise the next one may take its place
        opened.save_latest(15, params(15), kept.fresh() | {"best_step": 12})
        assert "last good checkpoint: step 12 in" in opened.reject()
    assert (steps_in(run, "latest"), steps_in(run, "best")) == ([2, 5, 12], [2, 5, 12])
    after = content(run)
    kept_files = {name for name in before if name.split("/")[2] in ("2", "5")}
    assert len(kept_files) > 8
    assert {name: after[name] for name in kept_files} == {name: before[name] for name in kept_files}


def test_a_checkpoint_is_not_written_over_other_things(run):
    place = run / "checkpoints" / "best" / "9"
    place.mkdir()
    (place / "photo").write_text("precious")
    with contextlib.closing(Checkpoints(run, RUN)) as opened:
        opened.save_best(9, {"params": params(9)})
        with pytest.raises(UserError, match=r"best/9 is in the way of a checkpoint, .*; move it away"):
            opened.flush()
    assert (place / "photo").read_text() == "precious"
    assert best(run, 6) == [6.0] * 3


@pytest.mark.parametrize(
    ("place", "what"),
    [
        *((place, "of another run") for place in ("latest/9", "best/9", "frozen/0")),
        *(("latest/9", "without a seal"), ("best/9", "without a seal"), ("frozen/0", "a file")),
    ],
)
def test_what_the_run_has_not_sealed_is_not_replaced(run, tmp_path, place, what):
    """A frozen encoder without a seal is (see below): it is made anew from the same file."""
    there = run / "checkpoints" / place
    there.parent.mkdir(exist_ok=True)
    if what == "a file":
        there.write_text("precious")
    else:
        with contextlib.closing(Checkpoints(tmp_path / "other", "b" * 64)) as theirs:
            theirs.save_best(9, {"params": params(9)})
            theirs.save_latest(9, params(9), kept.fresh())
            theirs.save_frozen({"w": params(9)["w"]})
        shutil.copytree(tmp_path / "other" / "checkpoints" / place, there)
        if what == "without a seal":
            (there / seals.FILE).unlink()
    before = content(run)
    with contextlib.closing(Checkpoints(run, RUN)) as opened:
        opened.latest_step = 6
        save = {
            "latest/9": lambda: opened.save_latest(9, params(1), kept.fresh()),
            "best/9": lambda: opened.save_best(9, {"params": params(1)}),
            "frozen/0": lambda: opened.save_frozen({"w": params(1)["w"]}),
        }[place]
        save()
        with pytest.raises(UserError, match=rf"{there} is in the way of a checkpoint, and .*; move it away"):
            opened.flush()
    assert content(run) == before


@pytest.mark.parametrize("how", ["gone", "unsealed"])
def test_the_mend_deletes_no_more_than_it_must(run, how):
    """An earlier state is there with the best variables that it names: only the last one need go."""
    with contextlib.closing(Checkpoints(run, RUN)) as opened:
        opened.save_best(9, {"params": params(9)})
        opened.save_latest(9, params(9), kept.fresh() | {"best_step": 9})
    assert (steps_in(run, "latest"), steps_in(run, "best")) == ([6, 9], [6, 9])
    best_9, latest_9 = (run / "checkpoints" / kind / "9" for kind in ("best", "latest"))
    shutil.rmtree(best_9) if how == "gone" else (best_9 / seals.FILE).unlink()
    aside = f" and move {best_9} away" if how == "unsealed" else ""
    line = (
        rf"best/9; bring it back .*, or delete {latest_9}{aside}: the same command then goes on from step 6$"
    )
    with pytest.raises(UserError, match=line):
        resumed(run)
    shutil.rmtree(latest_9)
    assert resumed(run)[0]["w"].tolist() == [6.0] * 3


def test_a_state_whose_best_variables_could_not_be_written_is_not_written_either(run, monkeypatch):
    """Room comes back between the two: the next start goes on from the state before."""
    write_arrays, calls = arrays_on_disk.write, []

    def first_without_room(folder, tree):
        calls.append(folder)
        if len(calls) == 1:
            raise OSError(errno.ENOSPC, "No space left on device")
        write_arrays(folder, tree)

    monkeypatch.setattr(arrays_on_disk, "write", first_without_room)
    opened, free = Checkpoints(run, RUN), threading.Event()
    opened._writer.run(free.wait, 60)
    opened.save_best(9, {"params": params(9)})
    opened.save_latest(9, params(9), kept.fresh() | {"best_step": 9})
    free.set()
    with pytest.raises(UserError, match=r"step 9 could not be written .*there is no room on the disk"):
        opened.close()
    assert (steps_in(run, "latest"), steps_in(run, "best")) == ([6], [6])
    assert resumed(run)[0]["w"].tolist() == [6.0] * 3


def test_best_variables_that_were_just_written_stay_until_their_state_is(run):
    """Also where a later number is there, as after a start from an earlier state; what none names goes."""
    with contextlib.closing(Checkpoints(run, RUN)) as opened:
        for step in (2, 4, 9, 12):
            opened.save_best(step, {"params": params(step)})
            opened.seen_finite(7)
            opened.flush()
            assert steps_in(run, "best") == sorted({step, 6})


@pytest.mark.parametrize(
    "inside", ["latest/6/good", "best/6/arrays", "best/6/seal.json", "frozen/0/arrays/x"]
)
def test_nothing_is_written_or_read_through_a_link_in_a_checkpoint(run, tmp_path, inside):
    link, target = run / "checkpoints" / inside, tmp_path / "target"
    link.parent.mkdir(parents=True, exist_ok=True)
    if link.exists() and not inside.endswith("good"):
        link.rename(target)
    else:
        link.unlink(missing_ok=True)  # and it leads nowhere
    link.symlink_to(target)
    there = target.exists()
    with pytest.raises(UserError, match=rf"{link}: is a symbolic link, which is not written through; remove"):
        Checkpoints(run, RUN)
    if not inside.startswith("latest"):
        with pytest.raises(UserError, match=rf"{link} is a symbolic link, and a checkpoint holds none; "):
            best(run, 6)
    assert target.exists() == there


def test_a_state_is_not_confirmed_through_a_link_that_comes_later(run, tmp_path):
    latest, target = run / "checkpoints" / "latest", tmp_path / "target"
    with contextlib.closing(Checkpoints(run, RUN)) as opened:
        opened.save_latest(9, params(9), kept.fresh())
        opened.flush()
        (latest / "9" / "good").symlink_to(target)
        opened.seen_finite(10)
        opened.flush()
        assert not target.exists()
        target.touch()
        assert opened.reject() == f"last good checkpoint: step 6 in {latest}"


@pytest.mark.parametrize("how", ["gone", "damaged", "of another run"])
def test_the_best_checkpoint_that_the_progress_names_must_be_there(run, tmp_path, how):
    """An older one in its place would be taken for the best without a word."""
    named = run / "checkpoints" / "best" / "6"
    write(tmp_path / "older", 3)
    shutil.copytree(tmp_path / "older" / "checkpoints" / "best" / "3", named.parent / "3")
    if how == "damaged":
        flip(arrays_of(named))
    else:
        shutil.rmtree(named)
    if how == "of another run":
        write(tmp_path / "other", 6, run="b" * 64)
        shutil.copytree(tmp_path / "other" / "checkpoints" / "best" / "6", named)
    aside = rf" and move {named} away" if how == "of another run" else ""
    mend = rf"bring it back .*, or delete {run}/checkpoints/latest{aside}: the same .* from the start$"
    with pytest.raises(UserError, match=rf"best/6.*; {mend}"):
        resumed(run)
    for step in (6, None):
        with pytest.raises(UserError, match=r"best/6"):
            best(run, step)
    assert best(run, 3) == [3.0] * 3


def test_of_several_that_which_is_asked_for_or_named_is_taken(run, tmp_path):
    write(tmp_path / "more", 9)
    shutil.copytree(tmp_path / "more" / "checkpoints" / "best" / "9", run / "checkpoints" / "best" / "9")
    assert (best(run), best(run, 6), best(run, 9)) == ([6.0] * 3, [6.0] * 3, [9.0] * 3)


@pytest.mark.parametrize("moved", ["latest/99", "best/4", "best/6"])
def test_a_checkpoint_is_what_its_name_says(run, moved):
    kind = "latest" if moved != "best/4" else "best"
    folder = run / "checkpoints"
    if moved == "best/6":
        shutil.rmtree(folder / moved)
    (folder / kind / "6").rename(folder / moved)
    before = content(run)
    with pytest.raises(UserError, match=rf"{moved} was written as {kind}/6; give it back that name, or "):
        resumed(run) if moved == "latest/99" else best(run, int(moved[-1]))
    assert content(run) == before


@pytest.mark.parametrize("how", ["whole", "damaged", "without its seal", "other parts"])
def test_frozen_parameters_are_written_again_where_they_are_not_what_they_should_be(tmp_path, how):
    frozen = {"encoder": params(1), "table": params(2)}
    run, like = tmp_path / "run", {"params": {**params(0), **frozen}}

    def save(parts=frozen):
        with contextlib.closing(Checkpoints(run, RUN)) as opened:
            opened.save_frozen(parts)

    save({"encoder": params(1)} if how == "other parts" else frozen)
    write(run, 3)
    place = run / "checkpoints" / "frozen" / "0"
    if how == "damaged":
        flip(arrays_of(place))
    elif how == "without its seal":
        (place / seals.FILE).unlink()
    before = content(place)
    save()
    assert (content(place) == before) == (how == "whole")
    found = restore_best(run, like, RUN)["params"]
    assert {name: value["w"].tolist() for name, value in found.items() if name in frozen} == {
        "encoder": [1.0] * 3,
        "table": [2.0] * 3,
    }


def test_a_state_that_is_not_finite_is_not_kept_and_the_last_good_one_is_named(run):
    """And stays, also where a later one was finite and was not confirmed."""
    latest = run / "checkpoints" / "latest"
    with contextlib.closing(Checkpoints(run, RUN)) as opened:
        opened.save_latest(8, params(8), kept.fresh())
        opened.flush()
        opened.save_latest(9, params(np.inf), kept.fresh())
        line = rf"not finite after step 9, .*; last good checkpoint: step 6 in {latest}; try a lower"
        with pytest.raises(UserError, match=line):
            opened.flush()
        assert opened.reject() == f"last good checkpoint: step 6 in {latest}"
    assert steps_in(run, "latest") == [6]
    assert resumed(run)[0]["w"].tolist() == [6.0] * 3


def test_a_checkpoint_loses_its_name_before_it_is_deleted(run, monkeypatch):
    deleted = []
    rmtree = shutil.rmtree

    def noted(place, **how):
        deleted.append(place.name)
        rmtree(place, **how)

    monkeypatch.setattr(checkpoint.shutil, "rmtree", noted)
    write(run, 6, 9, 12)
    with contextlib.closing(Checkpoints(run, RUN)) as opened:
        opened.save_latest(15, params(15), kept.fresh())
        opened.reject()
    resumed(run)
    assert {".removing-6", ".removing-9", ".removing-15"} <= {*deleted}
    assert all(name.startswith((".removing-", ".writing-")) for name in deleted)
    (run / "checkpoints" / "best" / ".removing-3").mkdir()  # a killed process leaves it
    Checkpoints(run, RUN)
    assert not list(run.rglob(".removing-*"))


@pytest.mark.parametrize(("later", "kind"), [(9, "best"), (6, "best"), (9, "latest")])
def test_a_reader_whose_checkpoint_is_replaced_meanwhile_finds_the_next(run, monkeypatch, later, kind):
    """The disk is slow: of what is deleted only the seal is gone so far. The later one may be of one step."""
    check, calls = seals.check, []

    def slow(place, **how):
        with contextlib.suppress(OSError):
            (place / seals.FILE).unlink()

    def while_it_is_replaced(folder, **how):
        if folder.parent.name == kind and not calls and not calls.append(folder):
            with monkeypatch.context() as patch:
                patch.setattr(checkpoint.shutil, "rmtree", slow)
                write(run, later)
            raise UserError(f"{folder} is damaged")
        return check(folder, **how)

    monkeypatch.setattr(checkpoint_folders.seals, "check", while_it_is_replaced)
    assert best(run) == [float(later)] * 3
    assert len(calls) == 1


def test_a_reader_of_what_is_damaged_is_told_so_at_once(run, monkeypatch):
    flip(arrays_of(run / "checkpoints" / "best" / "6"))
    check, calls = seals.check, []

    def counted(folder, **how):
        calls.append(folder.parent.name)
        return check(folder, **how)

    monkeypatch.setattr(checkpoint_folders.seals, "check", counted)
    with pytest.raises(UserError, match="is damaged: it is not what was written"):
        best(run)
    assert calls == ["latest", "best"]


def test_a_reader_takes_the_first_best_variables_before_a_state_names_them(run):
    """And says that there are none where the newest state has none."""
    with contextlib.closing(Checkpoints(run, RUN)) as opened:
        opened.save_latest(8, params(8), kept.fresh())
    with pytest.raises(FileNotFoundError):
        best(run)
    with contextlib.closing(Checkpoints(run, RUN)) as opened:
        opened.save_best(9, {"params": params(9)})
    assert best(run) == [9.0] * 3


def test_the_seal_of_a_finished_run_says_which_checkpoint_is_the_best(tmp_path):
    seals.write(tmp_path, [], run=RUN, epochs=2, finished=False, best_step=3)
    assert workdir.best_step(tmp_path) is None
    workdir.finish(tmp_path, {"data": "x"}, 6)
    assert workdir.best_step(tmp_path) == 6
    facts = workdir.check(tmp_path, only=())
    assert (facts["run"], facts["epochs"], facts["finished"]) == (RUN, 2, True)
    for value in ("6", -1, 10**400, True, "\0"):
        seals.write(tmp_path, [], **{**facts, "best_step": value})
        with pytest.raises(UserError, match=r"seal.json is damaged: facts.best_step is .*; bring it back"):
            workdir.best_step(tmp_path)


@pytest.mark.parametrize("value", ["6", -1, 2**63, True, [6], "\0"])
def test_a_reader_checks_what_a_state_names(run, value):
    state = run / "checkpoints" / "latest" / "6"
    facts = checkpoint_folders.verify(state, RUN, "")
    write_json(state / "progress.json", {**kept.fresh(), "best_step": value})
    seals.write(state, **facts)
    with pytest.raises(UserError, match=r"latest/6/progress.json is damaged: best_step is "):
        best(run)
