"""Faults of runs: several at one folder, signals, full disks, damage, and what else ends a training early."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import msa_jax
from msa_jax import checkpoint, checkpoint_folders, cli, forks, loop, seals, stopping, train, workdir
from msa_jax.config import base
from msa_jax.errors import UserError
from msa_jax.main import main
from tests.conftest import make_words_folder, reseal


def tiny(folder, **changes):
    """A config of the quickest model on the words in a folder, which are made where they are not there."""
    config = base.apply(base.config("lmf"), "tiny")
    config.epochs, config.batch_size, config.log_every, config.data.other_counts = 4, 4, 1, True
    config.data.path, config.data.cache, config.data.buckets = str(folder / "words"), str(folder / "cache"), 2
    config.optim.learning_rate = 1e-3
    config.optim.schedule = "constant"
    config.optim.warmup = 0.0
    for key, value in changes.items():
        base.set_key(config, key.replace("__", "."), value)
    if not (folder / "words").exists():
        make_words_folder(folder / "words")
    return config


def lines(folder):
    found = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if k != "clips_per_second"} for line in found]


def content(folder):
    """Every file of a folder with its bytes and times."""
    return {
        str(p.relative_to(folder)): (p.read_bytes(), p.stat().st_mtime_ns)
        for p in folder.rglob("*")
        if p.is_file()
    }


def orderly_run(config, folder):
    """As the command does it."""
    with stopping.orderly():
        train.train_and_evaluate(config, folder)


def same_run(one, other):
    for name in ("predictions_valid.csv", "predictions_test.csv", "preparation.json"):
        assert (one / name).read_bytes() == (other / name).read_bytes()
    assert lines(one) == lines(other)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """(folder, results) of an unbroken run of four epochs in `run`."""
    folder = tmp_path_factory.mktemp("whole")
    return folder, train.train_and_evaluate(tiny(folder), folder / "run")


def interrupted(monkeypatch, place, function, *, at, number=signal.SIGINT):
    """Sends this process a signal at the n-th call of a function of a module or class."""
    before, calls = getattr(place, function), []

    def call(*args, **kwargs):
        calls.append(1)
        if len(calls) == at:
            os.kill(os.getpid(), number)
        return before(*args, **kwargs)

    monkeypatch.setattr(place, function, call)


def test_a_reader_changes_nothing_and_a_training_goes_on_beside_it(whole, tmp_path, monkeypatch):
    """Also one that is just being trained, with a checkpoint half-written."""
    folder, _ = whole
    seen = []
    saved = loop.Checkpoints.save_latest

    def save(self, step, *rest):
        saved(self, step, *rest)
        self.flush()  # otherwise the best one may not be on the disk yet when it is looked for
        (tmp_path / "run" / "checkpoints" / "latest" / ".writing-99").mkdir(parents=True, exist_ok=True)
        if checkpoint_folders.steps_in(tmp_path / "run" / "checkpoints" / "best"):
            msa_jax.load(tmp_path / "run")
            seen.append((tmp_path / "run" / "checkpoints" / "latest" / ".writing-99").exists())

    monkeypatch.setattr(loop.Checkpoints, "save_latest", save)
    train.train_and_evaluate(tiny(folder), tmp_path / "run")
    assert len(seen) == 4  # once an epoch
    assert all(seen)
    same_run(tmp_path / "run", folder / "run")
    before = content(folder / "run")
    msa_jax.load(folder / "run").predict(["a good film"])
    assert content(folder / "run") == before


def test_the_second_writer_gets_a_line_with_the_first(whole, tmp_path):
    folder, _ = whole
    code = f"""
import sys, time
from pathlib import Path
from msa_jax import workdir
with workdir.alone(Path({str(tmp_path / "run")!r})):
    print("held", flush=True)
    time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(UserError, match=rf"trained by process {holder.pid} on \S+ since 20\d\d-"):
            train.train_and_evaluate(tiny(folder), tmp_path / "run")
        holder.kill()  # the lock dies with its process
    train.train_and_evaluate(tiny(folder, epochs=1), tmp_path / "run")


@pytest.mark.parametrize("name", ["a[1]b", "back\\slash", "we?ird*", "模型", "line\nbreak", "not\udcffutf8"])
def test_any_legal_name_of_a_folder_works(whole, tmp_path, name):
    folder, results = whole
    run = tmp_path / name
    assert train.train_and_evaluate(tiny(folder), run)["test"] == results["test"]
    scores = msa_jax.load(run).predict(["a good film"])
    np.testing.assert_array_equal(scores, msa_jax.load(folder / "run").predict(["a good film"]))


