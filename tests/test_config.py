"""Config files: the shipped ones, a user's own, variants, and what a run has stored."""

import json
import math
import re
import sys
from pathlib import Path

import pytest
from ml_collections import ConfigDict

from msa_jax import bounds, cli, specs
from msa_jax import config as configs
from msa_jax.data.synthetic import PRESETS, facts
from msa_jax.errors import UserError

MOSI = "configs/crosssent_mosi.py"
HEAD = "from msa_jax.config import base\ndef get_config():\n    c = base.config('crosssent')\n"
shipped = pytest.mark.parametrize("path", specs.shipped_files(), ids=lambda path: path.stem)


def test_paper_hyperparameters_are_in_the_configs():
    """Tables 2 and 3 of CrossSent."""
    expected = {
        "mosi": (8, 26, 7.5e-6, 0.50, 0.06),
        "mosei": (8, 26, 9.0e-6, 0.40, 0.05),
        "sims": (16, 35, 1.25e-5, 0.70, 0.07),
    }
    for corpus, numbers in expected.items():
        c = configs.load(f"configs/crosssent_{corpus}.py")[0]
        weights = (c.loss.mpr_weight, c.loss.eioi_weight)
        assert (c.batch_size, c.epochs, c.optim.learning_rate, *weights) == numbers
        assert (c.model.dropout, c.model.layer, c.model.gmra.heads, c.model.gmra.dropout) == (0.28, 1, 8, 0.2)
        assert (c.model.gmra.bottleneck, c.model.gmra.layer_scale, c.optim.warmup) == (48, 1e-4, 0.4)
        assert (c.loss.alpha, c.loss.beta, c.loss.gamma, c.loss.max_pairs) == (0.3, 1.0, 0.3, 8192)
        assert (c.optim.clip, c.optim.eps, c.optim.weight_decay, c.text.max_length) == (2.0, 1e-8, 0.0, 50)
        assert c.seed == 6758


@shipped
def test_every_shipped_config_and_each_of_its_variants_is_good(path):
    for variant, changes in {"": {}, **configs.variants(path)}.items():
        config, name = configs.load(":".join(filter(None, (f"configs/{path.name}", variant))))
        bounds.check(config)
        assert name == "-".join(filter(None, (path.stem, variant)))
        assert config.is_locked
        assert {key: configs.get(config, key) for key in changes} == changes


@shipped
def test_configs_lower_the_text_of_the_corpora_whose_releases_differ_in_case_and_of_no_other(path):
    config = configs.load(str(path))[0]
    assert config.data.lowercase == (config.data.corpus in ("mosi", "mosei"))


# Each corpus with the embedded one of its own form: scores, two classes, four emotions.
MADE = {
    "mosi": "synthetic", "mosei": "synthetic", "sims": "synthetic", "ur_funny": "synthetic_ur_funny",
    "iemocap": "synthetic_iemocap",
}  # fmt: skip


@shipped
def test_synthetic_is_the_embedded_corpus_of_the_config_s_own_form(path):
    own = configs.load(str(path))[0]
    for more in ("", ":tiny"):
        made = configs.load(f"{path}:synthetic{more}")[0]
        bounds.check(made)
        assert made.data.corpus == MADE[own.data.corpus]
        one, other = (facts(c.data.corpus).outputs for c in (own, made))
        assert one == other
        assert (made.text.encoder, made.data.path) == ("scratch", None)
        assert made.epochs == (2 if more else 30)
        again = configs.load(f"{path}:synthetic:synthetic")[0]
        assert again.data.corpus == made.data.corpus


def test_the_embedded_corpora_have_the_form_that_their_names_say():
    assert {name: PRESETS[name].task for name in set(MADE.values())} == {
        "synthetic": "mosi", "synthetic_ur_funny": "ur_funny", "synthetic_iemocap": "iemocap"
    }  # fmt: skip


def test_variants_join_from_left_to_right():
    one, name = configs.load(f"{MOSI}:synthetic:tiny")
    assert (one.batch_size, one.text.scratch.hidden_size, one.optim.learning_rate) == (8, 16, 1e-3)
    assert (one.data.corpus, name) == ("synthetic", "crosssent_mosi-synthetic-tiny")
    other, name = configs.load(f"{MOSI}:tiny:synthetic")
    assert (other.batch_size, other.text.scratch.hidden_size, name) == (
        32,
        16,
        "crosssent_mosi-tiny-synthetic",
    )
    three = configs.load(f"{MOSI}:no_mpr:text_only:no_eioi")[0]
    assert (three.loss.mpr_weight, three.loss.eioi_weight, three.data.modalities) == (0.0, 0.0, ("text",))


