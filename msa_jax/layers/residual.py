"""Residual connections, normalised after the sum, before the function, or in a stream of their own.

Source: Qin et al., Scientific Reports 2025 (MulG), Figure 5 and its ablation of the residual block.
"""

from collections.abc import Callable

from jaxtyping import Array

RESIDUALS = ("post_ln", "pre_ln", "residual_dual")


def start_residual(variant: str, x: Array) -> tuple[Array, ...]:
    """The streams that `add_residual` hands on: x, and for ResiDual the running sum, which starts at x."""
    if variant not in RESIDUALS:
        raise ValueError(f"residual must be one of {', '.join(RESIDUALS)}, got {variant!r}")
    return (x, x) if variant == "residual_dual" else (x,)


def add_residual(
    variant: str, streams: tuple[Array, ...], f: Callable[[Array], Array], norm: Callable[[Array], Array]
) -> tuple[Array, ...]:
    """One function with its residual connection (Figure 5).

    Args:
      variant: "post_ln": norm(x + f(x)), as drawn (the prose has x + norm(f(x))); "pre_ln": x + f(norm(x));
        "residual_dual" (Xie et al. 2023, ResiDual): post-LN, with a second stream that sums what each f
        gives, never normalised on the way.
      streams: from `start_residual` or from the function before.
      f: the function.
      norm: its LayerNorm.
    """
    x, *total = streams
    if variant == "pre_ln":
        return (x + f(norm(x)),)
    added = f(x)
    return norm(x + added), *(t + added for t in total)


def end_residual(streams: tuple[Array, ...], norm: Callable[[Array], Array]) -> Array:
    """The output after the last function: x, in ResiDual plus the normalised sum."""
    x, *total = streams
    return x + norm(total[0]) if total else x