def test_checkpoints_of_another_run_are_refused(whole, tmp_path):
    folder, _ = whole
    train.train_and_evaluate(tiny(folder, seed=8, epochs=1), tmp_path / "other")
    shutil.copytree(folder / "run", tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "checkpoints")
    shutil.copytree(tmp_path / "other" / "checkpoints", tmp_path / "run" / "checkpoints")
    # The run's own best step is one that the other has not had.
    with pytest.raises(UserError, match=r"there is no seal.json in .*best/12; bring it back from a copy"):
        msa_jax.load(tmp_path / "run")
    with pytest.raises(UserError, match="is a checkpoint of another run"):
        train.train_and_evaluate(tiny(folder, epochs=5), tmp_path / "run")


def test_the_same_data_at_another_place_resume_and_other_data_do_not(whole, tmp_path, monkeypatch):
    folder, _ = whole
    shutil.copytree(folder / "run", tmp_path / "run")
    shutil.copytree(folder / "words", tmp_path / "moved")
    monkeypatch.chdir(tmp_path)
    for path in ("moved", str(tmp_path / "moved")):
        config = tiny(folder, data__path=path, data__cache=str(tmp_path / "cache"), epochs=5)
        train.train_and_evaluate(config, tmp_path / "run")
    make_words_folder(tmp_path / "other", seed=5)
    config = tiny(folder, data__path="other", data__cache=str(tmp_path / "cache"), epochs=5)
    shutil.rmtree(tmp_path / "run" / "checkpoints")
    config.epochs = 6
    with pytest.raises(UserError, match="was trained with other data: the content of other is not the same"):
        train.train_and_evaluate(config, tmp_path / "run")


def test_more_epochs_go_on_to_the_run_that_had_them_from_the_start(whole, tmp_path):
    folder, _ = whole
    train.train_and_evaluate(tiny(folder, epochs=2), tmp_path / "run")
    train.train_and_evaluate(tiny(folder), tmp_path / "run")
    same_run(tmp_path / "run", folder / "run")
    assert json.loads((tmp_path / "run" / "config.json").read_text())["epochs"] == 4
    with pytest.raises(UserError, match="epochs=4, not 2"):
        train.train_and_evaluate(tiny(folder, epochs=2), tmp_path / "run")


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"optim__schedule": "linear"}, "the learning rate's schedule is linear"),
        ({"optim__warmup": 0.1}, "the warm-up is a share of all steps"),
    ],
)
def test_more_epochs_are_refused_where_the_done_ones_would_have_been_others(whole, tmp_path, changes, why):
    folder, _ = whole
    results = train.train_and_evaluate(tiny(folder, epochs=1, **changes), tmp_path / "run")
    (tmp_path / "run" / ".lock").unlink()
    before = content(tmp_path / "run")
    for _ in range(2):  # a refusal decides nothing
        with pytest.raises(UserError, match=rf"begun for 1 epochs, and cannot go on to 3: {why}"):
            train.train_and_evaluate(tiny(folder, epochs=3, **changes), tmp_path / "run")
        (tmp_path / "run" / ".lock").unlink()
        assert content(tmp_path / "run") == before
    again = train.train_and_evaluate(tiny(folder, epochs=1, **changes), str(tmp_path / "run"))
    assert again["test"] == results["test"]


@pytest.mark.parametrize("how", ["a bit", "another value", "gone"])
def test_settings_that_are_damaged_are_written_again(whole, tmp_path, how):
    """The identity of the run proves them; without them no results are taken for those of another run."""
    folder, results = whole
    shutil.copytree(folder / "run", run := tmp_path / "run")
    settings = (run / "config.json").read_bytes()
    damaged = {
        "a bit": b"\xfb" + settings[1:],
        "another value": settings.replace(b'"epochs": 4', b'"epochs": 9'),
    }
    assert damaged["another value"] != settings
    (run / "config.json").write_bytes(damaged.get(how, b""))
    if how == "gone":
        (run / "config.json").unlink()
    with pytest.raises(
        UserError, match=r"config.json (is damaged|is missing).*; repeat the command that trained"
    ):
        workdir.check(run)
    for changes, line in (({"seed": 9}, "with other settings"), ({"epochs": 2}, "with epochs=4, not 2")):
        with pytest.raises(UserError, match=line):
            train.train_and_evaluate(tiny(folder, **changes), run)
    assert train.train_and_evaluate(tiny(folder), run)["test"] == results["test"]
    assert (run / "config.json").read_bytes() == settings
    same_run(run, folder / "run")
    assert msa_jax.load(run).config.epochs == 4


