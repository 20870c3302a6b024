"""One paper, one file; `build` finds a model by its name in the config."""

from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn

from msa_jax.models import crosssent
from msa_jax.text import Encoder

BUILDERS: dict[str, Callable[[Mapping[str, Any], Encoder], nn.Module]] = {"crosssent": crosssent.build}


def build(model: Mapping[str, Any], encoder: Encoder) -> nn.Module:
    """The module that a config's `model` section describes.

    Args:
      model: the section, with `name`.
      encoder: the text encoder.

    Raises:
      ValueError: for a name that is not in `BUILDERS`.
    """
    fields = dict(model)
    name = fields.pop("name")
    if name not in BUILDERS:
        raise ValueError(f"unknown model {name!r}; known: {', '.join(BUILDERS)}")
    return BUILDERS[name](fields, encoder)
