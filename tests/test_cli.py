"""The command line: what it reads, and the one line that each mistake gets."""

import subprocess
import sys
from pathlib import Path

import pytest

from msa_jax import cli
from msa_jax.errors import UserError
from msa_jax.main import main

MOSI = "--config=configs/crosssent_mosi.py"
TECAFN = "--config=configs/tecafn_mosi.py"


@pytest.mark.parametrize(
    ("argv", "parts"),
    [
        ([], ["--config is missing"]),
        (["--config=configs/crosssent_mosy.py"], ["no file", "did you mean configs/crosssent_mosi.py?"]),
        ([MOSI + ":no_gmr"], ["no variant 'no_gmr'", "did you mean no_gmra?"]),
        ([MOSI, "--config.sede=1"], ["--config.sede", "no such key", "did you mean seed?"]),
        ([MOSI, "--config.learning_rate=1"], ["did you mean optim.learning_rate?"]),
        ([MOSI, "--config.data.pth=x"], ["did you mean data.path?"]),
        ([MOSI, "--config.seed=abc"], ["--config.seed", "'abc' is no int", "--config.seed=6758"]),
        ([MOSI, "--config.epochs=2.5"], ["'2.5' is no int"]),
        ([MOSI, "--config.optim.learning_rate=fast"], ["'fast' is no float"]),
        ([MOSI, "--config.data.standardise=maybe"], ["'maybe' is no bool"]),
        ([MOSI, "--config.data=3"], ["--config.data", "no section"]),
        ([MOSI, "--config.epochs=0"], ["--config.epochs", "less than 1"]),
        ([MOSI, "--config.data.corpus=mossi"], ["'mossi' is not one of", "did you mean mosi?"]),
        ([MOSI, "--config.model.pooling=max"], ["--config.model.pooling", "cls, mean"]),
        ([MOSI, "--config.data.modalities=smell"], ["--config.data.modalities", "at least one of"]),
        ([MOSI, "--config.data.modalities=()"], ["--config.data.modalities", "at least one of"]),
        ([MOSI, "--config.data.time_line=own"], ["--config.data.time_line", "must be text"]),
        ([MOSI, "--config.data.corpus=ur_funny"], ["--config.loss.task", "cross_entropy"]),
        (
            [MOSI, "--config.data.corpus=ur_funny", "--config.loss.task=cross_entropy"],
            ["--config.data.corpus", "has classes"],
        ),
        ([MOSI, "--config.select=acc9"], ["--config.select", "no metric of mosi", "acc7"]),
        ([MOSI, "--config.loss.task=l3"], ["--config.loss.task", "mse, l1, cross_entropy"]),
        ([TECAFN, "--config.model.core=smell"], ["--config.model.core", "text, audio, vision"]),
        ([TECAFN, "--config.model.p=1.2"], ["--config.model.p", "no probability"]),
        ([TECAFN, "--config.loss.temperature=0"], ["--config.loss.temperature", "above 0"]),
        (["--config=configs/mulg_mosi.py", "--config.model.recurrent_layers=0"], ["less than 1"]),
        (["--config=configs/mulg_mosi.py:self_attention", "--config.model.hidden=42"], ["model.hidden 42"]),
        ([TECAFN, "--config.model.heads=7"], ["--config.model.heads", "does not divide"]),
        ([TECAFN, "--config.model.replace=('sound',)"], ["--config.model.replace", "text, audio, vision"]),
        (["--config=configs/amsgfn_mosi.py", "--config.model.dominant=txt"], ["did you mean text?"]),
        (["--config=configs/mulg_mosi.py", "--config.model.scoring=dot"], ["multihead, bilinear"]),
        ([MOSI, "--config.optim.warmup=40"], ["--config.optim.warmup", "no share in"]),
        ([MOSI, "--config.data.cut.fold=5"], ["must be below data.cut.folds"]),
        ([MOSI, "--config.text.max_content=49"], ["two special tokens"]),
        ([MOSI, "--mode=trian"], ["--mode", "train|eval|predict"]),
        ([MOSI, "--wrkdir=x"], ["unknown argument --wrkdir=x", "did you mean --workdir?"]),
        ([MOSI, "stray"], ["unknown argument stray"]),
        (["--mode=eval", "--workdir=nowhere"], ["no config.json in nowhere", "trained run"]),
        ([MOSI, "--config.data.path=nowhere.pkl"], ["nowhere.pkl"]),
        (["--config=configs/mulg_mosi.py", "--config.data.path=x.csv"], ["x.csv"]),
        (["--config=configs/crosssent_synthetic.py", "--config.data.path=x.csv"], ["made on the spot"]),
        ([MOSI, "--config.data.path="], ["--config.data.path is empty"]),
        ([MOSI, "--config.seed=-1"], ["--config.seed", "less than 0"]),
        ([MOSI, "--config.optim.groups=oops"], ["--config.optim.groups", "no list of"]),
        ([MOSI, "--config.optim.groups=(('(', 1.0),)"], ["--config.optim.groups", "no list of"]),
        ([MOSI, "--config.optim=None"], ["--config.optim", "no section"]),
        ([MOSI, "--config.model.dropout=1.5"], ["--config.model.dropout", "no share in"]),
        ([MOSI, "--config.text.scratch.num_heads=0"], ["--config.text.scratch.num_heads"]),
        ([MOSI, "--config.model.gmra=7"], ["--config.model.gmra", "no section"]),
    ],
)
def test_a_mistake_gets_one_line_and_exit_code_2(argv, parts, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert main(argv) == 2
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1
    assert captured.err.startswith("msa_jax: ")
    assert captured.out == ""
    for part in parts:
        assert part in captured.err
    assert list(tmp_path.iterdir()) == []  # nothing begun


def test_a_path_that_is_given_and_wrong_is_never_replaced_by_made_data(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main([MOSI, "--config.data.path=nowhere.csv", f"--config.data.cache={tmp_path / 'c'}"]) == 2
    assert "synthetic" not in capsys.readouterr().out.lower()


def test_overrides_reach_the_config():
    command = cli.parse(
        [
            MOSI + ":no_mpr",
            "--config.seed",
            "7",
            "--config.data.path=x.csv",
            "--config.data.modalities=('text', 'audio')",
            "--config.optim.learning_rate=1e-4",
            "--noconfig.data.standardise",
            "--config.model.gmra=None",
        ]
    )
    c = command.config
    assert (c.seed, c.data.path, c.data.modalities) == (7, "x.csv", ("text", "audio"))
    assert (c.optim.learning_rate, c.data.standardise, c.loss.mpr_weight) == (1e-4, False, 0.0)
    assert c.model.gmra is None
    assert command.workdir == Path("runs/crosssent_mosi-no_mpr")


def test_shipped_configs_load_from_any_folder_and_a_users_file_can_build_on_them(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert cli.parse([MOSI]).config.loss.mpr_weight == 0.5
    Path("mine.py").write_text(
        "from configs import crosssent_mosi\n"
        "def get_config():\n"
        "    c = crosssent_mosi.get_config('no_gmra')\n"
        "    c.seed = 11\n"
        "    return c\n"
    )
    command = cli.parse(["--config=mine.py"])
    assert (command.config.seed, command.config.model.gmra) == (11, None)
    assert command.config_name == "mine"
    Path("broken.py").write_text("def get_config(:\n")
    with pytest.raises(UserError, match=r"broken\.py is no config file: SyntaxError"):
        cli.parse(["--config=broken.py"])


def test_paper_hyperparameters_are_in_the_configs():
    """Tables 2 and 3 of CrossSent."""
    expected = {
        "mosi": (8, 26, 7.5e-6, 0.50, 0.06),
        "mosei": (8, 26, 9.0e-6, 0.40, 0.05),
        "sims": (16, 35, 1.25e-5, 0.70, 0.07),
    }
    for corpus, numbers in expected.items():
        c = cli.load_config(f"configs/crosssent_{corpus}.py")[0]
        weights = (c.loss.mpr_weight, c.loss.eioi_weight)
        assert (c.batch_size, c.epochs, c.optim.learning_rate, *weights) == numbers
        assert (c.model.dropout, c.model.layer, c.model.gmra.heads, c.model.gmra.dropout) == (0.28, 1, 8, 0.2)
        assert (c.model.gmra.bottleneck, c.model.gmra.layer_scale, c.optim.warmup) == (48, 1e-4, 0.4)
        assert (c.loss.alpha, c.loss.beta, c.loss.gamma, c.loss.max_pairs) == (0.3, 1.0, 0.3, 8192)
        assert (c.optim.clip, c.optim.eps, c.optim.weight_decay, c.text.max_length) == (2.0, 1e-8, 0.0, 50)
        assert c.seed == 6758


def test_help_names_every_flag_and_every_shipped_config():
    shown = subprocess.run(
        [sys.executable, "-m", "msa_jax.main", "--help"], capture_output=True, text=True, check=True
    ).stdout
    for flag in ("--config", "--mode", "--workdir", "--output", "--help", "--config.KEY=VALUE"):
        assert flag in shown
    for path in cli.shipped_configs().glob("*_*.py"):
        assert f"configs/{path.name}" in shown
        for variant in cli._import_config(path).VARIANTS:
            assert f":{variant}" in shown
