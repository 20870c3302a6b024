"""Tests of a run in two processes: the numbers of one, one writer, and an orderly end whatever happens."""

import csv
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from msa_jax import workdir
from tests.conftest import TINY, make_words_folder

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    """(arguments of a training, folder)."""
    folder = tmp_path_factory.mktemp("two")
    values = {**TINY, "data.path": make_words_folder(folder / "words"), "data.cache": folder / "cache"}
    values |= {"epochs": 6, "batch_size": 3}  # two processes do not divide it
    return ["--config=crosssent_mosi", *(f"--config.{k}={v}" for k, v in values.items())], folder


def start(arguments, folder, processes):
    """The processes of a training."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    command = [sys.executable, "-m", "msa_jax.main", *arguments, f"--workdir={folder}"]
    env = {**os.environ, "JAX_PLATFORMS": "cpu", "PYTHONUNBUFFERED": "1"}
    meet = [f"--processes={processes}", f"--coordinator=127.0.0.1:{port}"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "cwd": ROOT, "env": env}
    return [
        subprocess.Popen([*command, *(meet if processes > 1 else ()), f"--process={k}"], **pipes)
        if processes > 1
        else subprocess.Popen(command, **pipes)
        for k in range(processes)
    ]


def finished(processes):
    """(exit code, stdout, stderr) of each."""
    out = [process.communicate(timeout=300) for process in processes]
    return [(process.returncode, *texts) for process, texts in zip(processes, out, strict=True)]


def losses(folder):
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return {line["step"]: line["loss"] for line in lines if "loss" in line}


def scores(folder):
    with (folder / "predictions_test.csv").open() as f:
        return np.array([float(row["prediction"]) for row in csv.DictReader(f)])


@pytest.fixture(scope="module")
def alone(job):
    arguments, folder = job
    ((code, _, err),) = finished(start(arguments, folder / "alone", 1))
    assert code == 0, err
    return folder / "alone"


def test_two_processes_give_the_numbers_of_one(job, alone):
    arguments, folder = job
    first, second = finished(start(arguments, folder / "both", 2))
    assert (first[0], second[0]) == (0, 0), first[2] + second[2]
    assert "process 0 of 2 (from the flags)" in first[1]
    assert "1 device in this process, 2 in all" in first[1]
    said = [line for line in second[1].splitlines() if not line.startswith("[Gloo]")]
    assert said == []  # the first one speaks
    assert "Traceback" not in first[2] + second[2]
    one, two = losses(alone), losses(folder / "both")
    assert one.keys() == two.keys()
    assert len(one) == 24
    np.testing.assert_allclose([*two.values()], [*one.values()], rtol=1e-4)
    np.testing.assert_allclose([two[k] for k in (1, 2, 3)], [one[k] for k in (1, 2, 3)], rtol=1e-5)
    np.testing.assert_allclose(scores(folder / "both"), scores(alone), atol=2e-4)


def test_two_processes_train_several_seeds(job, alone):
    """Each makes its own rows of a batch, for both seeds."""
    arguments, folder = job
    seed = next(a for a in arguments if a.startswith("--config.seed="))
    several = [a for a in arguments if a != seed] + [f"--config.seeds={seed.split('=')[1]},8"]
    first, second = finished(start(several, folder / "seeds", 2))
    assert (first[0], second[0]) == (0, 0), first[2] + second[2]
    assert "2 of the 2 seeds are trained at once" in first[1]
    one, two = losses(alone), losses(folder / "seeds" / "seed_3")
    assert one.keys() == two.keys()
    np.testing.assert_allclose([two[k] for k in (1, 2, 3)], [one[k] for k in (1, 2, 3)], rtol=1e-5)
    assert losses(folder / "seeds" / "seed_8")[1] != one[1]


_OTHERS = """
import sys
import jax, jax.numpy as jnp, numpy as np
jax.distributed.initialize(sys.argv[1], 2, int(sys.argv[2]))
from msa_jax import agreement, parallel
tree = parallel.layout().everywhere({"a": jnp.full(3, float(jax.process_index())), "key": jax.random.key(7)})
assert [*np.asarray(tree["a"])] == [0.0] * 3, tree
memory = 78 * 2**30
assert agreement.least(memory - jax.process_index()) == memory - 1
"""


def test_variables_are_those_of_the_first_process_and_memory_that_of_the_least():
    """Of a run in training each process may have read another best checkpoint."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
    env = {**os.environ, "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-c", _OTHERS, address]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "cwd": ROOT, "env": env}
    both = finished([subprocess.Popen([*command, str(k)], **pipes) for k in (0, 1)])
    assert [code for code, *_ in both] == [0, 0], both


