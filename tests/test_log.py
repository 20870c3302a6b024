"""Log of a run: means over an epoch's clips, its line, what is compiled, TensorBoard, what is not defined."""

import contextlib
import io
import json
import math
import os
import pty
import re
import struct
import subprocess
import sys

import jax
import numpy as np
import pytest
from tensorboardX.proto.event_pb2 import Event
from tqdm import tqdm

from msa_jax import lanes, log
from msa_jax.data.plan import BatchPlan
from msa_jax.errors import UserError
from msa_jax.evaluate import Verdict
from msa_jax.progress import Stopwatch, doing
from msa_jax.step_log import Judged, StepLog

BUCKETS = ((2, 2, 2), (2, 3, 3), (4, 4, 4))
PLAN = BatchPlan(np.full((10, 3), 2), BUCKETS, 4, epochs=2, seed=0)  # 4, 4 and 2 clips
VERDICT = Verdict(
    "mse", 1.5, False, 1.5, {"mse": 1.5, "mae": 1.25, "corr": math.nan}, {"corr": "all predictions are equal"}
)
LOSSES, CLIPS = (1.0, 2.0, 6.0), (4, 4, 2)
MEAN = (4 * 1.0 + 4 * 2.0 + 2 * 6.0) / 10


class NoCheckpoints:
    def seen_finite(self, step):
        pass

    latest_step, folder = None, None


def scalars(folder):
    """(tag, step, value) of every scalar in TensorBoard's files."""
    for path in sorted(folder.glob("events*")):
        data, place = path.read_bytes(), 0
        while place < len(data):
            (length,) = struct.unpack_from("<Q", data, place)
            event = Event.FromString(data[place + 12 : place + 12 + length])
            place += 16 + length
            for value in event.summary.value:
                yield value.tag, event.step, value.simple_value


