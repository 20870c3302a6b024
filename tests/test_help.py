"""Help: there at once, true to the files, and the same from an installed package."""

import contextlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import msa_jax
from msa_jax import cli, models, specs
from msa_jax import config as configs
from msa_jax import help as texts
from msa_jax.console import USAGE
from msa_jax.console import main as console
from msa_jax.main import main

ROOT = Path(__file__).parents[1]


def entries(text):
    """{key: (value, comment)} of a list of keys; sections without a value left out."""
    found, last = {}, None
    for line in text.splitlines():
        if match := re.match(r"  ([a-z]\w*(?:\.\w+)*)(=|:)", line):
            last = match[1] if match[2] == "=" else None
            if last:
                value, _, comment = line[match.end() :].partition("  ")
                found[last] = (value, comment.strip())
        elif last and line.startswith("   "):
            value, comment = found[last]
            found[last] = (value, f"{comment} {line.strip()}".strip())
    return found


def test_every_key_is_listed_with_its_value_and_a_comment():
    for spec in ("crosssent_mosi:no_mpr", "configs/mulg_iemocap.py"):
        config, _ = configs.load(spec)
        flat = {k: v for k, v in configs.flatten(config).items() if k != "model.name"}
        found = entries(texts.keys(spec))
        assert {k: v for k, (v, _) in found.items()} == {k: str(v) for k, v in flat.items()}
    assert found["model.hidden"][0] == str(config.model.hidden)
    assert found["text.encoder"][0] == "features"


def test_the_comments_are_those_of_the_files():
    found = entries(texts.keys("crosssent_mosi:no_mpr"))
    assert found["seed"] == ("6758", "of initialisation, shuffling, dropout and every other draw")  # beside
    assert found["data.other_counts"] == (  # above, over two lines
        "False",
        "Accept splits of other sizes than the official ones, and files without splits; the results say so.",
    )
    assert found["data.cut.folds"] == ("5", "groups of videos; one is the test split")
    assert found["model.layer"][1] == (
        "the adapter works on the input of this encoder layer, 0-based; Table 3"
    )
    assert found["model.gmra.bottleneck"] == ("48", "R, width of the residual adapter; Table 3")
    assert found["loss.mpr_weight"] == ("0.0", "Table 2")  # the variant's value
    assert found["loss.task"][1] == "of the labels: scores, or classes"  # of the class that it extends


def test_without_a_config_the_keys_of_all_models_are_listed():
    text = texts.keys(None)
    assert "eval_batch_size" in entries(text)
    for name in models.names():
        inside = text.split(f"\nmodel ({name}): ")[1].split("\nmodel (")[0]
        wanted = configs.flatten(configs.base.config(name))
        wanted = {k for k in wanted if k.startswith(("model.", "loss.")) and k != "model.name"}
        found = entries(inside)
        assert set(found) == wanted
        assert [key for key, (_, comment) in found.items() if not comment] == []
    assert [k for k, (_, comment) in entries(text).items() if not comment] == []


@pytest.mark.parametrize("argv", [["--help", "keys"], ["--help=KEYS"], ["-h", "Keys"], ["keys", "--help"]])
def test_keys_can_be_asked_for_in_several_ways(argv):
    assert cli.help_wanted([*argv, "--config=lmf_mosi"]) == texts.keys("lmf_mosi")
    assert cli.help_wanted(["--config=lmf_mosi"]) is None
    assert cli.help_wanted(["-h", "--config=lmf_mosi"]) == texts.text(cli.FLAGS)


def test_help_on_a_config_that_is_not_there_is_one_line(capsys):
    assert main(["--help", "keys", "--config=lmf_mosy"]) == 2
    assert "there is no file lmf_mosy; did you mean lmf_mosi?" in capsys.readouterr().err