def until(process, pattern):
    """Reads a process's lines up to one that matches."""
    for line in process.stdout:
        if re.search(pattern, line):
            return
    raise AssertionError(process.stderr.read())


def test_a_signal_to_one_stops_all_and_one_process_goes_on(job, alone):
    arguments, folder = job
    processes = start(arguments, folder / "stopped", 2)
    until(processes[0], "^epoch 2/")
    processes[1].send_signal(signal.SIGTERM)  # not to the one that writes
    first, second = finished(processes)
    assert (first[0], second[0]) == (143, 143), first[2] + second[2]
    assert re.search(r"stopped at step \d+, which is saved", first[1])
    assert "Traceback" not in first[2] + second[2]
    ((code, out, err),) = finished(start(arguments, folder / "stopped", 1))
    assert code == 0, err
    assert re.search(r"resuming at step \d+ of 24", out)
    one, resumed = losses(alone), losses(folder / "stopped")
    assert one.keys() == resumed.keys()
    np.testing.assert_allclose([*resumed.values()], [*one.values()], rtol=1e-4)


def test_a_process_that_dies_ends_the_other_and_the_same_command_resumes(job, alone):
    arguments, folder = job
    processes = start(arguments, folder / "killed", 2)
    until(processes[0], "^epoch 2/")
    processes[1].kill()
    killed = time.monotonic()
    (code, _, err), _ = finished(processes)
    assert time.monotonic() - killed < 60
    assert code == 2
    wanted = (
        "msa_jax: process 1 has ended (it was killed, or its machine is gone); process 0 ends, too; the same "
        "command again resumes"
    )
    assert err.splitlines() == [wanted]
    for code, out, err in finished(start(arguments, folder / "killed", 2)):
        assert code == 0, out + err
    np.testing.assert_allclose([*losses(folder / "killed").values()], [*losses(alone).values()], rtol=1e-4)


def test_what_one_process_cannot_do_all_say(job):
    """The first process alone takes the run's lock."""
    arguments, folder = job
    with workdir.alone(folder / "held"):
        ended = finished(start(arguments, folder / "held", 2))
    for code, _, err in ended:
        assert code == 2
        assert "is being trained by" in err
        assert "Traceback" not in err


def test_a_state_that_is_split_and_parts_give_the_same_and_eval_and_predict_do(job, alone):
    arguments, folder = job
    run = folder / "split"
    first, second = finished(start([*arguments, "--config.parallel.shard_state=True"], run, 2))
    assert (first[0], second[0]) == (0, 0), first[2] + second[2]
    np.testing.assert_allclose([*losses(run).values()], [*losses(alone).values()], rtol=1e-4)
    data = arguments[[a.startswith("--config.data.path") for a in arguments].index(True)]
    job = ["--mode=eval", data, "--config.data.other_counts=True"]
    for code, out, err in finished(start(job, run, 2)):
        assert code == 0, out + err
    (evaluated,) = run.glob("eval_*")
    np.testing.assert_allclose(scores(evaluated), scores(run), atol=1e-5)
    output = folder / "predicted.csv"
    for code, out, err in finished(start(["--mode=predict", data, f"--output={output}"], run, 2)):
        assert code == 0, out + err
    assert len(output.read_text().splitlines()) > 6
