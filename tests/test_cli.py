"""The command line: what it reads, and the one line that each mistake gets."""

import subprocess
import sys

import pytest

from msa_jax import cli, specs
from msa_jax import config as configs
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
        (
            [MOSI, "--config.model.name=mulg"],
            ["--config.model.name", "of the model crosssent", "--config=FILE"],
        ),
        ([MOSI, "--config.learning_rate=1"], ["did you mean optim.learning_rate?"]),
        ([MOSI, "--config.data.pth=x"], ["did you mean data.path?"]),
        ([MOSI, "--config.seed=abc"], ["--config.seed", "'abc' is not an int", "--config.seed=6758"]),
        ([MOSI, "--config.epochs=2.5"], ["'2.5' is not an int"]),
        ([MOSI, "--processes=two"], ["--processes: 'two' is not an int"]),
        ([MOSI, "--config.optim.learning_rate=fast"], ["'fast' is not a float"]),
        ([MOSI, "--config.data.standardise=maybe"], ["'maybe' is not a bool"]),
        ([MOSI, "--config.data=3"], ["--config.data", "is not a section"]),
        ([MOSI, "--config.epochs=0"], ["--config.epochs", "less than 1"]),
        ([MOSI, "--config.data.corpus=mossi"], ["'mossi' is not one of", "did you mean mosi?"]),
        ([MOSI, "--config.model.pooling=max"], ["--config.model.pooling", "cls, mean"]),
        ([MOSI, "--config.data.modalities=smell"], ["--config.data.modalities", "one or more of"]),
        ([MOSI, "--config.data.modalities=()"], ["--config.data.modalities", "one or more of"]),
        ([MOSI, "--config.data.modalities=('text', 'text')"], ["--config.data.modalities", "each once"]),
        ([MOSI, "--config.text.scratch.num_heads=7"], ["num_heads: 7 does not divide", "hidden_size 64"]),
        ([MOSI, "--config.optim.eps=-1"], ["--config.optim.eps: -1.0 must be above 0"]),
        ([MOSI, "--config.optim.plateau.factor=0"], ["--config.optim.plateau.factor: 0.0 must be above 0"]),
        ([MOSI, "--config.optim.learning_rate=nan"], ["--config.optim.learning_rate: nan is not finite"]),
        ([MOSI, "--config.optim.weight_decay=inf"], ["--config.optim.weight_decay: inf is not finite"]),
        ([MOSI, "--config.data.time_line=own"], ["--config.data.time_line", "must be text"]),
        ([TECAFN, "--config.data.corpus=ur_funny"], ["--config.loss.task", "cross_entropy"]),
        ([MOSI, "--config.data.corpus=ur_funny"], ["--config.data.corpus", "has classes"]),
        (
            [MOSI, "--config.data.corpus=ur_funny", "--config.loss.task=cross_entropy"],
            ["--config.data.corpus", "has classes"],
        ),
        (
            [MOSI, "--config.select=acc9"],
            ["--config.select", "is not a metric of mosi", "did you mean acc7?"],
        ),
        ([MOSI, "--config.loss.task=l3"], ["--config.loss.task", "mse, l1, cross_entropy"]),
        ([TECAFN, "--config.model.core=smell"], ["--config.model.core", "text, audio, vision"]),
        ([TECAFN, "--config.model.p=1.2"], ["--config.model.p", "1.2 does not lie in [0, 1]"]),
        ([TECAFN, "--config.loss.temperature=0"], ["--config.loss.temperature", "above 0"]),
        (["--config=configs/mulg_mosi.py", "--config.model.recurrent_layers=0"], ["less than 1"]),
        (["--config=configs/mulg_mosi.py:self_attention", "--config.model.hidden=42"], ["model.hidden 42"]),
        ([TECAFN, "--config.model.heads=7"], ["--config.model.heads", "does not divide"]),
        ([TECAFN, "--config.model.replace=('sound',)"], ["--config.model.replace", "text, audio, vision"]),
        (["--config=configs/amsgfn_mosi.py", "--config.model.dominant=txt"], ["did you mean text?"]),
        (["--config=configs/mulg_mosi.py", "--config.model.scoring=dot"], ["multihead, bilinear"]),
        ([MOSI, "--config.optim.warmup=40"], ["--config.optim.warmup", "40.0 does not lie in [0, 1)"]),
        ([MOSI, "--config.data.cut.fold=5"], ["must be below data.cut.folds"]),
        ([MOSI, "--config.text.max_content=49"], ["two special tokens"]),
        ([MOSI, "--mode=trian"], ["--mode", "train|eval|predict"]),
        ([MOSI, "--wrkdir=x"], ["unknown argument --wrkdir=x", "did you mean --workdir?"]),
        ([MOSI, "stray"], ["unknown argument stray"]),
        (["--mode=eval", "--workdir=nowhere"], ["no config.json in nowhere", "trained run"]),
        ([MOSI, "--config.data.path=nowhere.pkl"], ["nowhere.pkl"]),
        (["--config=configs/mulg_mosi.py", "--config.data.path=x.csv"], ["x.csv"]),
        ([MOSI + ":synthetic", "--config.data.path=x.csv"], ["made on the spot"]),
        ([MOSI, "--config.data.path="], ["--config.data.path is empty"]),
        ([MOSI, "--config.seed=-1"], ["--config.seed", "less than 0"]),
        ([MOSI, "--config.optim.groups=oops"], ["--config.optim.groups", "is not a list of"]),
        ([MOSI, "--config.optim.groups=(('(', 1.0),)"], ["--config.optim.groups", "is not a list of"]),
        ([MOSI, "--config.optim=None"], ["--config.optim", "is not a section"]),
        ([MOSI, "--config.model.dropout=1.5"], ["--config.model.dropout", "1.5 does not lie in [0, 1)"]),
        ([MOSI, "--config.text.scratch.num_heads=0"], ["--config.text.scratch.num_heads"]),
        ([MOSI, "--config.model.gmra=7"], ["--config.model.gmra", "is not a section"]),
        (
            [MOSI, "--config.model.gmra.layer_scale=nan"],
            ["--config.model.gmra.layer_scale: nan is not finite"],
        ),
        ([MOSI, "--config.model.gmra.heads=0"], ["--config.model.gmra.heads: 0 is less than 1"]),
        ([MOSI, "--config.loss.alpha=-5"], ["--config.loss.alpha: -5.0 is less than 0"]),
        ([MOSI, "--config.loss.mpr_ramp=2"], ["--config.loss.mpr_ramp: 2.0 does not lie in [0, 1]"]),
        ([MOSI, "--config.data.seed=abc"], ["--config.data.seed: 'abc' is not an int"]),
        ([MOSI, "--config.model.name=mulgg"], ["--config.model.name", "no model 'mulgg'", "mean mulg?"]),
        ([MOSI, "--config.model.hiden=False"], ["no such key", "did you mean model.hidden?"]),
        (
            [MOSI, "--config.model.gmra.heads=2", "--config.model.gmra=None"],
            ["--config.model.gmra.heads: model.gmra is None"],
        ),
        ([MOSI, "--config.data=None", "--config.data.path=None"], ["--config.data.path: data is None"]),
        ([MOSI + ":tiny:no_gmr"], ["no variant 'no_gmr'", "did you mean no_gmra?"]),
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
            "--config.model.hidden=False",
        ]
    )
    c = command.config
    assert (c.seed, c.data.path, c.data.modalities) == (7, "x.csv", ("text", "audio"))
    assert (c.optim.learning_rate, c.data.standardise, c.loss.mpr_weight) == (1e-4, False, 0.0)
    assert (c.model.gmra, c.model.hidden) == (None, False)
    folder = command.workdir
    assert folder.name == "crosssent_mosi-no_mpr"
    changed = {key: value for key, value in folder.changed.items() if not key.startswith("model.gmra.")}
    wanted = {"seed": 7, "data.modalities": ["text", "audio"], "optim.learning_rate": 1e-4}
    assert changed == {**wanted, "data.standardise": False, "model.hidden": False}  # not the data's place
    assert folder.changed["model.gmra.heads"] is None
    assert command.says("data.path")
    assert command.says("seed")
    assert not command.says("data.corpus")  # which has its default
    assert cli.parse([MOSI, "--config.data.corpus=mosi"]).says("data.corpus")
    assert (command.config_name, command.spec) == ("crosssent_mosi-no_mpr", MOSI[9:] + ":no_mpr")


