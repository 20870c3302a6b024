"""From a config's `model` section to a module."""

import pytest

from msa_jax import cli, models
from msa_jax.models.mulg import MulG
from msa_jax.text import Encoder, EncoderConfig

COMMON = {"encoder": None, "modalities": ("text", "audio"), "outputs": (2,), "frozen": True}


def test_the_section_names_the_model_and_its_fields():
    built = models.build({"name": "mulg", "scoring": "bilinear", "hidden": 5}, **COMMON)
    expected = MulG(modalities=("text", "audio"), outputs=(2,), frozen=True, scoring="bilinear", hidden=5)
    assert built == expected


@pytest.mark.parametrize("name", ["crosssent", "tecafn", "mulg", "amsgfn"])
def test_every_field_of_a_model_is_a_key_of_its_config(name):
    section = cli.load_config(f"configs/{name}_mosi.py")[0].model.to_dict()
    encoder = Encoder(EncoderConfig("bert", 30, 8, 2, 2, 8))
    built = models.build(section, **{**COMMON, "outputs": (), "encoder": encoder})
    ours = {"parent", "name", "encoder", "modalities", "outputs", "frozen"}
    fields = {f for f in type(built).__dataclass_fields__ if f not in ours}
    assert fields == set(section) - {"name"}


def test_an_unknown_model_and_classes_for_crosssent_are_refused():
    with pytest.raises(ValueError, match="known: crosssent, tecafn, mulg, amsgfn"):
        models.build({"name": "mult"}, **COMMON)
    section = cli.load_config("configs/crosssent_mosi.py")[0].model.to_dict()
    with pytest.raises(ValueError, match="ranks scores"):
        models.build(section, **COMMON)