@pytest.mark.parametrize(
    ("spec", "wanted"),
    [
        (f"{MOSI}:no_gmr", "has no variant 'no_gmr'; did you mean no_gmra?"),
        (f"{MOSI}:tiny:text_onli", "has no variant 'text_onli'; did you mean text_only?"),
        (f"{MOSI}:no_ccam", "has no variant 'no_ccam'; "),  # another model's
        (f"{MOSI}:", "has no variant ''; there are: no_gmra, "),
        ("configs/tecafn_mosi.py:xyz", "there are: no_ta, no_tv, "),
    ],
)
def test_a_variant_that_nobody_has_is_refused(spec, wanted):
    with pytest.raises(UserError) as caught:
        configs.load(spec)
    assert wanted in str(caught.value)
    assert str(caught.value).startswith(f"--config: {spec.split(':')[0]} has no variant")


def test_a_config_s_own_variants_go_on_top_of_the_model_s(tmp_path):
    path = tmp_path / "mine.py"
    own = {
        "no_mpr": {"loss.alpha": 0.5},
        "text_only": {"data.modalities": ("vision",)},
        "big": {"model.gmra.heads": 2},
    }
    path.write_text(f"{HEAD}    return c\nVARIANTS = {own!r}\n")
    both = configs.load(f"{path}:no_mpr")[0]
    assert (both.loss.mpr_weight, both.loss.alpha) == (0.0, 0.5)  # the model's, and its own
    assert configs.load(f"{path}:text_only")[0].data.modalities == ("vision",)  # its own is last
    assert configs.load(f"{path}:big:no_eioi")[0].model.gmra.heads == 2
    assert {"no_mpr", "no_gmra", "text_only", "big", "tiny"} <= set(configs.variants(path))
    shipped = configs.load("configs/tecafn_urfunny.py:synthetic")[0]
    assert (shipped.select, shipped.model.p, shipped.model.cross_layers) == ("acc2", 0.5, 2)
    with pytest.raises(UserError, match=r"has no variant 'bigg'; did you mean big\?"):
        configs.load(f"{path}:bigg")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model.hedas": 3}, "the variant own sets model.hedas, which is not there"),
        ({"modle.heads": 3}, "the variant own sets modle.heads, which is not there"),
        ({"model.layer.x": 3}, "the variant own sets model.layer.x, which is not there"),
        ({"model.layer": "two"}, "the variant own sets a wrong value: TypeError: "),
    ],
)
def test_a_variant_that_sets_what_it_cannot_is_refused(changes, message, tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(f"{HEAD}    return c\nVARIANTS = {{'own': {changes!r}}}\n")
    with pytest.raises(UserError, match=rf"^--config: {re.escape(str(path))}: {re.escape(message)}"):
        configs.load(f"{path}:own")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("configs/crosssent_synthetic.py", "configs/crosssent_mosi.py:synthetic"),
        ("configs/crosssent_synthetic.py:no_mpr", "configs/crosssent_mosi.py:synthetic:no_mpr"),
        ("configs/tecafn_synthetic.py", "configs/tecafn_mosi.py:synthetic"),
        ("configs/tecafn_synthetic_urfunny.py", "configs/tecafn_urfunny.py:synthetic"),
        ("configs/mulg_synthetic.py:bilinear:tiny", "configs/mulg_mosi.py:synthetic:bilinear:tiny"),
        ("configs/mulg_synthetic_iemocap.py", "configs/mulg_iemocap.py:synthetic"),
        ("configs/amsgfn_synthetic.py", "configs/amsgfn_mosi.py:synthetic"),
        ("configs/crosssent_mosi_synthetic.py", "configs/crosssent_mosi.py:synthetic"),
        ("configs/amsgfn_synthetic_dominance.py", "configs/amsgfn_mosi.py:synthetic"),
    ],
)
def test_an_old_name_is_answered_with_the_new_one(old, new):
    with pytest.raises(UserError) as caught:
        configs.load(old)
    assert str(caught.value) == f"--config: {old.split(':')[0]} is now a variant; say --config={new}"
    configs.load(new)


@pytest.mark.parametrize(
    ("variants", "said"),
    [
        ("no_mpr:synthetic", ["note: synthetic sets loss.mpr_weight again, which no_mpr had set; write "]),
        ("synthetic:no_mpr", []),
        ("synthetic:tiny", []),
        ("no_gmra:text_only", []),
        (
            "no_audio:no_vision",
            ["note: no_vision sets data.modalities again, which no_audio had set; the last "],
        ),
    ],
)
def test_what_a_later_variant_takes_back_is_said(variants, said, capsys):
    configs.load(f"configs/crosssent_mosi.py:{variants}")
    lines = capsys.readouterr().out.splitlines()
    assert [line[: len(start)] for line, start in zip(lines, said, strict=True)] == said