def test_what_is_none_by_default_may_be_none_again():
    led = cli.parse(["--config=configs/amsgfn_mosi.py:t_oriented", "--config.model.dominant=None"]).config
    assert led.model.dominant is None
    config, _ = configs.load("configs/crosssent_mosi.py")
    config.data.path, config.data.rows, config.data.seed = "x.csv", "words", 5
    taken_back = [f"--config.data.{key}=None" for key in ("path", "rows", "seed")]
    data = configs.override(config, taken_back).data
    assert (data.path, data.rows, data.seed) == (None, None, None)
    with pytest.raises(UserError, match=r"--config\.epochs: 'None' is not an int"):
        cli.parse([MOSI, "--config.epochs=None"])


def test_made_data_keep_variants_and_overrides_and_have_a_folder_of_their_own(tmp_path):
    overrides = ["--config.seed=7", "--config.model.layer=2"]
    command = cli.parse([MOSI + ":no_mpr", *overrides])
    made = command.on_made_data()
    assert (made.spec, made.config_name) == (
        "configs/crosssent_mosi.py:synthetic:no_mpr",
        "crosssent_mosi-synthetic-no_mpr",
    )
    assert made.workdir.name == "crosssent_mosi-synthetic-no_mpr"  # and not that of the real corpus
    c = made.config
    assert (c.data.corpus, c.text.encoder, c.loss.mpr_weight) == ("synthetic", "scratch", 0.0)
    assert (c.seed, c.model.layer) == (7, 2)
    named = cli.parse([MOSI, f"--workdir={tmp_path}"]).on_made_data()
    assert named.workdir == tmp_path


