"""Tests of how processes meet, and how each hears that another has ended."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

from msa_jax import meeting
from msa_jax.errors import UserError
from msa_jax.processes import Group

FACTS = {"the version": ["1"], "the command": ["--config=a"]}
# Joins, says so, and waits to be ended, or ends as it is told.
WAITS = """
import sys, time
from msa_jax import meeting, watch
from msa_jax.errors import UserError
from msa_jax.processes import Group
process, processes, port, how = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
group = Group(process, processes, "127.0.0.1", port, None, "a test")
watch._start_jax = lambda group, port: print("met", flush=True)
watch._stop_jax = lambda: None
watch._GRACE = {"first": 2.0, "other": 1.0}
with watch.joined(group, {}):
    if how == "fails":
        raise UserError("the disk is full")
    if how == "gloo":
        time.sleep(1)
        raise ValueError("Gloo all-reduce failed: Connection reset by peer")
    if how == "stops":
        from msa_jax import stopping
        raise stopping.Stopped(15)
    if how != "ends":
        time.sleep(3 if how == "slow" else 60)
print("ended", flush=True)
"""


@pytest.fixture
def port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def group(process, processes, port):
    return Group(process, processes, "127.0.0.1", port, None, "a test")


def together(*calls):
    """What each of several calls, made at once, returned or raised."""
    results = [None] * len(calls)

    def run(place, call):
        try:
            results[place] = call()
        except UserError as e:
            results[place] = str(e)

    threads = [threading.Thread(target=run, args=(k, call)) for k, call in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return results


def close(met):
    for lines, _ in met:
        for line in lines.values():
            line.close()


def test_all_meet_whoever_comes_first_and_end_together(port):
    def joins(process, wait):
        def call():
            time.sleep(wait)
            return meeting.meet(group(process, 3, port), FACTS)

        return call

    met = together(joins(0, 0.3), joins(1, 0.0), joins(2, 0.6))
    assert {port for _, port in met} == {met[0][1]}
    assert [sorted(lines) for lines, _ in met] == [[1, 2], [0], [0]]
    close(met)


@pytest.mark.parametrize(
    ("others", "said"),
    [
        ([(1, 2, FACTS)], "process 1 was told that there are 2 processes, and process 0 that there are 3"),
        ([(1, 3, FACTS), (1, 3, FACTS)], "two processes have the number 1"),
        (
            [(1, 3, {**FACTS, "the command": ["--config=b"]})],
            "the command differs: process 0 has --config=a, process 1 has --config=b",
        ),
        ([(1, 3, FACTS)], "of 3 processes those of the numbers 2 have not come"),
    ],
)
def test_what_does_not_fit_is_said_to_all(port, others, said):
    calls = [lambda: meeting.meet(group(0, 3, port), FACTS, patience=2)]
    calls += [lambda o=o: meeting.meet(group(o[0], o[1], port), o[2], patience=10) for o in others]
    lines = together(*calls)
    assert said in lines[0]
    assert all(said in line for line in lines[1:])


def test_a_port_that_is_taken_and_a_first_process_that_never_comes(port):
    with (
        socket.create_server(("", port)),
        pytest.raises(UserError, match=f"at port {port} \\(Address already"),
    ):
        meeting.meet(group(0, 2, port), FACTS)
    with pytest.raises(UserError, match=f"has not found process 0 at 127.0.0.1:{port} within 1 s"):
        meeting.meet(group(1, 2, port), FACTS, patience=1)


def test_a_machine_that_is_not_known_is_said_at_once(port):
    began = time.monotonic()
    lost = Group(1, 2, "no-such-machine.invalid", port, None, "a test")
    with pytest.raises(UserError, match=r"process 1 knows no machine 'no-such-machine.invalid'"):
        meeting.meet(lost, FACTS)
    assert time.monotonic() - began < 30


def test_a_stranger_at_the_port_is_passed_over(port):
    def stranger():
        time.sleep(0.2)
        with socket.create_connection(("127.0.0.1", port)) as s:
            s.sendall(b"GET / HTTP/1.1\r\n\r\n")

    def other():
        time.sleep(0.5)
        return meeting.meet(group(1, 2, port), FACTS)

    first, second, _ = together(lambda: meeting.meet(group(0, 2, port), FACTS), other, stranger)
    assert first[1] == second[1]
    close([first, second])


def started(port, *how):
    command = [sys.executable, "-c", WAITS]
    out = []
    for process, way in enumerate(how):
        arguments = [str(process), str(len(how)), str(port), way]
        out.append(
            subprocess.Popen(
                [*command, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
        )
    return out


@pytest.mark.parametrize("victim", [0, 1])
def test_the_others_of_a_killed_process_end_at_once_in_one_line(port, victim):
    processes = started(port, "waits", "waits", "waits")
    for process in processes:
        assert process.stdout.readline() == "met\n"
    os.kill(processes[victim].pid, signal.SIGKILL)
    for place, process in enumerate(processes):
        _, err = process.communicate(timeout=20)
        if place != victim:
            assert process.returncode == 2
            assert err == (
                f"msa_jax: process {victim} has ended (it was killed, or its machine is gone); "
                f"process {place} ends, too; the same command again resumes\n"
            )


def test_why_one_has_failed_is_said_by_all(port):
    processes = started(port, "waits", "waits", "fails")
    ended = [process.communicate(timeout=20)[1] for process in processes]
    for place in (0, 1):
        assert processes[place].returncode == 2
        wanted = f"msa_jax: process 2 has failed: the disk is full; process {place} ends, too\n"
        assert ended[place] == wanted


def test_a_process_that_is_stopped_alone_stops_the_others(port):
    processes = started(port, "waits", "waits", "stops")
    ended = [process.communicate(timeout=20)[1] for process in processes]
    assert [process.returncode for process in processes] == [143] * 3
    assert ended[0].startswith("msa_jax: process 2 was stopped by a signal; process 0 ends, too; the same")


def test_the_error_of_a_collective_gives_way_to_the_news_of_who_died(port):
    processes = started(port, "gloo", "gloo", "waits")
    for process in processes:
        assert process.stdout.readline() == "met\n"
    os.kill(processes[2].pid, signal.SIGKILL)
    for place in (0, 1):
        _, err = processes[place].communicate(timeout=20)
        assert processes[place].returncode == 2
        assert "process 2 has ended (it was killed" in err
        assert "Traceback" not in err
    processes[2].communicate()


def test_a_failure_that_all_have_leaves_each_the_time_to_end(port):
    processes = started(port, "slow", "fails")
    _, err = processes[0].communicate(timeout=20)
    assert processes[0].returncode == 2  # after two seconds of grace, as it takes three
    assert "process 1 has failed" in err
    processes[1].communicate(timeout=20)


def test_processes_that_end_in_order_say_nothing(port):
    processes = started(port, "slow", "ends", "ends")
    for process in processes:
        out, err = process.communicate(timeout=20)
        assert (process.returncode, out, err) == (0, "met\nended\n", "")