def own_config(tmp_path, text, model="lmf"):
    """A config file of a user's own: `text` before its `get_config`, which starts from the model's."""
    path = tmp_path / "mine.py"
    start = "from msa_jax.config import base\n\n\ndef get_config():\n    c = base.config"
    path.write_text(text.replace("START", f"{start}('{model}')"))
    return path


def test_what_synthetic_and_tiny_take_back_of_a_users_own_settings_is_said(tmp_path, capsys):
    path = own_config(tmp_path, "START\n    c.epochs = 10\n    c.text.max_content = 20\n    return c\n")
    configs.load(f"{path}:synthetic")
    assert capsys.readouterr().out == (
        "note: synthetic sets epochs, which get_config had set; override them to keep them\n"
    )
    configs.load(f"{path}:rank_1")
    assert capsys.readouterr().out == ""


def test_a_part_that_is_left_out_needs_no_size():
    for order in ("no_gmra:tiny", "tiny:no_gmra"):
        config, _ = configs.load(f"configs/crosssent_mosi.py:{order}")
        assert config.model.gmra is None
        assert config.text.scratch.hidden_size == 16


@pytest.mark.parametrize("table", ["{'x': 3}", "['x']"])
def test_variants_of_another_form_are_one_line(tmp_path, table):
    path = own_config(tmp_path, f"VARIANTS = {table}\nSTART\n    return c\n")
    with pytest.raises(UserError, match="VARIANTS must be a dict by name of dicts by key, as in"):
        configs.load(f"{path}:x")


def test_a_config_file_may_hold_a_dataclass(tmp_path):
    text = "from __future__ import annotations\nimport dataclasses\n\n\n@dataclasses.dataclass\nclass Size:\n"
    path = own_config(tmp_path, text + "    width: int = 3\n\n\nSTART\n    return c\n")
    assert configs.load(str(path))[0].model.name == "lmf"


@pytest.mark.parametrize(
    "line", ["from configs import base", "from configs import crosssent", "import configs.base"]
)
def test_a_config_of_the_first_version_is_told_what_to_import(tmp_path, line):
    path = own_config(tmp_path, f"{line}\nSTART\n    return c\n")
    with pytest.raises(UserError, match="imports from `configs`, which is not a package any more; say"):
        configs.load(str(path))


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("seed", 1 << 32, "seed: 4294967296 must be below 2 to the power of 32"),
        ("data.seed", 1 << 70, "must be below 2 to the power of 32"),
        ("optim.plateau", None, "--config.optim.plateau: None is not a section"),
        ("optim.groups", ((".*", math.inf),), "is not a list of (regular expression, factor)"),
        ("optim.groups", ((".*", "1.0"),), "is not a list of (regular expression, factor)"),
        ("optim.groups", ((".*", True),), "is not a list of (regular expression, factor)"),
        ("optim.groups", (), "is not a list of (regular expression, factor)"),
    ],
)
def test_settings_that_no_run_can_use(key, value, message):
    config = configs.base.config("lmf")
    configs.base.set_key(config, key, value)
    with pytest.raises(UserError, match=re.escape(message)):
        bounds.check(config)


@pytest.mark.parametrize(
    ("file", "hint"),
    [
        ("configs/crosssent_mosy.py", "did you mean configs/crosssent_mosi.py?"),
        ("configs/mulb_synthetic.py", "did you mean configs/"),  # no such model, so nothing took its place
        ("configs/base.py", "configs/"),  # base.py is not a config
        ("xyz", "there are: configs/amsgfn_mosei.py, "),
    ],
)
def test_a_file_that_is_not_there_is_answered_with_the_nearest(file, hint, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError) as caught:
        configs.load(file)
    assert str(caught.value).startswith(f"--config: there is no file {file}; ")
    assert hint in str(caught.value)


