"""Models: their files are found by name, and their `model` section becomes a module."""

import jax
import jax.extend
import pytest

from msa_jax import cli, models
from msa_jax.errors import UserError
from msa_jax.models import fields
from msa_jax.models.crosssent import GMRA
from msa_jax.models.mulg import MulG
from msa_jax.text import Encoder, EncoderConfig
from tests.models.tracing import without_numbers

ENCODER = Encoder(EncoderConfig("bert", 30, 8, 2, 2, 8))
GIVEN = {"encoder": None, "modalities": ("text", "audio"), "outputs": (2,), "frozen": True}

OWN = """
import dataclasses
import flax.linen as nn
from msa_jax import losses
from msa_jax.models.fields import Positive


class Model(nn.Module):
    width: Positive = 3

@dataclasses.dataclass(frozen=True)
class Loss(losses.Loss):
    pass
"""


def test_the_models_are_the_files_of_the_folder():
    assert {"amsgfn", "crosssent", "lmf", "mulg", "tecafn"} <= set(models.names())
    assert not [name for name in models.names() if name.startswith("_") or name == "fields"]
    for name in models.names():
        assert models.find(name).name == name


@pytest.mark.parametrize(
    ("name", "facts"),
    [
        ("crosssent", ("text", True, True)),
        ("tecafn", (None, False, False)),
        ("mulg", (None, False, False)),
        ("amsgfn", ("text", False, False)),
    ],
)
def test_a_class_says_what_it_needs(name, facts):
    paper = models.find(name)
    assert (paper.time_line, paper.needs_encoder, paper.scores_only) == facts


def test_the_section_holds_the_fields_of_the_model():
    section = models.find("mulg").section()
    section.scoring, section.hidden = "bilinear", 5
    built = models.find("mulg").build(section.to_dict(), max_length=50, **GIVEN)
    expected = MulG(modalities=("text", "audio"), outputs=(2,), frozen=True, scoring="bilinear", hidden=5)
    assert built == expected


def test_a_part_of_a_model_is_a_section_of_its_own_or_none():
    section = models.find("crosssent").section().to_dict()
    section["gmra"] |= {"heads": 4, "bottleneck": 7}
    given = {**GIVEN, "encoder": ENCODER}
    built = models.find("crosssent").build(section, max_length=50, **given)
    assert built.gmra == GMRA(heads=4, bottleneck=7)
    assert not hasattr(built, "outputs")  # what a class lacks is not given to it
    without = models.find("crosssent").build({**section, "gmra": None}, max_length=50, **given)
    assert without.gmra is None


@pytest.mark.parametrize("name", models.names())
def test_every_field_of_a_model_is_a_key_of_its_config(name):
    section = models.find(name).section()
    assert section.name == name
    ours = {"parent", "name", *fields.GIVEN}
    declared = {f for f in models.find(name).model.__dataclass_fields__ if f not in ours}
    assert declared == set(section) - {"name"}


@pytest.mark.parametrize(
    ("name", "section", "given", "message"),
    [
        ("crosssent", {}, {"max_length": 51}, "model.gmra.max_length: 50 is less than text.max_length 51"),
        ("crosssent", {"layer": 3}, {}, "model.layer: 3, but the encoder has 2 layers"),
        ("crosssent", {}, {"width": 12}, "model.gmra.heads: 8 does not divide the encoder's width 12"),
        ("mulg", {"heads": 3}, {}, "model.heads: 3 does not divide model.width 40"),
        (
            "mulg",
            {"recurrent": "self_attention", "hidden": 42},
            {},
            "model.heads: 4 does not divide model.hidden 42",
        ),
        ("amsgfn", {"dominant": "vision"}, {}, "model.dominant: vision is not in use, only text, audio"),
    ],
)
def test_fields_that_do_not_fit_together_are_refused(name, section, given, message):
    paper = models.find(name)
    section = {**paper.section().to_dict(), **section}
    paper.check(section)  # one by one they are good
    sizes = EncoderConfig("bert", 30, given.get("width", 8), 2, 2, 8)
    with pytest.raises(UserError, match=f"^--config.{message}$"):
        paper.build(section, max_length=given.get("max_length", 50), **{**GIVEN, "encoder": Encoder(sizes)})


