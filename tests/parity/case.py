"""Case of one model: how MMSA's is made and called, and which of our fields and numbers are the same."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from msa_jax import config as configs
from msa_jax import models
from msa_jax.corpora import MODALITIES
from msa_jax.losses import TASKS
from msa_jax.models import fields
from tests.parity.carry import Theirs

Arrays = dict[str, np.ndarray]


def score(out: Any) -> Any:
    """The predictions among what most of their models return."""
    return out["M"][:, 0]


def l1(model: Any, out: Any, label: Any) -> Any:
    """The L1 loss of these predictions."""
    del model
    return (score(out) - label).abs().mean()


@dataclasses.dataclass(frozen=True)
class Case:
    """What the comparison of a model needs to know.

    The sizes of ours are those of `configs/<ours>_mosi.py`, so that a wrong one is found.

    Attributes:
      ours, theirs: names of the model.
      carry: from PyTorch's tensors to our variables: {"params": {...}, ...}, or with `Theirs.gradients` to
        {"params": {...}} alone.
      faults: fields of ours that reproduce what the reference does and we do not.
      outputs: our output to a function from what their model returns to the same numbers.
      losses: the name of our task loss or term to a function of (their model, what it returned, labels) to
        their loss, a scalar tensor.
      averaged: they take means of audio and vision over all steps, padding included.
      aligned: the modalities have the same steps.
      small_theirs, small_ours: arguments and fields of the small form, for the golden files.
      prepare: changes their arguments before the model is made (optional).
      make: (arguments) to their module, where AMIO does not make it.
      call: (their module, tensors by name, arguments) to what it returns, where it does not take text, audio
        and vision.
      loss: fields of our `Loss` that differ from the config's.
      stages: the losses of each of the reference's passes over a batch, where there are several.
    """

    ours: str
    theirs: str
    carry: Callable[[Theirs], dict[str, Any]]
    outputs: Mapping[str, Callable[[Any], Any]]
    losses: Mapping[str, Callable[[Any, Any, Any], Any]]
    faults: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    averaged: bool = False
    aligned: bool = True
    small_theirs: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    small_ours: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    prepare: Callable[[Any], None] | None = None
    make: Callable[[Any], Any] | None = None
    call: Callable[[Any, Any, Any], Any] | None = None
    loss: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    stages: tuple[tuple[str, ...], ...] = ()

    def sizes(self, *, small: bool) -> tuple[int, int, tuple[int, int, int]]:
        """(clips, steps, widths of text, audio and vision) of the random input."""
        return (3, 5, (6, 4, 3)) if small else (16, 50, (768, 5, 20))

    def batch(self, *, small: bool, seed: int = 0) -> Arrays:
        """Random clips of ragged lengths, 0 behind their ends."""
        rng = np.random.default_rng(seed)
        clips, steps, widths = self.sizes(small=small)
        out: Arrays = {
            "mask": np.ones(clips, bool),
            "index": np.arange(clips, dtype=np.int32),
            "label": rng.uniform(-3, 3, clips).astype(np.float32),
        }
        lengths = rng.integers(2, steps + 1, clips)
        lengths[0] = steps
        for m, width in zip(MODALITIES, widths, strict=True):
            own = lengths if self.aligned else rng.permutation(lengths)
            mask = np.arange(steps)[None] < own[:, None]
            x = rng.normal(size=(clips, steps, width)).astype(np.float32)
            out[m], out[f"{m}_mask"] = np.where(mask[..., None], x, np.float32(0)), mask
        return out

    def model(self, *, small: bool) -> Any:
        """Our module at the published sizes, or small, with the faults of the reference."""
        config, _ = configs.load(f"configs/{self.ours}_mosi.py")
        values = {**config.model.to_dict(), **self.faults, **(self.small_ours if small else {})}
        values.pop("name")
        return fields.build(models.find(self.ours).model, values, **self.given())

    def given(self) -> dict[str, Any]:
        """The fields that a run fills."""
        of_model = {f.name for f in dataclasses.fields(models.find(self.ours).model)}
        return {k: v for k, v in {"modalities": MODALITIES, "outputs": ()}.items() if k in of_model}

    def our_losses(self, model: Any) -> dict[str, Callable[[Any, Any], Any]]:
        """Functions of (outputs, batch) by the names of `losses`."""
        config, _ = configs.load(f"configs/{self.ours}_mosi.py")
        loss = fields.build(models.find(self.ours).loss, {**config.loss.to_dict(), **self.loss})
        terms = {t.name: t.value for t in loss.terms(model)}
        key = jax.random.key(0)

        def of(name: str) -> Callable[[Any, Any], Any]:
            if name in TASKS:
                return TASKS[name].loss
            return lambda out, batch: terms[name](out, batch, key)

        return {name: of(name) for name in self.losses}

    def our_numbers(
        self, model: Any, variables: Any, batch: Arrays, *, losses: bool = True
    ) -> tuple[Arrays, dict[str, Any]]:
        """(outputs in evaluation mode, for each loss the gradient of the parameters)."""
        arrays = jax.tree.map(jnp.asarray, batch)
        forward = jax.jit(lambda v, b: model.apply(v, b, train=False))
        out = {k: np.asarray(v) for k, v in forward(variables, arrays).items() if k in self.outputs}
        rest = {k: v for k, v in variables.items() if k != "params"}

        def gradient(loss: Any) -> Any:
            def value(params: Any) -> Any:
                return loss(model.apply({**rest, "params": params}, arrays, train=False), arrays)

            return jax.jit(jax.grad(value))(variables["params"])

        chosen = self.our_losses(model) if losses else {}
        return out, {name: jax.tree.map(np.asarray, gradient(loss)) for name, loss in chosen.items()}
