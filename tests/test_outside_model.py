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

from tests.conftest import WORDS

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
    return folder, {**os.environ, "PYTHONPATH": path}


def command(outside, *arguments):
    folder, env = outside
    done = subprocess.run(
        [sys.executable, "-m", "msa_jax.main", *arguments],
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stdout, done.stderr


def test_the_document_is_short():
    assert len(DOCUMENT.read_text().splitlines()) < 80


def test_a_model_from_outside_trains_resumes_and_predicts(outside, words_folder):
    folder, _ = outside
    train = ["--config=my_config.py:tiny", f"--config.data.path={words_folder}", "--workdir=run"]
    train += ["--config.data.other_counts=True", f"--config.data.cache={folder / 'cache'}"]
    code, out, err = command(outside, *train, "--config.log_every=1")
    assert (code, err) == (0, "")
    assert "my_package.my_model: " in out
    results = json.loads((folder / "run" / "results.json").read_text())
    assert results["test"]["clips"] == 6
    first = json.loads((folder / "run" / "metrics.jsonl").read_text().splitlines()[0])
    assert {"mse", "near_audio", "near_vision"} <= set(first)

    (folder / "run" / "results.json").unlink()  # as if it had been cut off before its end
    code, out, _ = command(outside, *train, "--config.log_every=1")
    assert code == 0
    assert "resuming at step" in out
    again = json.loads((folder / "run" / "results.json").read_text())
    assert again["test"] == results["test"]

    (folder / "clips.csv").write_text("id,text\n" + "".join(f"c{i},{w}\n" for i, w in enumerate(WORDS[:3])))
    predict = ["--mode=predict", "--workdir=run", "--config.data.path=clips.csv", "--output=scores.csv"]
    assert command(outside, *predict)[0] == 0
    with (folder / "scores.csv").open() as f:
        assert len(list(csv.DictReader(f))) == 3


def test_its_fields_are_bounded_as_those_of_the_package(outside):
    code, _, err = command(outside, "--config=my_config.py", "--config.model.width=0")
    assert (code, err) == (2, "msa_jax: --config.model.width: 0 is less than 1\n")
    code, _, err = command(outside, "--config=my_config.py:no_nera")
    assert code == 2
    assert "did you mean no_near?" in err
