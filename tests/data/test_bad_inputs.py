"""Bad input through the real commands: one line with what, where and what to do, and nothing left behind."""

import hashlib
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from msa_jax.data import datasets
from msa_jax.inspect.command import main
from tests.data import bad_inputs
from tests.data.bad_inputs import BUILD, CASES, MARKER, TRAIN
from tests.data.circumstances import full_disk
from tests.data.small_files import write_mmsa

ROOT = Path(__file__).resolve().parents[2]
SEEN = [pytest.param(case, command, id=f"{case.name}, {'train' if command == TRAIN else 'build'}")
        for case in CASES for command in case.commands]  # fmt: skip
# The command, with something that happens to the clips as they are written.
HEAD = """
import os, signal, sys, time
from pathlib import Path
from msa_jax.data import checks
from msa_jax.inspect.command import main
repair, seen = checks.repair, []
def slow(*args, **options):
    seen.append(1)
    happen()
    return repair(*args, **options)
checks.repair = slow
"""
TAIL = "\nsys.exit(main(sys.argv[1:]))"


@pytest.fixture
def folder():
    """A folder that other users can enter, which those of pytest are not."""
    path = Path(tempfile.mkdtemp(prefix="bad_inputs"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


def _state(folder):
    """The content of a folder: the kind, mode, time and content of everything in it."""
    state = {}
    for path in sorted(folder.rglob("*")):
        about = path.stat()
        content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "no file"
        state[str(path.relative_to(folder))] = (about.st_mode, path.is_dir() or about.st_mtime_ns, content)
    return state


def _left(folder, before):
    """The new entries of a folder but for the locks, after seeing that the old ones are as they were."""
    after = _state(folder)
    assert {name: after.get(name) for name in before} == before
    return [
        name
        for name in after
        if name not in before and name not in ("cache", "cache/.locks") and not name.endswith(".lock")
    ]


def _arguments(path, cache):
    return [str(path), "--build", "--corpus=mosi", "--other_counts", f"--cache={cache}"]


def _start(happen, *arguments, stdout=subprocess.PIPE):
    script = f"{HEAD}\ndef happen():\n    {happen}\n{TAIL}"
    command = [sys.executable, "-W", "error", "-c", script, *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT, stdout=stdout, stderr=subprocess.PIPE, text=True)


def _names(cache):
    return sorted(set(os.listdir(cache)) - {".locks"})


@pytest.mark.parametrize(("case", "command"), SEEN)
def test_one_line_and_nothing_left(case, command, folder, capfd):
    path = case.write(folder)
    before = _state(folder)
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    code, stderr = bad_inputs.run(case, command, folder, path)
    assert code == 2, stderr
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - held < 1 << 19  # KB; imports among them
    assert stderr.startswith("msa_jax: ")
    assert stderr.endswith("\n")
    assert len(stderr.splitlines()) == 1
    assert case.line in stderr
    assert (f"{os.sep}{case.names}: " if case.names else str(path)) in stderr
    assert not (command == BUILD and "--config.data" in stderr)
    assert _left(folder, before) == []
    assert not (folder / MARKER).exists()
    assert capfd.readouterr().err == ""  # of libraries that pass by sys.stderr


def test_the_hostile_files_are_hostile(folder):
    """They would do what the test above looks for."""
    for case in CASES:
        if case.name in ("pickle that runs a command", "pickle that calls eval"):
            script = f"import pickle; pickle.load(open({str(case.write(folder))!r}, 'rb'))"
            subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
            (folder / MARKER).unlink()


def test_as_a_user_starts_them(folder):
    """A process of its own prints the same line and nothing else, such as the warnings of a library."""
    path = write_mmsa(folder, lambda content: content["train"]["regression_labels"].fill(30))
    before = _state(folder)
    train = ["msa_jax.main", "--config=configs/crosssent_mosi.py", f"--workdir={folder / 'workdir'}"]
    train += [f"--config.data.path={path}", f"--config.data.cache={folder / 'cache'}"]
    commands = [train, ["msa_jax.data", *_arguments(path, folder / "cache")]]
    started = [
        subprocess.Popen([sys.executable, "-m", *command], cwd=ROOT, stdout=-1, stderr=-1, text=True)
        for command in commands
    ]
    lines = []
    for process in started:
        _, stderr = process.communicate(timeout=120)
        assert process.returncode == 2
        lines.append(stderr)
    assert lines[0] == lines[1]
    assert lines[0].startswith(f"msa_jax: {path}: 4 labels lie outside [-3, 3]: train0_0, ")
    assert lines[0].count("\n") == 1
    assert _left(folder, before) == []


def test_a_good_file_is_built(folder, capsys):
    """So the cases above fail for what is wrong with them alone."""
    path = write_mmsa(folder)
    before = _state(folder)
    assert main(_arguments(path, folder / "cache")) == 0
    assert capsys.readouterr().err == ""
    (built,) = datasets.find_built("mosi", folder / "cache")
    assert built.counts == {"train": 4, "valid": 4, "test": 4}
    assert all(name.startswith(f"cache/{built.folder.name}") for name in _left(folder, before))


def test_a_full_disk_leaves_the_old_build(folder, capsys):
    path, cache = write_mmsa(folder), folder / "cache"
    assert main([*_arguments(path, cache), "--json"]) == 0
    built = json.loads(capsys.readouterr().out)["built"]
    write_mmsa(folder, lambda content: content["train"]["raw_text"].__setitem__(0, "awful"))
    before = _state(folder)
    with full_disk(folder):
        assert main(_arguments(path, cache)) == 2
    assert "No space left on device" in capsys.readouterr().err
    assert _left(folder, before) == []
    assert datasets.open_built(built).split("train")[0]["text"] == "a good film"
    assert main(_arguments(path, cache)) == 0  # with room again
    assert len(_names(cache)) == 2


def test_a_killed_build_is_built_by_the_next_start(folder, capsys):
    path, cache = write_mmsa(folder), folder / "cache"
    killed = _start("len(seen) == 6 and os.kill(os.getpid(), signal.SIGKILL)", *_arguments(path, cache))
    _, stderr = killed.communicate(timeout=120)
    assert killed.returncode == -signal.SIGKILL, stderr
    (left,) = _names(cache)
    assert left.endswith(".building")
    assert datasets.find_built("mosi", cache) == []
    assert main(_arguments(path, cache)) == 0
    assert capsys.readouterr().err == ""
    (built,) = datasets.find_built("mosi", cache)
    assert _names(cache) == [built.folder.name]
    assert len(built.split("train")) == 4


def test_two_processes_build_once(folder):
    """The one that builds goes on only when the other has said that it waits."""
    path, cache, go = write_mmsa(folder), folder / "cache", folder / "go"
    outs = [folder / "one.txt", folder / "two.txt"]
    happen = f"(Path({str(folder)!r}) / f'built{{os.getpid()}}').touch()\n"
    happen += f"    while not Path({str(go)!r}).exists():\n        time.sleep(0.01)"
    started = []
    try:
        for out in outs:
            with out.open("w") as stdout:
                started.append(_start(happen, *_arguments(path, cache), stdout=stdout))
        until = time.monotonic() + 120
        while not any("waiting for it to end" in out.read_text() for out in outs):
            assert time.monotonic() < until
            assert [process.poll() for process in started] == [None, None]
            time.sleep(0.02)
        go.touch()
        for process in started:
            _, stderr = process.communicate(timeout=120)
            assert (process.returncode, stderr) == (0, "")
    finally:
        for process in started:
            process.kill()
            process.wait()
    (built,) = datasets.find_built("mosi", cache)
    assert _names(cache) == [built.folder.name]
    (builder,) = folder.glob("built*")
    holder = builder.name.removeprefix("built")
    waited = [line for out in outs for line in out.read_text().splitlines() if "waiting" in line]
    assert len(waited) == 1
    assert f"is being built by process {holder} on " in waited[0]
    for out in outs:
        assert out.read_text().endswith(f"Built\n  {built.folder}\n")
