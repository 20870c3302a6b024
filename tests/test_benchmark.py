"""The benchmark: what it counts, compares and prints."""

import importlib
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from msa_jax import parallel
from msa_jax.step import make_state

FOLDER = Path(__file__).parents[1] / "experiments"


@pytest.fixture
def module(monkeypatch):
    """Imports a module of the folder experiments by its name."""
    monkeypatch.syspath_prepend(FOLDER)
    return importlib.import_module


def test_operations_of_products_are_two_for_each_multiplication(module):
    count = module("floors").product_operations
    a, b = jnp.ones((3, 4)), jnp.ones((4, 5))
    assert count(jnp.matmul, a, b) == 2 * 3 * 4 * 5
    assert count(lambda x: jnp.einsum("bij,bjk->bik", x, x), jnp.ones((2, 3, 3))) == 2 * 2 * 27
    # The gradient by both: two more products of the size.
    both = jax.value_and_grad(lambda x, y: jnp.square(x @ y).sum(), argnums=(0, 1))
    assert count(both, a, b) == 3 * 2 * 60


def test_operations_of_a_convolution(module):
    def conv(x, kernel):
        return jax.lax.conv_general_dilated(x, kernel, (1,), "SAME", dimension_numbers=("NWC", "WIO", "NWC"))

    count = module("floors").product_operations
    assert count(conv, jnp.ones((2, 10, 4)), jnp.ones((3, 4, 5))) == 2 * (2 * 10 * 5) * (3 * 4)


def test_a_loop_counts_as_often_as_it_runs(module):
    """XLA's own count takes its body once."""

    def ten(x, w):
        return jax.lax.scan(lambda c, _: (jnp.tanh(c @ w), None), x, None, length=10)[0]

    x = jnp.ones((4, 4))
    assert module("floors").product_operations(ten, x, x) == 10 * 2 * 64
    assert jax.jit(ten).lower(x, x).cost_analysis()["flops"] < 3 * 2 * 64


def test_the_floor_is_the_larger_of_operations_and_bytes(module):
    limits = {"tflops": {"float32": 0.1, "bfloat16": 0.2}, "gb_per_second": 10.0}
    against = module("floors").against_floor
    products = against(0.02, 10**9, 10**7, limits, "float32")
    assert products == {"floor_milliseconds": 10.0, "share_of_floor": 0.5, "share_of_matrix_rate": 0.5}
    moved = against(0.02, 10**9, 10**8, limits, "bfloat16")
    assert moved == {"floor_milliseconds": 10.0, "share_of_floor": 0.5, "share_of_matrix_rate": 0.25}


def test_busy_time_counts_what_overlaps_once(module):
    covered = module("device_time")._covered
    assert covered([(0.0, 4.0), (1.0, 2.0), (3.0, 6.0), (10.0, 11.0)]) == 7.0


def test_a_watched_part_has_its_span_and_the_share_that_no_kernel_ran(module, monkeypatch):
    device_time = module("device_time")
    kernels = [(0.0, 5e7, "dot"), (2e7, 6e7, "add")]  # nanoseconds, together 0.06 s
    monkeypatch.setattr(device_time, "_kernels", lambda profile: iter(kernels))
    started = time.monotonic()

    def after(seconds):
        return lambda: time.monotonic() - started > seconds

    with device_time.watched(after(0.2), after(0.5)) as found:
        time.sleep(0.7)
    assert 0.25 < found["span_seconds"] < 2
    assert found["busy_seconds"] == 0.06
    assert found["idle_share"] == pytest.approx(1 - 0.06 / found["span_seconds"], abs=1e-3)
    assert found["kernels"] == {"dot": 0.5556, "add": 0.4444}
    with (
        pytest.raises(SystemExit, match="over before"),
        device_time.watched(lambda: False, lambda: False),
    ):
        pass


def test_a_measured_step_says_what_it_took_beside_its_floor(module):
    steps = module("steps")
    config = steps.config_of("lmf_mosi")
    limits = {"tflops": {"float32": 1e-3}, "gb_per_second": 1e-3}
    found = steps.measured(config, limits, rows=4, length=3, precision="float32")
    assert found["batch_size"] == 4
    assert found["clips_per_second"] == pytest.approx(4e3 / found["step_milliseconds"], rel=0.05)
    assert found["share_of_floor"] == pytest.approx(
        found["floor_milliseconds"] / found["step_milliseconds"], rel=0.05
    )


def test_operations_of_a_step_are_nearly_all_that_xla_counts(module):
    """Of a model without loops, whose width makes products most of its work."""
    steps, floors = module("steps"), module("floors")
    encoder = {"encoder": "scratch", "scratch.hidden_size": 256, "scratch.num_layers": 1}
    config = steps.config_of("crosssent_mosi", encoder=encoder)
    pieces = steps.pieces_of(config, 12)
    state, _ = make_state(config, pieces, steps.plan_of(config, 8, 12), parallel.layout(1))
    batch = steps.random_batch(config, pieces, 8, 12)
    assert batch["audio"].std() > 0.5
    counted = floors.product_operations(steps.train_step, state, batch)
    of_xla = jax.jit(steps.train_step).lower(state, batch).cost_analysis()["flops"]
    assert 0.8 * of_xla < counted < of_xla


