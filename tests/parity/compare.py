"""Comparison of a case: the largest differences of outputs and gradients."""

import dataclasses
import importlib
import json
import math
import pkgutil
from pathlib import Path
from typing import Any

import jax
import numpy as np

from tests.parity import cases, reference
from tests.parity.carry import flat, nested
from tests.parity.case import Arrays, Case

GOLDEN = Path(__file__).parent / "golden"
OUTPUTS, GRADIENTS = 1e-5, 1e-4
# Of sums in float32 that cancel: a share of the largest number of all arrays, and at most so much.
NOISE, MOST_NOISE = 1e-6, 1e-7


def names() -> list[str]:
    """The cases, by the names of our models."""
    return sorted(module.name for module in pkgutil.iter_modules(cases.__path__))


def case_of(name: str) -> Case:
    """The case of a model."""
    return importlib.import_module(f"tests.parity.cases.{name}").CASE


@dataclasses.dataclass(frozen=True)
class Difference:
    """The largest difference of some arrays, absolute, and where it lies."""

    value: float
    where: str
    largest: float  # number among the reference's
    share: float  # of an array's own largest number that a difference beyond noise is; the largest of all


def difference(ours: Any, theirs: Any) -> Difference:
    """The largest difference of two trees of the same paths and shapes."""
    mine, its = flat(ours), flat(theirs)
    assert sorted(mine) == sorted(its), sorted(set(mine) ^ set(its))
    worst, share = Difference(0.0, "", 0.0, 0.0), 0.0
    largest = max(float(np.abs(x).max(initial=0)) for x in its.values())
    noise = min(NOISE * largest, MOST_NOISE)
    for path, x in its.items():
        x = np.asarray(x)
        assert mine[path].shape == x.shape, (path, mine[path].shape, x.shape)
        assert np.isfinite(x).all(), path
        value, size = (float(np.abs(y).max(initial=0)) for y in (mine[path] - x, x))
        value = value if math.isfinite(value) else math.inf
        share = max(share, (value - noise) / max(size, noise, np.finfo(np.float32).tiny))
        if value > worst.value:
            worst = Difference(value, path, 0.0, 0.0)
    return dataclasses.replace(worst, largest=largest, share=share)


@dataclasses.dataclass(frozen=True)
class Compared:
    """A model beside its reference.

    Attributes:
      outputs: the largest difference of what both return.
      gradients: by loss.
      unused: the reference's parameters that the table of names does not take and does not name.
      left: what it names and leaves, by the beginnings of the names.
    """

    outputs: Difference
    gradients: dict[str, Difference]
    unused: list[str]
    left: list[str]


def compare(case: Case, *, small: bool = False) -> Compared:
    """Carries the weights over and compares; the shapes of ours are those of its own start."""
    module, args = reference.make(case, small=small)
    batch = case.batch(small=small)
    theirs = reference.tensors(module)
    variables = case.carry(theirs)
    model = case.model(small=small)
    start = jax.eval_shape(lambda key: model.init(key, batch, train=False), jax.random.key(0))
    wanted = {path: leaf.shape for path, leaf in flat_shapes(start).items()}
    found = {path: np.shape(leaf) for path, leaf in flat(variables).items()}
    assert found == wanted, {p: (found.get(p), wanted.get(p)) for p in found.keys() ^ wanted.keys()} or [
        (p, found[p], wanted[p]) for p in found if found[p] != wanted[p]
    ]
    outputs, gradients = reference.numbers(case, module, batch, args)
    ours, own = case.our_numbers(model, variables, batch)
    buffers = {name for name, _ in module.named_buffers()}
    return Compared(
        outputs=difference(ours, outputs),
        gradients={name: difference(own[name], gradients[name]) for name in gradients},
        unused=sorted(
            name
            for name in set(theirs.tensors) - theirs.used - buffers
            if not name.startswith(tuple(theirs.left))
        ),
        left=theirs.left,
    )


def flat_shapes(tree: Any) -> dict[str, Any]:
    """Shapes of a tree by path."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {"/".join(str(key.key) for key in path): leaf for path, leaf in leaves}


def write_golden(name: str) -> Path:
    """Writes the reference's numbers in the small form, with the weights, for the ordinary tests."""
    case = case_of(name)
    module, args = reference.make(case, small=True)
    batch = case.batch(small=True)
    variables = case.carry(reference.tensors(module))
    outputs, gradients = reference.numbers(case, module, batch, args)
    tree = {"variables": variables, "outputs": outputs, "gradients": gradients}
    write_packed(GOLDEN / f"{name}.npz", flat(tree))
    return GOLDEN / f"{name}.npz"


def write_packed(path: Path, arrays: Arrays) -> None:
    """Writes arrays side by side as one, with their shapes: hundreds of small ones have no head each."""
    shapes = json.dumps({name: np.shape(x) for name, x in arrays.items()})
    values = np.concatenate([np.ravel(x).astype(np.float32) for x in arrays.values()])
    np.savez_compressed(path, values=values, shapes=shapes)


def read_packed(path: Path) -> Arrays:
    """The arrays of `write_packed`."""
    with np.load(path) as file:
        values, shapes = file["values"], json.loads(str(file["shapes"]))
    ends = np.cumsum([math.prod(shape) for shape in shapes.values()])
    parts = np.split(values, ends[:-1])
    return {name: x.reshape(shape) for (name, shape), x in zip(shapes.items(), parts, strict=True)}


def read_golden(name: str) -> tuple[Any, Arrays, dict[str, Any]]:
    """(variables, outputs, gradients by loss) of a golden file."""
    tree = nested(read_packed(GOLDEN / f"{name}.npz"))
    return tree["variables"], tree["outputs"], tree["gradients"]
