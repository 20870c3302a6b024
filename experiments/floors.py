"""Floors: the least time that a device could take for a program, by its measured ceilings; and timing.

A program cannot be quicker than its matrix products at the device's matrix rate, nor than its inputs and
outputs at the bandwidth of its memory. Both ceilings are measured, on the largest product and copy that make
sense, because data sheets promise what no program reaches.
"""

import math
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend import core
from jax.interpreters import partial_eval as pe

RATES = ("float32", "bfloat16")


def ceilings() -> dict[str, Any]:
    """The measured rates of this process's first device: `tflops` by compute type, `gb_per_second` of a copy.

    float32 is at the precision that products have by default, which on a GPU may be TF32.
    """
    gpu = jax.devices()[0].platform != "cpu"
    size = 8192 if gpu else 2048
    a, b = jax.random.normal(jax.random.key(0), (2, size, size))
    product = jax.jit(jnp.matmul)
    tflops = {
        name: 2 * size**3 / min(seconds(product, a.astype(name), b.astype(name))) / 1e12 for name in RATES
    }
    x = jax.random.normal(jax.random.key(1), (1 << (29 if gpu else 26),))
    size = x.nbytes
    # In place, as a step changes its state: on a CPU a fresh array costs more than the copy.
    copy = step_seconds(jax.jit(lambda v, _: (v + 1, None), donate_argnums=0), x, None)
    return {
        "tflops": {name: round(rate, 3) for name, rate in tflops.items()},
        "gb_per_second": round(2 * size / copy / 1e9, 1),
    }


def seconds(f: Callable[..., Any], *args: Any, warm: int = 3, runs: int = 10) -> list[float]:
    """The times of calls, each waited for, after some that warm up."""
    for _ in range(warm):
        jax.block_until_ready(f(*args))
    found = []
    for _ in range(runs):
        started = time.perf_counter()
        jax.block_until_ready(f(*args))
        found.append(time.perf_counter() - started)
    return found


def step_seconds(step: Callable[..., Any], state: Any, batch: Any, *, least: float = 0.4) -> float:
    """Seconds of a step that takes its state over, in a row of steps that the host does not wait for.

    Args:
      step: (state, batch) to (state, anything).
      state: is given up.
      batch: on the device.
      least: seconds of a row; the best of three rows counts.
    """
    for _ in range(3):
        state, _ = step(state, batch)
    jax.block_until_ready(state)
    started = time.perf_counter()
    state, _ = step(state, batch)
    jax.block_until_ready(state)
    steps = max(3, min(200, math.ceil(least / (time.perf_counter() - started))))
    found = []
    for _ in range(3):
        started = time.perf_counter()
        for _ in range(steps):
            state, _ = step(state, batch)
        jax.block_until_ready(state)
        found.append((time.perf_counter() - started) / steps)
    return min(found)


def product_operations(f: Callable[..., Any], *args: Any) -> int:
    """Floating-point operations of the matrix products and convolutions that a function's outputs need.

    XLA's own count takes the body of a loop once, however often it runs; this one follows the trace, and
    counts the body of `lax.scan` as often as it has steps.

    Raises:
      ValueError: when a loop that may run any number of times holds products.
    """
    jaxpr = jax.make_jaxpr(f)(*args).jaxpr
    return _operations(pe.dce_jaxpr(jaxpr, [True] * len(jaxpr.outvars))[0])


def _operations(jaxpr: core.Jaxpr) -> int:
    total = 0
    for equation in jaxpr.eqns:
        times = equation.params["length"] if equation.primitive.name == "scan" else 1
        inside = [_operations(sub) for sub in _inner(equation.params)]
        if equation.primitive.name == "while" and sum(inside):
            raise ValueError("a loop without a fixed number of rounds holds products")
        # Of the branches of a condition one is taken: at least the cheapest.
        total += min(inside, default=0) if equation.primitive.name == "cond" else times * sum(inside)
        out = math.prod(equation.outvars[0].aval.shape) if equation.outvars else 0
        if equation.primitive.name == "dot_general":
            (contracted, _), _ = equation.params["dimension_numbers"]
            shape = equation.invars[0].aval.shape
            total += 2 * out * math.prod(shape[axis] for axis in contracted)
        elif equation.primitive.name == "conv_general_dilated":
            kernel = equation.invars[1].aval.shape
            features = equation.params["dimension_numbers"].rhs_spec[0]
            total += 2 * out * math.prod(kernel) // kernel[features]
    return total


def _inner(params: dict[str, Any]) -> list[core.Jaxpr]:
    """The jaxprs among the parameters of an equation."""
    found = []
    for value in params.values():
        for one in value if isinstance(value, tuple | list) else (value,):
            if isinstance(one, core.ClosedJaxpr):
                found.append(one.jaxpr)
            elif isinstance(one, core.Jaxpr):
                found.append(one)
    return found


def held_bytes(compiled: Any) -> dict[str, int]:
    """Bytes of a compiled program: `moved` at least, what goes in and comes out; `peak`, what it takes."""
    found = compiled.memory_analysis()
    ends = found.argument_size_in_bytes + found.output_size_in_bytes
    return {"moved": ends, "peak": ends + found.temp_size_in_bytes - found.alias_size_in_bytes}


def against_floor(
    took: float, operations: int, moved: int, limits: dict[str, Any], dtype: str
) -> dict[str, Any]:
    """What a program took beside the least that it could take.

    Args:
      took: seconds of the program.
      operations: of its products.
      moved: bytes that go in and come out.
      limits: what `ceilings` gives.
      dtype: that most products are computed in.

    Returns:
      `floor_milliseconds`, `share_of_floor` (1 is the floor itself; a state that fits in a cache may go
      beyond), and `share_of_matrix_rate`, what the products alone would take.
    """
    products = operations / (limits["tflops"][dtype] * 1e12)
    floor = max(products, moved / (limits["gb_per_second"] * 1e9))
    return {
        "floor_milliseconds": round(1e3 * floor, 3),
        "share_of_floor": round(floor / took, 3),
        "share_of_matrix_rate": round(products / took, 3),
    }
