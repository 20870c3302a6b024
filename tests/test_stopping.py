"""Stopping: no signal is lost, whenever it comes, and none hides what went wrong."""

import importlib
import os
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from msa_jax import main, stopping
from msa_jax.errors import UserError

ROOT = Path(__file__).parents[1]


def test_a_signal_during_the_job_is_raised_at_its_end_and_not_before():
    signal.signal(signal.SIGINT, signal.default_int_handler)  # what a shell starts in the background has none
    done = []

    def job():
        with stopping.orderly():
            os.kill(os.getpid(), signal.SIGTERM)
            done.append(stopping.asked())

    with pytest.raises(stopping.Stopped) as stopped:
        job()
    assert done == [True]
    assert stopped.value.code == 143
    assert not stopping.asked()
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_signal_hides_no_error():
    def job():
        with stopping.orderly():
            os.kill(os.getpid(), signal.SIGINT)
            raise UserError("the disk is full")

    with pytest.raises(UserError, match="the disk is full"):
        job()
    assert not stopping.asked()
    with stopping.orderly():
        assert not stopping.asked()


@pytest.mark.parametrize("number", stopping.SIGNALS)
@pytest.mark.parametrize("moment", ["as it is handled", "before it is not handled any more"])
def test_a_signal_counts_from_the_first_moment_to_the_last(number, moment, monkeypatch):
    before = signal.signal
    sent = []

    def at_once(which, handler):
        ours = getattr(handler, "orderly", False)
        if which == number and not sent and not ours and moment != "as it is handled":
            sent.append(os.kill(os.getpid(), number))
        was = before(which, handler)
        if which == number and not sent and ours and moment == "as it is handled":
            sent.append(os.kill(os.getpid(), number))
        return was

    monkeypatch.setattr(stopping.signal, "signal", at_once)
    with pytest.raises(stopping.Stopped) as stopped, stopping.orderly():
        assert stopping.asked() == (moment == "as it is handled")
    assert stopped.value.code == 128 + number
    assert sent == [None]


def test_the_command_obeys_a_signal_in_its_last_line(monkeypatch, capfd):
    monkeypatch.setattr(main, "_run", lambda argv: os.kill(os.getpid(), signal.SIGTERM))
    assert main.main([]) == 143
    assert capfd.readouterr().err.splitlines()[-1] == "msa_jax: interrupted; the same command again resumes"


def _ends(code):
    """(exit code, stderr) of a process that gets SIGINT when all is done, while libraries clean up."""
    late = (
        "import atexit, os, signal, sys\nfor number in (signal.SIGINT, signal.SIGTERM):\n"
        "    atexit.register(os.kill, os.getpid(), number)\n"
    )
    command = [sys.executable, "-c", late + code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=ROOT)
    return done.returncode, done.stderr


def test_every_entry_point_is_deaf_once_it_is_done():
    """The commands as pip and Python start them; the process must end with the job's own exit code."""
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["scripts"]
    assert list(scripts) == ["msa-jax"]
    module, function = scripts["msa-jax"].split(":")
    assert callable(getattr(importlib.import_module(module), function))
    script = f"sys.argv[1:] = [{{!r}}]; from {module} import {function}; sys.exit({function}())"
    assert _ends(script.format("version")) == (0, "")
    code, told = _ends(script.format("no_such_command"))
    assert (code, told.count("\n")) == (2, 1)
    assert told.startswith("msa_jax: ")
    module = (
        "import runpy; sys.argv[1:] = ['--help']; runpy.run_module({!r}, run_name='__main__', alter_sys=True)"
    )
    assert _ends(module.format("msa_jax.main")) == (0, "")


def test_ctrl_c_behind_the_last_word_has_its_exit_code():
    script = "from msa_jax import stopping\ndef job():\n    raise KeyboardInterrupt\nstopping.leave(job)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, cwd=ROOT
    )
    assert (done.returncode, done.stderr) == (130, "")
