"""From a config's `model` section to a module."""

import jax
import jax.extend
import pytest

from msa_jax import cli, models, setup
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


def _equations(jaxpr):
    """All equations of a program, those of its inner programs included."""
    for equation in jaxpr.eqns:
        yield equation
        for inner in jax.extend.core.jaxprs_in_params(equation.params):
            yield from _equations(inner)


@pytest.mark.parametrize("name", ["mulg_mosi", "tecafn_mosi"])
def test_no_start_needs_several_orthogonal_matrices_at_a_time(name):
    """Batched QR factorisations share XLA's thread pool with what waits for them, and can wait for ever."""
    config = cli.parse([f"--config=configs/{name}.py", "--config.text.encoder=features"]).config
    how = setup.preprocessing(config, {"audio": 3, "vision": 2}, text_width=4)
    model = setup.make_model(config, None, how)
    program = jax.make_jaxpr(lambda key: model.init(key, setup.blank_batch(how), train=False))(
        jax.random.key(0)
    )
    ranks = [e.invars[0].aval.ndim for e in _equations(program.jaxpr) if e.primitive.name == "qr"]
    assert ranks
    assert set(ranks) == {2}