def test_shipped_configs_load_from_any_folder_and_a_users_file_starts_from_the_common_keys(
    monkeypatch, tmp_path
):
    monkeypatch.chdir(tmp_path)
    assert configs.load(MOSI)[0].loss.mpr_weight == 0.5
    Path("mine.py").write_text(f"{HEAD}    c.seed = 11\n    base.apply(c, 'no_gmra')\n    return c\n")
    command = cli.parse(["--config=mine.py:no_mpr"])
    c = command.config
    assert (c.seed, c.model.gmra, c.loss.mpr_weight) == (11, None, 0.0)
    assert command.config_name == "mine-no_mpr"
    with pytest.raises(KeyError, match="hidden_size"):  # a key that is not there is no new key
        configs.base.set_key(c, "model.hidden_size", 3)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("def get_config(:\n", r"mine\.py is not a config file: SyntaxError"),
        ("x = 1\n", r"mine\.py is not a config file: it has no function get_config"),
        ("import no_such_package\n", r"not a config file: ModuleNotFoundError: .*no_such_package"),
        (
            "from configs import crosssent_mosi\n",
            r"`configs`, which is not a package any more; say `from msa_jax\.config import base` and ",
        ),
        ("from configs.base import common\n", "imports from `configs`, which is not a package any more"),
        ("def get_config():\n    return 1 / 0\n", r"get_config of .*mine\.py failed: ZeroDivisionError"),
        ("def get_config():\n    return {'a': 1}\n", "returned a dict, not a ConfigDict"),
        (
            "from msa_jax.config import base\ndef get_config():\n    return base.common()\n",
            r"mine\.py: the config has no model\.name; start it from base\.config\(NAME\)",
        ),
        (HEAD.replace("crosssent", "crossent"), r"no model 'crossent'; did you mean crosssent\?"),
        (f"{HEAD}    c.sede = 3\n", "get_config of .* failed: AttributeError"),
    ],
)
def test_a_users_file_that_is_wrong_gets_one_line(content, message, tmp_path, monkeypatch):
    # In a checkout a folder of that name lies beside the package.
    monkeypatch.setattr(sys, "path", [p for p in sys.path if not Path(p, "configs").is_dir()])
    for name in [n for n in sys.modules if n.split(".")[0] == "configs"]:
        monkeypatch.delitem(sys.modules, name)
    (tmp_path / "mine.py").write_text(content)
    with pytest.raises(UserError, match=message):
        configs.load(str(tmp_path / "mine.py"))


def test_a_drive_letter_is_no_variant():
    assert specs.split_spec(r"C:\mine.py:tiny:no_mpr") == [r"C:\mine.py", "tiny", "no_mpr"]
    assert specs.split_spec("C:/mine.py") == ["C:/mine.py"]
    assert specs.split_spec("mine.py:tiny") == ["mine.py", "tiny"]


@pytest.mark.parametrize("spec", [MOSI, f"{MOSI}:no_gmra", "configs/amsgfn_mosi.py:t_oriented"])
def test_a_stored_config_is_the_one_that_was_written(spec, tmp_path):
    config, _ = configs.load(spec)
    config.data.path = "x.csv"
    (tmp_path / "config.json").write_text(json.dumps(config.to_dict()))
    again = configs.stored(tmp_path / "config.json", hint="")
    assert configs.flatten(again) == configs.flatten(config)
    assert again.optim.groups == config.optim.groups  # tuples again
    assert isinstance(again.optim.groups, tuple)
    assert again.is_locked
    again.data.split_name = "a text"  # what is None may still take one
    with pytest.raises(TypeError):
        again.epochs = "many"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda c: c["model"].pop("layer"),
            "{} was written by another version of msa_jax or of the model's file "
            "(it has no key model.layer); train again in ",
        ),
        (
            lambda c: c["loss"].update(margin=0.5),
            "{} was written by another version of msa_jax or of the model's file "
            "(it has an unknown key loss.margin); train",
        ),
        (lambda c: c.pop("text"), "{} was written by another version of msa_jax (it has no key text.dtype)"),
        (lambda c: c.pop("model"), "{} is not a config of this library"),
        (lambda c: c.update(model=3), "{} is not a config of this library"),
        (lambda c: c["model"].update(name="mulgg"), "--config.model.name: there is no model 'mulgg'"),
        (lambda c: c.update(epochs="many"), "{} is not a config of this library: epochs is 'many'"),
    ],
)
def test_a_stored_config_of_another_version_is_refused(change, message, tmp_path, capsys):
    file = tmp_path / "config.json"
    content = configs.load(MOSI)[0].to_dict()
    change(content)
    file.write_text(json.dumps(content))
    with pytest.raises(UserError) as caught:
        configs.stored(file, hint="")
    assert str(caught.value).startswith(message.format(file))


def test_every_key_is_named_by_its_dotted_path():
    config = ConfigDict({"a": 1, "b": {"c": 2, "d": {"e": None}}})
    assert configs.flatten(config) == {"a": 1, "b.c": 2, "b.d.e": None}
    assert sorted(configs.keys(config)) == ["a", "b", "b.c", "b.d", "b.d.e"]
    assert configs.get(config, "b.d").to_dict() == {"e": None}
