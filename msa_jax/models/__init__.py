"""One paper, one file; `build` finds a model by its name in the config."""

from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn

from msa_jax.models import crosssent
from msa_jax.models.amsgfn import AMSGFN
from msa_jax.models.mulg import MulG
from msa_jax.models.tecafn import TeCaFN
from msa_jax.text import Encoder

BUILDERS: dict[str, Callable[..., nn.Module]] = {
    "crosssent": crosssent.build,
    "tecafn": TeCaFN,
    "mulg": MulG,
    "amsgfn": AMSGFN,
}


def build(
    model: Mapping[str, Any],
    *,
    encoder: Encoder | None,
    modalities: tuple[str, ...],
    outputs: tuple[int, ...],
    frozen: bool,
) -> nn.Module:
    """The module that a config's `model` section describes.

    Args:
      model: the section, with `name`.
      encoder: of the text; None where the text is features, or is left out.
      modalities: those that the model gets branches for.
      outputs: shape of the output per clip: () a score, (2,) two classes, (4, 2) four two-way tasks.
      frozen: the encoder is not trained.

    Raises:
      ValueError: for a name that is not in `BUILDERS`.
    """
    fields = dict(model)
    name = fields.pop("name")
    if name not in BUILDERS:
        raise ValueError(f"unknown model {name!r}; known: {', '.join(BUILDERS)}")
    return BUILDERS[name](**fields, encoder=encoder, modalities=modalities, outputs=outputs, frozen=frozen)