def test_what_no_output_needs_is_not_counted(module):
    def half(x):
        return x @ x, jnp.square(x @ (x @ x)).sum()

    count = module("floors").product_operations
    assert count(lambda x: half(x)[0], jnp.ones((4, 4))) == 128


def test_a_process_that_talks_gives_its_lines_alone(module, capsys):
    program = 'print(\'--- hello\'); print(\'{"case": "a", "x": 1}\'); raise SystemExit(3)'
    failed = []
    assert module("benchmark").lines_of([sys.executable, "-c", program], failed) == [{"case": "a", "x": 1}]
    assert failed
    assert "ended with code 3" in failed[0]
    assert capsys.readouterr().out == '{"case": "a", "x": 1}\n'


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("--case=mosi", "no case mosi; there are main_job"),
        ("--config=lmf", "no config lmf; there are all, amsgfn_"),
        ("--batch=0", "--batch: '0' is not a whole number of at least 1"),
        ("--pairs=x", "--pairs: 'x' is not a whole number of at least 1"),
        ("--mosi=nowhere.csv", "--mosi: there is no file nowhere.csv"),
        ("--markdown=nowhere/tables.md", "--markdown: there is no folder nowhere"),
        ("--torch=nowhere", "--torch: nowhere is not a python that imports torch"),
    ],
)
def test_a_wrong_option_is_said_before_anything_runs(module, monkeypatch, capsys, tmp_path, wrong, said):
    (tmp_path / "texts.csv").touch()
    right = [f"--mosi={tmp_path / 'texts.csv'}", "--against=torch", f"--torch={sys.executable}"]
    monkeypatch.setattr(module("against_torch"), "can_train", lambda python: python == sys.executable)
    monkeypatch.setattr(sys, "argv", ["benchmark.py", *right, wrong])
    with pytest.raises(SystemExit) as ended:
        module("benchmark").arguments()
    assert ended.value.code == 2
    assert said in capsys.readouterr().err
    monkeypatch.setattr(sys, "argv", ["benchmark.py", *right])
    assert module("benchmark").arguments().pairs == 3


def test_what_cannot_be_compared_with_mmsa_is_said(module, monkeypatch, capsys, tmp_path):
    against = module("against_mmsa")
    monkeypatch.setattr(against.importlib.util, "find_spec", lambda name: None)
    assert "torch or MMSA is missing" in against.unfit(None)
    monkeypatch.setattr(against.importlib.util, "find_spec", lambda name: name)
    assert against.unfit(["mfn", "mult"]) is None
    assert "MMSA has no rmfn, nosuch; there are ef_lstm" in against.unfit(["mfn", "rmfn", "nosuch"])
    (tmp_path / "texts.csv").touch()
    argv = ["benchmark.py", "--against=mmsa", f"--mosi={tmp_path / 'texts.csv'}", "--batch=8"]
    monkeypatch.setattr(sys, "argv", argv)
    with pytest.raises(SystemExit) as ended:
        module("benchmark").arguments()
    assert ended.value.code == 2
    assert "--batch" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("lengths", "rows"),
    [([50], 1), ([30, 20], 1), ([30, 21], 2), ([10, 20, 30, 40], 2), ([26, 26, 26], 3), ([], 0)],
)
def test_clips_are_packed_into_few_rows(module, lengths, rows):
    assert module("packing").rows_of(lengths, 50) == rows


def test_a_clip_that_is_longer_than_a_row_is_not_packed(module):
    with pytest.raises(ValueError, match="a clip of 51 tokens does not fit a row of 50"):
        module("packing").rows_of([51], 50)


def test_a_python_without_torch_is_none_to_compare_with(module, tmp_path):
    can_train = module("against_torch").can_train
    assert not can_train(str(tmp_path / "nowhere"))
    without = tmp_path / "python"
    without.write_text("#!/bin/sh\nexit 1\n")
    without.chmod(0o755)
    assert not can_train(str(without))
    without.write_text("#!/bin/sh\nexit 0\n")
    assert can_train(str(without))


def test_longer_texts_than_a_config_has_are_measured_too(module):
    steps = module("steps")
    config = steps.config_of("crosssent_mosi", encoder=steps.MINILM, length=64)
    assert (config.text.max_length, config.model.gmra.max_length) == (64, 64)


def test_tables_have_a_row_for_each_line_and_leave_nested_values_out(module):
    rows = [
        {"case": "seeds", "model": "mulg", "ms": 1.5, "inside": {"a": 1}},
        {"case": "seeds", "model": "lmf", "ms": 2},
        {"case": "config:x", "batch": 3},
    ]
    assert module("report").markdown(rows).splitlines() == [
        "### seeds",
        "",
        "| model | ms |",
        "| --- | --- |",
        "| mulg | 1.5 |",
        "| lmf | 2 |",
        "",
        "### config",
        "",
        "| batch |",
        "| --- |",
        "| 3 |",
    ]