def test_a_run_whose_best_checkpoint_is_gone_does_not_take_another(whole, tmp_path):
    folder, _ = whole
    shutil.copytree(folder / "run", run := tmp_path / "run")
    best = run / "checkpoints" / "best"
    named = checkpoint_folders.steps_in(best)[-1]
    (best / str(named)).rename(tmp_path / "best")
    older = best / "1"
    shutil.copytree(tmp_path / "best", older)
    seals.write(older, **{**seals.check(older, mend=""), "step": 1})
    line = rf"no seal.json in {best / str(named)}; bring it back"
    with pytest.raises(UserError, match=line):
        msa_jax.load(run)
    for _ in range(2):
        with pytest.raises(UserError, match=line):
            train.train_and_evaluate(tiny(folder, epochs=5), run)
        with pytest.raises(UserError, match=line):  # which is not finished any more
            msa_jax.load(run)
    (tmp_path / "best").rename(best / str(named))
    train.train_and_evaluate(tiny(folder, epochs=5), run)


def test_a_forked_process_is_told_so_before_anything_is_read(whole, tmp_path, monkeypatch):
    folder, _ = whole
    monkeypatch.setitem(forks._used, "process", os.getpid() + 1)
    monkeypatch.setattr(train.opening, "open_corpus", lambda config: pytest.fail("it was read"))
    with pytest.raises(UserError, match="was forked from process"):
        train.train_and_evaluate(tiny(folder), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_default_folders_differ_by_what_changes_a_run_and_by_nothing_else(whole, tmp_path, monkeypatch):
    folder, _ = whole
    monkeypatch.chdir(tmp_path)
    make_words_folder(tmp_path / "more", seed=3)
    argv = ["--config=lmf_mosi:tiny", f"--config.data.path={folder / 'words'}", "--config.data.other_counts"]
    argv += [f"--config.data.cache={tmp_path / 'cache'}"]

    def named(*more):
        command = cli.parse([*argv, *more])
        corpus = train.opening.open_corpus(command.config)
        data = {"hash": corpus.content_hash, "cut": corpus.cut}
        return str(command.workdir.named(train.identity.contents(command.config, data)))

    plain = named()
    assert re.fullmatch(r"runs/lmf_mosi-tiny-[0-9a-f]{8}", plain)
    shutil.copytree(folder / "words", tmp_path / "moved")
    same = (
        "--config.epochs=9",
        "--config.log_every=3",
        "--config.data.threads=1",
        "--config.data.path=moved",
    )
    assert {named(argument) for argument in same} == {plain}
    other = ("--config.seed=9", "--config.optim.learning_rate=1e-5", "--config.data.path=more")
    assert len({plain, *(named(argument) for argument in other)}) == 4


@pytest.mark.parametrize(
    ("place", "function", "at", "number"),
    [
        (train.opening, "open_corpus", 1, signal.SIGTERM),  # before the training
        (loop, "train_step", 1, signal.SIGINT),  # while the first program is traced
        (loop.StepLog, "add", 5, signal.SIGTERM),  # between two steps
        (loop.StepLog, "flush", 1, signal.SIGINT),  # at an epoch's end, which is judged when the run goes on
        (loop.evaluate, "forward", 2, signal.SIGINT),  # in the first validation, between two batches
        (loop.evaluate, "validation", 2, signal.SIGTERM),
        (checkpoint.arrays_on_disk, "write", 2, signal.SIGINT),  # while a checkpoint is written
        (train, "finish", 1, signal.SIGTERM),  # when all is done but the last word
    ],
)
def test_a_signal_at_any_moment_saves_and_the_run_goes_on_to_the_same_end(
    whole, tmp_path, monkeypatch, capfd, place, function, at, number
):
    folder, _ = whole
    with monkeypatch.context() as patch:
        interrupted(patch, place, function, at=at, number=number)
        with pytest.raises(KeyboardInterrupt) as stopped:
            orderly_run(tiny(folder), tmp_path / "run")
    assert stopped.value.code == 128 + number
    told = capfd.readouterr()
    assert f"{number.name}: stopping as soon as all is saved" in told.err
    steps = checkpoint_folders.steps_in(tmp_path / "run" / "checkpoints" / "latest")
    if "stopped at step" in told.out:
        assert f"stopped at step {steps[-1]}, which is saved in" in told.out
    assert not list((tmp_path / "run").glob("checkpoints/*/.writing*"))
    train.train_and_evaluate(tiny(folder), tmp_path / "run")
    same_run(tmp_path / "run", folder / "run")


def test_a_swallowed_interrupt_is_noticed(whole, tmp_path, monkeypatch):
    """As JAX swallows one that comes up inside its callbacks."""
    folder, _ = whole
    added = loop.StepLog.add

    def add(self, step, *rest):
        with contextlib.suppress(KeyboardInterrupt):
            if step == 2:
                os.kill(os.getpid(), signal.SIGINT)
        added(self, step, *rest)

    monkeypatch.setattr(loop.StepLog, "add", add)
    with pytest.raises(stopping.Stopped):
        train.train_and_evaluate(tiny(folder), tmp_path / "run")


def test_a_second_signal_in_a_notebook_interrupts_at_once():
    def job():
        with stopping.orderly():
            os.kill(os.getpid(), signal.SIGINT)
            assert stopping.asked()
            with pytest.raises(KeyboardInterrupt):
                os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(stopping.Stopped):  # the first one counts, whatever became of the second
        job()
    assert not stopping.asked()
    threading.Thread(target=lambda: stopping.orderly().__enter__()).start()
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_the_command_line_says_so_and_has_the_exit_code(whole, tmp_path):
    folder, _ = whole
    command = [sys.executable, "-m", "msa_jax.main", "--config=lmf_mosi:tiny", "--config.data.other_counts"]
    command += [f"--config.data.path={folder / 'words'}", f"--config.data.cache={folder / 'cache'}"]
    command += [f"--workdir={tmp_path / 'run'}", "--config.epochs=2000", "--config.batch_size=4"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    for line in process.stdout:
        if line.startswith("epoch 1/"):
            break
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 143
    assert "stopped at step" in out
    assert err.splitlines()[-1] == "msa_jax: interrupted; the same command again resumes"
    assert "Traceback" not in err


def limited(tmp_path, argv, *, limit):
    """Runs the command with a limit on the size of files, which is what a full disk looks like."""
    code = f"""
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
from msa_jax import main
import msa_jax.train
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, resource.RLIM_INFINITY))
sys.exit(main.main({argv!r}))
"""
    quiet = {**os.environ, "JAX_ENABLE_COMPILATION_CACHE": "0"}  # JAX writes half a file there, and warns
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, env=quiet)


def test_a_full_disk_is_one_line_and_the_run_goes_on_when_there_is_room(whole, tmp_path):
    folder, _ = whole
    argv = ["--config=lmf_mosi:tiny", "--config.data.other_counts", "--config.epochs=3"]
    argv += [f"--config.data.path={folder / 'words'}", f"--config.data.cache={folder / 'cache'}"]
    argv += [f"--workdir={tmp_path / 'run'}", "--config.optim.schedule=constant"]
    assert main([*argv, "--config.epochs=2"]) == 0
    before = content(tmp_path / "run" / "checkpoints")
    broken = limited(tmp_path, argv, limit=20_000)
    assert broken.returncode == 2, broken.stderr
    (line,) = [x for x in broken.stderr.splitlines() if x.startswith("msa_jax:")]
    assert "Traceback" not in broken.stderr
    assert "could not be written" in line
    assert "there is no room on the disk" in line
    after = content(tmp_path / "run" / "checkpoints")
    state = {k: v for k, v in before.items() if k.startswith("latest/4/")}
    assert state
    assert {k: after.get(k) for k in state} == state
    assert not [k for k in after if ".writing" in k]
    assert main(argv) == 0


def test_the_last_good_checkpoint_is_good(whole, tmp_path):
    """A rate that makes the weights huge in one step: the loss before the update is still finite."""
    folder, _ = whole
    config = tiny(folder, optim__learning_rate=1e30, checkpoint_every=1, optim__clip=None)
    with pytest.raises(UserError, match=r"is not finite .*last good checkpoint: (none yet|step \d)") as told:
        train.train_and_evaluate(config, tmp_path / "run")
    latest = tmp_path / "run" / "checkpoints" / "latest"
    for step in checkpoint_folders.steps_in(latest):
        assert f"last good checkpoint: step {step}" in str(told.value)
        assert (latest / str(step) / "good").exists()


@pytest.mark.parametrize("factor", [np.inf, 1e30])
def test_the_good_checkpoint_stays_where_a_later_state_is_broken(whole, tmp_path, monkeypatch, factor):
    """One that is not finite is not written; one that is, and breaks the next step, is dropped."""
    folder, _ = whole
    sound = loop.train_step

    def broken_at_5(state, batch):
        state, terms = sound(state, batch)
        worse = jax.tree.map(lambda x: jnp.where(state.step == 5, x * factor, x), state.params)
        return state.replace(params=worse), terms

    seen = checkpoint.Checkpoints.seen_finite

    def at_once(self, step):
        """As where the disk is quicker than a step: none is replaced while it waits."""
        seen(self, step)
        self.flush()

    latest = tmp_path / "run" / "checkpoints" / "latest"
    with monkeypatch.context() as patch:
        patch.setattr(loop, "train_step", broken_at_5)
        patch.setattr(checkpoint.Checkpoints, "seen_finite", at_once)
        with pytest.raises(UserError, match=rf"not finite .*last good checkpoint: step 4 in {latest}; try a"):
            train.train_and_evaluate(tiny(folder, checkpoint_every=1), tmp_path / "run")
    assert checkpoint_folders.steps_in(latest) == [4]
    assert (latest / "4" / "good").exists()
    train.train_and_evaluate(tiny(folder), tmp_path / "run")
    # The broken step is another program, which may round in another way.
    losses = [
        [line["loss"] for line in lines(run) if "loss" in line] for run in (tmp_path / "run", folder / "run")
    ]
    np.testing.assert_allclose(*losses, rtol=1e-5)


def test_a_bit_that_flips_in_any_file_of_a_run_is_noticed(whole, tmp_path):
    """Other weights or another vocabulary would give other scores without a word."""
    folder, _ = whole
    shutil.copytree(folder / "run", tmp_path / "run")
    rng, run = np.random.default_rng(0), tmp_path / "run"
    files = [run / name for name in workdir.SEALED if (run / name).exists()]
    best = run / "checkpoints" / "best"
    best = best / str(checkpoint_folders.steps_in(best)[-1])
    files += [p for p in best.rglob("*") if p.is_file() and p.stat().st_size]
    for file in files:
        whole_bytes = file.read_bytes()
        for _ in range(3):
            broken = bytearray(whole_bytes)
            broken[rng.integers(len(broken))] ^= 1 << rng.integers(8)
            file.write_bytes(broken)
            with pytest.raises(UserError, match=re.escape(file.name)):
                msa_jax.load(run)
        file.write_bytes(whole_bytes)
    msa_jax.load(run)


def test_an_array_that_cannot_be_opened_leaves_no_tracebacks_of_the_others(whole, tmp_path):
    """Orbax opens them side by side, and some arrive when its event loop is closed already."""
    folder, _ = whole
    shutil.copytree(folder / "run", tmp_path / "run")
    best = tmp_path / "run" / "checkpoints" / "best"
    best = best / str(checkpoint_folders.steps_in(best)[-1])
    file = next(best.rglob("_METADATA"))
    named = json.loads(file.read_text())
    list(named["tree_metadata"].values())[5]["key_metadata"][0]["key"] = "0"
    file.write_text(json.dumps(named))
    reseal(best)
    program = (
        "import sys, time, msa_jax\nfrom msa_jax.errors import UserError\nfor k in range(20):\n"
        "    try:\n        msa_jax.load(sys.argv[1])\n    except UserError as e:\n"
        "        print('cannot be read' in str(e))\ntime.sleep(0.5)\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "run")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout == "True\n" * 20
    assert done.stderr == ""


def test_a_frozen_encoder_is_kept_once(tmp_path):
    config = tiny(tmp_path, text__frozen=True)
    train.train_and_evaluate(config, tmp_path / "run")
    kept = tmp_path / "run" / "checkpoints"
    assert checkpoint_folders.steps_in(kept / "frozen") == [0]
    run = msa_jax.load(tmp_path / "run")
    assert "encoder" in run.params
    names = {p.parent.name for p in (kept / "best").rglob("_METADATA")}
    for file in (*(kept / "best").rglob("_METADATA"), *(kept / "latest").rglob("_METADATA")):
        assert "encoder" not in file.read_text()
    assert names
    shutil.rmtree(kept / "frozen" / "0" / "arrays")
    with pytest.raises(UserError, match="frozen"):
        msa_jax.load(tmp_path / "run")
    train.train_and_evaluate(
        tiny(tmp_path, text__frozen=True, epochs=5), tmp_path / "run"
    )  # it is made again
    msa_jax.load(tmp_path / "run")


def test_what_an_earlier_version_left_is_named(whole, tmp_path):
    folder, _ = whole
    shutil.copytree(folder / "run", tmp_path / "run")
    (tmp_path / "run" / "seal.json").unlink()
    with pytest.raises(UserError, match="another version"):
        train.train_and_evaluate(tiny(folder, epochs=5), tmp_path / "run")
    with pytest.raises(UserError, match="another version"):
        msa_jax.load(tmp_path / "run")
