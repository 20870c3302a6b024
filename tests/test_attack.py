"""Attack in short: some of each part that takes seconds, and the counting itself."""

import signal
import time
import types
from pathlib import Path

import numpy as np
import pytest

from tests.attack import __main__ as attack
from tests.attack import damage, judge, part_runs, part_signals, starts, table, worker

# Of `hostile` one input in so many. The other parts train for minutes: CI does them by the short form.
COUNTS = {"files": 60, "corpus": 8, "hostile": 20}


@pytest.mark.parametrize("part", COUNTS)
def test_nothing_is_lost_executed_or_read_as_something_else(part, tmp_path):
    with worker.worker(starts.environment(tmp_path / part)) as at_work:
        row = attack.run(part, tmp_path / part, 0, at_work, count=COUNTS[part])
    assert row.faults == []
    assert row.tried == COUNTS[part] if part != "hostile" else row.tried >= 4
    assert row.refused + row.equal == row.tried
    if part == "corpus":
        assert row.equal == row.tried  # built again
    elif part == "files":
        assert row.refused
        assert row.equal


@pytest.mark.parametrize(
    ("file", "reads"),
    [
        ("checkpoints/latest/6/progress.json", False),
        ("checkpoints/best/3/params/d/0", True),
        ("checkpoints/best", True),
        ("checkpoints/latest", False),
        ("metrics.jsonl", False),
        ("results.json", False),
        ("predictions_test.csv", False),
        ("tensorboard/events.out", False),
        ("config.json", True),
    ],
)
def test_a_damaged_file_is_given_to_a_job_that_opens_it(file, reads):
    """Where the job does not look at it, no damage can show."""
    jobs = part_runs.opening(Path(file))
    assert ("predict" in jobs, "evaluate" in jobs) == (reads, reads)
    assert any(job.startswith("train more") for job in jobs)


def test_a_fault_counts_and_is_shown():
    row = table.Row("files")
    judge.judge(row, worker.Answer("trace", "Traceback ..."), "a flip")
    judge.judge(row, worker.Answer("value", "1.5"), "a flip", wanted="1.25")
    judge.judge(row, worker.Answer("value", "1", memory=2 << 30), "a bomb", size=100)
    judge.judge(row, worker.Answer("line", "no", deeds=(("written", "/etc/x"),)), "a link")
    judge.judge(row, worker.Answer("line", "no", deeds=(("code executed", "exec"),)), "code")
    judge.judge(row, worker.Answer("hang", "read"), "a pipe")
    kinds = ["tracebacks", "silent differences", "memory over 4 times the file plus 1 GB", "files changed"]
    assert [kind for kind, _ in row.faults] == [*kinds, "code executed", "hangs over 60 s"]
    shown = table.text([row])
    assert "| files | 6 | 2 | 0 | 1 | 1 | 1 | 1 | 1 | 1 | 1 | 0 | 0 |" in shown
    assert "silent differences: a flip: 1.5 and not 1.25" in shown


def test_a_neighbour_whose_name_begins_alike_is_another_folder(tmp_path, monkeypatch):
    """What is written in `cache2` is not in `cache`, and code in `run2` is not out of `run`."""
    row = table.Row("files")
    for place in ("cache/xla/a", "cache", "cache2/a"):
        answer = worker.Answer("line", "no", deeds=(("written", str(tmp_path / place)),))
        judge.judge(row, answer, place, may_write=(tmp_path / "cache",))
    assert [what for _, what in row.faults] == [f"cache2/a: {tmp_path / 'cache2' / 'a'}"]
    watch = worker._Watch()
    for name in ("run", "run2"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "theirs.py").write_text("1")
    watch.folder = str(tmp_path / "run")
    for name in ("run", "run2"):
        exec(compile("1", str(tmp_path / name / "theirs.py"), "exec"))
    watch.folder = None
    assert watch.deeds == {("code executed", f"exec {tmp_path / 'run' / 'theirs.py'}")}


@pytest.mark.parametrize(
    ("number", "code", "said", "counted"),
    [
        (signal.SIGKILL, -9, "", (0, 1, [])),
        (signal.SIGINT, 130, "msa_jax: interrupted; the same command again resumes\n", (0, 1, [])),
        (signal.SIGTERM, 143, "", (0, 1, ["lost"])),  # without a word
        (signal.SIGINT, 0, "", (0, 0, ["signals swallowed"])),
    ],
)
def test_a_signal_counts_as_what_it_is(number, code, said, counted, tmp_path):
    ended = types.SimpleNamespace(wait=lambda: code, out="", err=said)
    row = table.Row("signals")
    part_signals._judge(row, ended, number, 0, tmp_path, time.time())
    assert (row.refused, row.stopped, [kind for kind, _ in row.faults]) == counted
    assert f"{counted[1]} ended as asked" in row.summary()


@pytest.mark.parametrize(("later", "faults"), [(-5, []), (5, ["signals swallowed"])])
def test_a_signal_that_training_ran_on_after_is_swallowed(later, faults, tmp_path):
    """Results that were there before excuse an exit code of 0, and none that came seconds later."""
    ended, row = types.SimpleNamespace(wait=lambda: 0, out="", err=""), table.Row("signals")
    (tmp_path / "results.json").write_text("{}")
    sent = (tmp_path / "results.json").stat().st_mtime - later
    part_signals._judge(row, ended, signal.SIGINT, 0, tmp_path, sent)
    assert [kind for kind, _ in row.faults] == faults


def test_the_worker_tells_what_a_job_does(tmp_path, monkeypatch):
    """Code out of the folder, a program, a write, an exception and an end."""
    (tmp_path / "theirs.py").write_text("import os\nos.system('true')\nopen('made', 'w').close()\n")
    script = "import runpy; runpy.run_path('theirs.py')"
    monkeypatch.chdir(tmp_path)
    watch = worker._Watch()
    watch.folder = str(tmp_path)
    exec(script)
    (tmp_path / "made").unlink()
    watch.folder = None
    kinds = [kind for kind, _ in sorted(watch.deeds)]
    assert kinds == ["code executed", "code executed", "written"]
    assert ("written", str(tmp_path / "made")) in watch.deeds
    with worker.worker(starts.environment(tmp_path)) as one:
        assert one.ask("read", watched=tmp_path, path=tmp_path / "none.pkl").kind == "line"
        assert one.ask("no_job", watched=tmp_path).kind == "trace"
        assert one.ask("command", watched=tmp_path, argv=None).kind == "trace"


@pytest.mark.parametrize("how", [*damage.OF_CONTENT])
def test_damage_changes_bytes(how):
    rng, data = np.random.default_rng(0), bytes(range(256)) * 16
    assert sum(how(data, rng) != data for _ in range(20)) >= 19