def lines(folder):
    def refuse(name):
        raise AssertionError(f"{name} is not JSON")

    return [json.loads(x, parse_constant=refuse) for x in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.fixture
def written(tmp_path):
    found = log.MetricLog(tmp_path, resume_step=0)
    yield found
    found.close()


def step_log(written, shown=None, *, sums=None, every=10):
    shown = shown or tqdm(total=6, disable=True)
    sums = {} if sums is None else sums
    lane = lanes.Lane(None, None, "", {"sums": sums, "plateau": {}}, NoCheckpoints(), written)
    return StepLog([lane], shown, PLAN, ("mse", "mpr"), every=every, rate=lambda step: 0.5)


def judged(steps, standing=""):
    return [Judged(lane, VERDICT, True, standing) for lane in steps._lanes]


def terms(loss, **more):
    return {"loss": loss, "mse": loss - 0.25, "mpr": 0.5, "grad_norm": 1.0, **more}


def epoch(steps, first, standing="best so far", at_most=False):
    for k, (loss, clips) in enumerate(zip(LOSSES, CLIPS, strict=True)):
        steps.add(first + k, terms(loss), clips)
    steps.flush()
    steps.end_epoch(first + 2, judged(steps, standing), at_most=at_most)
    steps.restart_clock()


def test_an_epoch_s_line_has_means_over_clips_validation_speed_and_time(written, tmp_path, capsys):
    steps = step_log(written)
    epoch(steps, 1)
    epoch(steps, 4, "best: mse 1.5000 in epoch 1", at_most=True)
    first, second = capsys.readouterr().out.splitlines()
    speed, left = r"  \d[\d.]* clips/s", r"  \d\d:\d\d left"
    wanted = f"loss {MEAN:.4f} (mse {MEAN - 0.25:.4f}, mpr 0.5000)  valid: mae 1.2500  corr not defined"
    judged = f"{wanted}  judged by mse 1.5000"
    assert re.fullmatch(re.escape(f"epoch 1/2  {judged} (best so far)") + speed + left, first)
    assert re.fullmatch(re.escape(f"epoch 2/2  {judged} (best: mse 1.5000 in epoch 1)") + speed, second)
    found, again = lines(tmp_path)
    assert found.pop("clips_per_second") > 0
    assert found == {
        "step": 3, "epoch": 0, "loss_epoch": MEAN, "mse_epoch": MEAN - 0.25, "mpr_epoch": 0.5,
        "grad_norm_epoch": 1.0, "valid_mse": 1.5, "valid_mae": 1.25, "valid_corr": None,
        "undefined": {"valid_corr": "all predictions are equal"},
    }  # fmt: skip
    assert (again["step"], again["epoch"], again["loss_epoch"]) == (6, 1, MEAN)


def test_an_epoch_that_was_only_left_to_be_judged_has_no_speed(written, tmp_path, capsys):
    steps = step_log(written, sums={"loss": (6.0, 4), "mse": (5.0, 4), "mpr": (2.0, 4)})
    steps.end_epoch(3, judged(steps, "best so far"), at_most=False)
    line = capsys.readouterr().out.strip()
    assert line.startswith("epoch 1/2  loss 1.5000 (mse 1.2500, mpr 0.5000)")
    assert line.endswith("judged by mse 1.5000 (best so far)")
    (logged,) = lines(tmp_path)
    assert logged["loss_epoch"] == 1.5
    assert "clips_per_second" not in logged


def test_a_run_that_may_stop_early_has_at_most_that_time_left(written, capsys):
    epoch(step_log(written), 1, at_most=True)
    assert re.search(r"at most \d\d:\d\d left$", capsys.readouterr().out.strip())


def test_tensorboard_has_what_the_lines_have_and_no_point_for_what_is_not_defined(written, tmp_path):
    epoch(step_log(written, every=2), 1)
    written.close()
    found = {(tag, step): value for tag, step, value in scalars(tmp_path / "tensorboard")}
    of_epoch = {f"train/{n}_epoch" for n in ("loss", "mse", "mpr", "grad_norm", "clips_per_second")}
    assert {tag for tag, step in found if step == 3} == {*of_epoch, "valid/mse", "valid/mae"}
    names = ("loss", "mse", "mpr", "grad_norm", "clips_per_second", "learning_rate")
    assert {tag for tag, step in found if step == 2} == {f"train/{n}" for n in names}
    assert found["train/loss_epoch", 3] == pytest.approx(MEAN)
    assert found["train/loss", 2] == 2.0
    assert found["valid/mae", 3] == 1.25


def test_a_run_resumed_inside_an_epoch_has_the_mean_of_the_unbroken_one(written, tmp_path):
    losses, sums = (1 / 3, 0.1, 0.7), {}
    for broken in (False, True):
        steps = step_log(written, sums=sums)
        for k, (loss, clips) in enumerate(zip(losses, CLIPS, strict=True)):
            steps.add(k + 1, terms(np.float32(loss)), clips)
            if broken and k == 1:
                steps.flush()
                steps = step_log(written, sums=json.loads(json.dumps(sums)))  # as a checkpoint keeps them
        steps.flush()
        steps.end_epoch(3, judged(steps), at_most=False)
        sums = {}
    whole, resumed = lines(tmp_path)
    assert whole["loss_epoch"] == resumed["loss_epoch"]
    expected = np.average(np.array(losses, np.float32).astype(np.float64), weights=CLIPS)
    assert whole["loss_epoch"] == pytest.approx(expected, rel=1e-15)


def test_a_number_that_some_steps_do_not_have_is_averaged_over_the_others(written, tmp_path):
    steps = step_log(written)
    for step, (value, clips) in enumerate(zip((0.5, math.nan, 0.2), CLIPS, strict=True), 1):
        steps.add(step, terms(1.0, share=value), clips)
    steps.flush()
    steps.end_epoch(3, judged(steps), at_most=False)
    assert lines(tmp_path)[0]["share_epoch"] == pytest.approx((4 * 0.5 + 2 * 0.2) / 6)


def batch(bucket):
    text, audio, vision = BUCKETS[bucket]
    return {"text": np.zeros((4, text)), "audio": np.zeros((4, audio, 5)), "vision": np.zeros((4, vision, 6))}


def test_each_shape_says_before_its_first_step_that_it_is_compiled(written, capsys):
    steps, said = step_log(written), []
    for bucket in (1, 1, 0, 1, 0, 2, 2):
        with steps.calling(batch(bucket)):
            said.append(capsys.readouterr().out)
    first = [f"compiling bucket {place} of 3\n" for place in (2, 1, 3)]
    assert said == [first[0], "", first[1], "", "", first[2], ""]


def test_where_nothing_is_compiled_nothing_says_so(written, capsys):
    with jax.disable_jit(), step_log(written).calling(batch(0)):
        assert capsys.readouterr().out == ""


def test_on_a_terminal_the_bar_says_what_is_compiled_while_it_is(written, capsys):
    terminal = io.StringIO()
    with tqdm(total=6, file=terminal, disable=False) as shown:
        steps = step_log(written, shown)
        with steps.calling(batch(2)):
            assert "compiling bucket 3 of 3:" in terminal.getvalue()
            assert shown.desc.startswith("compiling")
        assert shown.desc == ""
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("quiet", [False, True])
def test_a_notebook_without_widgets_shows_the_bar_as_text(quiet):
    code = """
import importlib.util, sys, types
sys.modules["ipykernel"] = types.ModuleType("ipykernel")
found = importlib.util.find_spec
importlib.util.find_spec = lambda name: None if name == "ipywidgets" else found(name)
from msa_jax import progress
if sys.argv[1] == "True":
    progress.mute()
with progress.bar(6, 2) as shown:
    shown.update()
list(progress.watched([1, 2], "reading", "clip"))
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(quiet)], capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    assert (done.stdout == "") == quiet
    assert quiet or ("2/6" in done.stdout and "reading" in done.stdout)


def test_a_terminal_that_does_not_know_its_size_shows_the_bar():
    terminal, inside = pty.openpty()  # 0 x 0, as some containers have it
    code = "from msa_jax.progress import bar, doing\nwith bar(6, 0) as b, doing(b, 'compiling it'): pass"
    subprocess.run([sys.executable, "-c", code], stderr=inside, check=True)
    os.close(inside)
    seen = b""
    with contextlib.suppress(OSError):  # the end, on Linux
        while part := os.read(terminal, 4096):
            seen += part
    os.close(terminal)
    assert b"\rcompiling it:" in seen


def test_a_bar_does_not_go_on_saying_what_has_failed():
    with tqdm(total=6, file=io.StringIO(), disable=False) as shown:
        with pytest.raises(ValueError, match="broken"), doing(shown, "compiling"):
            raise ValueError("broken")
        assert shown.desc == ""


def test_a_stopwatch_does_not_count_its_pauses(monkeypatch):
    now = iter([0.0, 3.0, 10.0, 12.0, 20.0])
    monkeypatch.setattr("msa_jax.progress.time.monotonic", lambda: next(now))
    watch = Stopwatch()
    watch.pause()
    watch.pause()
    assert watch.seconds == 3.0
    watch.resume()
    watch.resume()
    assert watch.seconds == 5.0
    assert watch.seconds == 13.0


def test_compiling_and_validation_are_not_training_time(written, tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("msa_jax.progress.time.monotonic", lambda: now[0])
    steps = step_log(written)
    for step, clips in enumerate(CLIPS, 1):
        with steps.calling(batch(0)):
            now[0] += 100.0 if step == 1 else 0.0
        now[0] += 1.0
        steps.add(step, terms(1.0), clips)
    steps.flush()
    now[0] += 50.0
    steps.end_epoch(3, judged(steps), at_most=False)
    assert lines(tmp_path)[0]["clips_per_second"] == pytest.approx(10 / 3)


def test_a_damaged_line_drops_out_and_the_others_stay(tmp_path):
    """A bit that flips in a name, in a number, or where it makes no text at all."""
    whole = [json.dumps({"step": step, "epoch": 0, "loss": 0.5}) for step in (1, 2, 3, 4)]
    for place in range(len(whole[1])):
        broken = bytearray("\n".join(whole).encode())
        broken[len(whole[0]) + 1 + place] ^= 0x80
        (tmp_path / "metrics.jsonl").write_bytes(broken)
        log.MetricLog(tmp_path, resume_step=3).close()
        assert (tmp_path / "metrics.jsonl").read_text().splitlines() == [whole[0], whole[2]]


def test_events_are_not_written_through_a_link(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "tensorboard").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="tensorboard: is a symbolic link, which is not written through"):
        log.MetricLog(tmp_path, resume_step=0)
    assert not list((tmp_path / "elsewhere").iterdir())