def test_help_does_not_import_jax():
    program = (
        "import sys; from msa_jax.console import main; a, b, c = main([]), main(['--help']), "
        "main(['train', '--help']); sys.exit(a or b or c or 'jax' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, cwd=ROOT)


def test_an_installed_package_has_the_same_help(tmp_path):
    site = tmp_path / "site"  # as a wheel lays it out: the configs inside the package
    shutil.copytree(ROOT / "msa_jax", site / "msa_jax", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "configs", site / "msa_jax" / "configs")
    argv = [sys.executable, "-m", "msa_jax.main", "--help=keys", "--config=amsgfn_sims"]
    env = {**os.environ, "PYTHONPATH": str(site)}
    shown = subprocess.run(argv, capture_output=True, text=True, check=True, cwd=tmp_path, env=env).stdout
    assert shown == texts.keys("amsgfn_sims") + "\n"


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["trian"], "has no command 'trian'; did you mean train?"),
        (["sing"], "has no command 'sing'; there are: train, eval, predict, data, help, version"),
        (["--config=lmf_mosi"], "say first what to do, as in msa-jax train --config=lmf_mosi"),
        (["eval", "--mode=predict"], "msa-jax eval says what to do; leave --mode out"),
        (["train"], "--config is missing"),
        (["help", "trian"], "has no command 'trian'; did you mean train?"),
        (["hlep"], "has no command 'hlep'; did you mean help?"),
        (["-v"], "say first what to do"),
        (["predict", "--workdir=nowhere"], "no config.json in nowhere"),
        (["data", "nowhere.pkl"], "nowhere.pkl: no such file"),
        (["train", "--config=lmf_mosi", "--output=x"], "training writes into --workdir"),
    ],
)
def test_a_mistake_on_the_console_is_one_line(argv, message, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert console(argv) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_the_console_script_does_what_the_modules_do(words_folder, capsys):
    for argv, wanted in ((["data", "--help"], "usage: msa-jax data"), (["data", str(words_folder)], "clips")):
        with contextlib.suppress(SystemExit):  # of argparse's --help
            assert console(argv) == 0
        assert wanted in capsys.readouterr().out
    assert console(["train", "--help"]) == main(["--help"]) == 0
    one, two = capsys.readouterr().out.split("usage: ")[1:]
    assert one == two
    assert (
        '[project.scripts]\nmsa-jax = "msa_jax.console:run_process"\n'
        in (ROOT / "pyproject.toml").read_text()
    )


@pytest.mark.parametrize("argv", [[], ["help"], ["--help"], ["-h"], ["help", "help"], ["help", "--help"]])
def test_the_console_alone_says_how_it_is_used(argv, capsys):
    assert console(argv) == 0
    assert capsys.readouterr().out == USAGE
    assert USAGE.startswith("usage: msa-jax train ")


@pytest.mark.parametrize(
    "argv",
    [["version"], ["--version"], ["-V"], ["help", "version"], ["--version", "x"], ["-V", "-h"], ["-h", "-V"]],
)
def test_the_console_says_its_version(argv, capsys):
    assert console(argv) == 0
    assert capsys.readouterr().out == f"msa_jax {msa_jax.__version__}\n"


@pytest.mark.parametrize(
    ("argv", "same"),
    [
        (["help", "train"], ["train", "--help"]),
        (["--help", "eval"], ["eval", "--help"]),
        (["help", "data"], ["data", "--help"]),
        (["help", "keys", "--config=lmf_mosi"], ["--help", "keys", "--config=lmf_mosi"]),
    ],
)
def test_help_on_a_command_is_what_the_command_says_of_itself(argv, same, capsys):
    shown = []
    for one in (argv, same):
        with contextlib.suppress(SystemExit):  # of argparse's --help
            assert console(one) == 0
        shown.append(capsys.readouterr().out)
    assert shown[0] == shown[1] != USAGE
    assert "usage: " in shown[0] or "The keys" in shown[0]


def test_the_short_form_of_a_config(tmp_path, monkeypatch):
    short, name = configs.load("crosssent_mosi:no_mpr")
    whole, whole_name = configs.load("configs/crosssent_mosi.py:no_mpr")
    assert (short.to_dict(), name) == (whole.to_dict(), whole_name)
    monkeypatch.chdir(tmp_path)
    for path in specs.shipped_files():
        assert specs.find(path.stem) == path
    (tmp_path / "configs").mkdir()
    mine = tmp_path / "configs" / "lmf_mosi.py"
    mine.write_text("")
    assert specs.find("lmf_mosi").resolve() == mine.resolve()  # as configs/lmf_mosi.py would be
    monkeypatch.setenv("HERE", str(tmp_path))
    assert specs.find("$HERE/configs/lmf_mosi.py") == mine
