"""Trust in models outside of the package: a run's config alone has none of them imported."""

import importlib.machinery
import importlib.util
import sys
import types

import pytest

from msa_jax import models
from msa_jax.errors import UserError

_REFUSED = (
    r"names the model beside_model\S*, whose code lies in the working folder and is not run; .*import it f"
)


@pytest.fixture
def beside(tmp_path, monkeypatch):
    """(folder of a run, the working folder, which has a module beside it), as under `python -m`."""
    monkeypatch.delenv("PYTHONPATH", raising=False)
    (tmp_path / "here" / "run").mkdir(parents=True)
    (tmp_path / "here" / "beside_model.py").write_text("raise SystemExit('executed')\n")
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.syspath_prepend(str(tmp_path / "here"))
    return tmp_path / "here" / "run", tmp_path / "here"


def test_what_lies_in_the_working_folder_is_not_imported(beside):
    run, _ = beside
    for name in ("beside_model", "beside_model.part"):
        with pytest.raises(UserError, match=_REFUSED):
            models.trust(name, run)
    assert "beside_model" not in sys.modules


def test_what_lies_in_the_run_is_not_imported_wherever_it_is_named(beside, monkeypatch):
    run, _ = beside
    (run / "inside_model.py").touch()
    monkeypatch.syspath_prepend(str(run))
    monkeypatch.setenv("PYTHONPATH", str(run))
    with pytest.raises(UserError, match="whose code lies in that folder and is not run"):
        models.trust("inside_model", run)


def test_what_the_user_has_chosen_is_imported(beside, tmp_path, monkeypatch):
    run, here = beside
    with monkeypatch.context() as patch:
        patch.setenv("PYTHONPATH", f"elsewhere:{here}")
        models.trust("beside_model", run)
    with monkeypatch.context() as patch:
        patch.setattr(sys, "path", [*sys.path, str(here)])  # installed in place, by a .pth file
        models.trust("beside_model", run)
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "beside_model", types.ModuleType("beside_model"))
        models.trust("beside_model", run)
    with pytest.raises(UserError, match=_REFUSED):
        models.trust("beside_model", run)
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "installed_model.py").touch()
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path / "site")])
    models.trust("installed_model", run)
    for name in (*models.names(), "no_such_model", 3, None):
        models.trust(name, run)  # others say what is wrong with these


def test_what_is_installed_to_be_edited_has_a_finder_of_its_own(beside, monkeypatch):
    run, here = beside

    class Finder:
        @staticmethod
        def find_spec(name, path=None, target=None):
            file = here / "beside_model.py"
            return importlib.util.spec_from_file_location(name, file) if name == "beside_model" else None

    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, Finder])
    models.trust("beside_model", run)


@pytest.mark.parametrize("file", ["beside_model.py", "beside_model/part.py"], ids=["module", "namespace"])
def test_what_hides_an_installed_one_is_not_imported(beside, tmp_path, monkeypatch, file):
    """A module of the same name, or a part of a package that has no __init__.py."""
    run, here = beside
    for place in (here, tmp_path / "site"):
        (place / "beside_model.py").unlink(missing_ok=True)
        (place / file).parent.mkdir(parents=True, exist_ok=True)
        (place / file).touch()
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path / "site")])
    importlib.invalidate_caches()
    with pytest.raises(UserError, match=_REFUSED):
        models.trust("beside_model.part", run)


@pytest.mark.parametrize("name", ["antigravity", "idlelib.idle"])
def test_parts_of_python_are_no_models(beside, name):
    run, _ = beside
    with pytest.raises(UserError, match=f"names the model {name}, which is a part of Python"):
        models.trust(name, run)
    assert name not in sys.modules