@pytest.mark.parametrize(("name", "heads", "width"), [("tecafn", 4, 30), ("amsgfn", 3, 64)])
def test_a_field_that_must_divide_another_is_refused_with_both(name, heads, width):
    section = {**models.find(name).section().to_dict(), "heads": heads}
    message = f"^--config.model.heads: {heads} does not divide model.width {width}$"
    with pytest.raises(UserError, match=message):
        models.find(name).check(section)


def test_heads_may_be_any_number_where_none_of_them_share_a_width():
    section = {**models.find("mulg").section().to_dict(), "scoring": "bilinear", "heads": 3}
    assert models.find("mulg").build(section, max_length=50, **GIVEN).heads == 3
    section = {**models.find("crosssent").section().to_dict(), "gmra": None}
    encoder = Encoder(EncoderConfig("bert", 30, 12, 2, 2, 8))
    assert models.find("crosssent").build(section, max_length=99, encoder=encoder).gmra is None


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("mulgg", ["there is no model 'mulgg'", "did you mean mulg?", "the dotted path of its file"]),
        ("transformer9", ["there are: amsgfn, crosssent"]),
        ("fields", ["there is no model 'fields'"]),
        ("_mulg_recurrent", ["there is no model '_mulg_recurrent'"]),
        ("my_package.my_model", ["there is no model 'my_package.my_model'", "PYTHONPATH"]),
        ("", ["cannot be imported: ValueError"]),
        (7, ["7 cannot be imported"]),
        ("msa_jax.text", ["msa_jax.text is not a model's file: it has no class Model"]),
    ],
)
def test_a_name_that_is_no_model_is_refused(name, parts):
    with pytest.raises(UserError) as caught:
        models.find(name)
    for part in ("--config.model.name: ", *parts):
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (OWN.replace("class Loss", "class Lost"), "{} is not a model's file: it has no class Loss$"),
        (OWN.replace("class Model(nn.Module)", "class Model"), "{}: Model must be a Linen module$"),
        (OWN.replace("class Loss(losses.Loss)", "class Loss"), "{}: Loss must be a dataclass, a msa_jax"),
        (OWN.replace("class Model", "class Modell"), "{} is not a model's file: it has no class Model$"),
        (
            OWN.replace("class Model(nn.Module)", "def Model()").replace("width: Positive = 3", "pass"),
            "{} is not a model's file: it has no class Model$",
        ),
        ("def (\n", "{} cannot be imported: SyntaxError: "),
        ("import no_such_package\n", "{} cannot be imported: .*No module named 'no_such_package'$"),
        ("raise RuntimeError('two\\nlines')\n", "{} cannot be imported: RuntimeError: two$"),
    ],
)
def test_a_file_that_is_no_model_says_why(content, message, tmp_path, monkeypatch):
    name = tmp_path.name  # another one in each test: a module is imported once
    (tmp_path / f"{name}.py").write_text(content)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UserError, match=message.replace("{}", name)):
        models.find(name)


def test_a_model_of_ones_own_is_named_by_its_dotted_path(tmp_path, monkeypatch):
    (tmp_path / "own_package").mkdir()
    (tmp_path / "own_package" / "__init__.py").write_text("")
    (tmp_path / "own_package" / "small.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    paper = models.find("own_package.small")
    assert (paper.defaults, paper.variants, paper.time_line) == ({}, {}, None)
    section = paper.section()
    assert section.to_dict() == {"name": "own_package.small", "width": 3}
    paper.check(section.to_dict())  # no heads, and nobody asks for them
    with pytest.raises(UserError, match=r"--config\.model\.width: 0 is less than 1"):
        paper.check({**section.to_dict(), "width": 0})
    assert paper.build(section.to_dict(), max_length=50, **GIVEN).width == 3


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
    pieces = without_numbers(config)
    batch = pieces.preparation.blank_batch()
    program = jax.make_jaxpr(lambda key: pieces.model.init(key, batch, train=False))(jax.random.key(0))
    ranks = [e.invars[0].aval.ndim for e in _equations(program.jaxpr) if e.primitive.name == "qr"]
    assert ranks
    assert set(ranks) == {2}