def test_help_names_every_flag_every_shipped_config_and_its_variants():
    shown = subprocess.run(
        [sys.executable, "-m", "msa_jax.main", "--help"], capture_output=True, text=True, check=True
    ).stdout
    for flag in ("--config", "--mode", "--workdir", "--output", "--help", "--config.KEY=VALUE"):
        assert flag in shown
    for path in specs.shipped_files():
        assert f"configs/{path.name}" in shown
        for variant in configs.variants(path):
            assert f":{variant}" in shown


@pytest.mark.parametrize(
    ("argv", "again"),
    [
        (["--config=lmf_mosi"], "resumes"),
        (["--mode=train", "--config=lmf_mosi"], "resumes"),
        (["--mode=eval"], "begins anew"),
        (["--mode", "predict"], "begins anew"),
    ],
)
def test_what_an_interrupt_leaves_is_said_by_what_was_interrupted(argv, again, monkeypatch, capsys):
    def interrupted(argv):
        raise KeyboardInterrupt

    monkeypatch.setattr("msa_jax.main._run", interrupted)
    assert main(argv) == 130
    assert capsys.readouterr().err == f"msa_jax: interrupted; the same command again {again}\n"


def test_a_variant_that_takes_back_another_is_noted_once(capsys):
    cli.parse(["--config=tfn_mosi:unbounded:synthetic", "--config.model.bound=2.0"])
    assert capsys.readouterr().out.count("synthetic sets model.bound again") == 1
