"""A model of a package of its own, as the documentation shows it: installed, trained, resumed, scored."""

import csv
import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.conftest import WORDS, make_words_folder

DOCUMENT = Path(__file__).parents[1] / "docs" / "your_own_model.md"
WHEEL = "my_package-1.0-py3-none-any.whl"


@pytest.fixture(scope="module")
def outside(tmp_path_factory):
    """(folder with my_config.py, environment in which my_package is installed)."""
    folder = tmp_path_factory.mktemp("outside")
    blocks = dict(re.findall(r"^`(\S+)`:\n\n```python\n(.*?)^```", DOCUMENT.read_text(), re.M | re.S))
    assert set(blocks) == {"my_package/my_model.py", "my_config.py"}
    (folder / "my_config.py").write_text(blocks["my_config.py"])
    with zipfile.ZipFile(folder / WHEEL, "w") as wheel:
        wheel.writestr("my_package/__init__.py", "")
        wheel.writestr("my_package/my_model.py", blocks["my_package/my_model.py"])
        about = "my_package-1.0.dist-info"
        wheel.writestr(f"{about}/METADATA", "Metadata-Version: 2.1\nName: my_package\nVersion: 1.0\n")
        wheel.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{about}/RECORD", "")
    site = folder / "site"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", f"--target={site}"]
    subprocess.run([*pip, folder / WHEEL], check=True)
    here = str(Path(__file__).parents[1])
    path = os.pathsep.join([here, str(site), os.environ.get("PYTHONPATH", "")])
    return folder, {**os.environ, "PYTHONPATH": path, "HOME": str(folder / "home")}


def python(outside, module, *arguments):
    folder, env = outside
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments], cwd=folder, env=env, capture_output=True, text=True
    )
    return done.returncode, done.stdout, done.stderr


@pytest.fixture(scope="module")
def trained_outside(outside):
    """(arguments, results, (code, out, err)) of the training command."""
    folder, _ = outside
    words = make_words_folder(folder / "words")
    train = ["--config=my_config.py:tiny", f"--config.data.path={words}", "--workdir=run"]
    train += ["--config.data.other_counts=True", "--config.log_every=1"]
    train += [f"--config.data.cache={folder / 'cache'}"]
    done = python(outside, "msa_jax.main", *train)
    return train, json.loads((folder / "run" / "results.json").read_text()), done


@pytest.fixture(scope="module")
def commands(outside, trained_outside):
    """(code, out, err) of each command that follows the training, by name; all in one process."""
    folder, _ = outside
    (folder / "run" / "results.json").unlink()  # as if it had been cut off before its end
    (folder / "clips.csv").write_text("id,text\n" + "".join(f"c{i},{w}\n" for i, w in enumerate(WORDS[:3])))
    wanted = {
        "resume": trained_outside[0],
        "eval": ["--mode=eval", "--workdir=run"],
        "predict": ["--mode=predict", "--workdir=run", "--config.data.path=clips.csv", "--output=scores.csv"],
        "bound": ["--config=my_config.py", "--config.model.width=0"],
        "variant": ["--config=my_config.py:no_nera"],
        "table": ["--models", "my_config.py", "--seeds", "0", "--skip-floor", "--runs=rows"],
    }
    code, out, err = python(outside, "tests.many_commands", json.dumps(wanted))
    assert code == 0, err
    return json.loads(out.splitlines()[-1])


def test_the_document_is_short():
    assert len(DOCUMENT.read_text().splitlines()) < 80


def test_a_model_from_outside_trains(outside, trained_outside):
    folder, _ = outside
    _, results, (code, out, err) = trained_outside
    assert (code, err) == (0, "")
    assert "my_package.my_model: " in out
    assert results["test"]["clips"] == 6
    first = json.loads((folder / "run" / "metrics.jsonl").read_text().splitlines()[0])
    assert {"mse", "near_audio", "near_vision"} <= set(first)


def test_it_resumes_evaluates_and_predicts(outside, trained_outside, commands):
    folder, _ = outside
    _, results, _ = trained_outside
    code, out, _ = commands["resume"]
    assert code == 0
    assert "resuming at step" in out
    assert json.loads((folder / "run" / "results.json").read_text())["test"] == results["test"]

    assert commands["eval"][0] == 0
    (evaluated,) = (folder / "run").glob("eval_words_*/results.json")
    assert json.loads(evaluated.read_text())["test"] == results["test"]

    assert commands["predict"][0] == 0
    with (folder / "scores.csv").open() as f:
        assert len(list(csv.DictReader(f))) == 3


def test_its_fields_are_bounded_as_those_of_the_package(commands):
    code, _, err = commands["bound"]
    assert (code, err) == (2, "msa_jax: --config.model.width: 0 is less than 1\n")
    code, _, err = commands["variant"]
    assert code == 2
    assert "did you mean no_near?" in err


def test_the_table_on_the_embedded_corpus_takes_its_config(outside, commands):
    code, out, _ = commands["table"]
    assert code == 0
    assert "my_config.py on synthetic_short (SYNTHETIC), test split, 1 seeds" in out
    _, table, differences = re.split(r"^.*test split.*\n|^difference.*\n", out, flags=re.M)
    rows = [[line.split()[0] for line in part.splitlines() if "±" in line] for part in (table, differences)]
    assert rows[0][:2] == ["full", "text_only"]
    assert set(rows[0]) == {"full", "text_only", "no_vision", "no_audio", "no_near"}
    assert rows[1] == rows[0][1:]
    stored = json.loads((outside[0] / "rows" / "my_config" / "no_near" / "config.json").read_text())
    assert stored["model"]["name"] == "my_package.my_model"
    assert stored["data"]["corpus"] == "synthetic_short"
    assert stored["loss"]["near_weight"] == 0
