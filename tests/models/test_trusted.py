"""Trust in models outside of the package: a run's config alone has none of them imported."""

import importlib.machinery
import importlib.util
import os
import subprocess
import sys
import types
from pathlib import Path

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


INSIDE = {
    "a folder": ("runs.x.evil", "code lies in that folder", ()),
    "a package": ("runs.x.evil", "code lies in that folder", ("runs/__init__.py",)),
    "packages": ("proj.runs.x.evil", "code lies in that folder", ("proj/__init__.py",)),
    "a folder beside": ("runs.y.evil", "lies in the package runs, which has no __init__.py", ()),
    "a run that is a package": (
        "runs.x",
        "code lies in that folder",
        ("runs/__init__.py", "runs/x/__init__.py"),
    ),
    "its own parts": ("runs.x.sub.evil", "code lies in that folder", ("runs/__init__.py",)),
}


@pytest.mark.parametrize("case", INSIDE)
def test_what_lies_in_the_run_is_not_imported_by_a_dotted_name(case, tmp_path, monkeypatch):
    """Also where the user has put the folder that holds the runs on PYTHONPATH."""
    name, line, packages = INSIDE[case]
    top = tmp_path / name.partition(".runs")[0] if name.startswith("proj") else tmp_path
    for place in ("x", "y", "x/sub"):
        (top / "runs" / place).mkdir(parents=True)
        (top / "runs" / place / "evil.py").write_text("raise SystemExit('executed')\n")
    for file in packages:
        (tmp_path / file).touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", ".")
    with pytest.raises(UserError, match=line):
        models.trust(name, top / "runs" / "x")
    assert not [module for module in sys.modules if "evil" in module or module.startswith("runs")]


def test_a_link_out_of_a_chosen_package_into_the_run_is_followed(tmp_path, monkeypatch):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "evil.py").write_text("raise SystemExit('executed')\n")
    (tmp_path / "site" / "linked_models").mkdir(parents=True)
    (tmp_path / "site" / "linked_models" / "__init__.py").touch()
    (tmp_path / "site" / "linked_models" / "mine.py").touch()
    (tmp_path / "site" / "linked_models" / "evil.py").symlink_to(tmp_path / "run" / "evil.py")
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path / "site")])
    models.trust("linked_models.mine", tmp_path / "run")
    with pytest.raises(UserError, match="whose code lies in that folder and is not run"):
        models.trust("linked_models.evil", tmp_path / "run")


def test_a_script_has_chosen_what_lies_beside_it(tmp_path):
    """A real process: `cd project; python script.py` with a model of the user's own, and `python -c`."""
    (tmp_path / "runs" / "x").mkdir(parents=True)
    (tmp_path / "mymodel.py").touch()
    code = (
        "import sys; from pathlib import Path; from msa_jax.models import _trusted\n"
        "_trusted.check('mymodel', Path('runs/x')); print('mymodel' in sys.modules)\n"
    )
    root = str(Path(models.__file__).parents[2])
    code = f"import sys; sys.path.append({root!r})\n{code}"
    (tmp_path / "script.py").write_text(code)
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    for command, said in ((["script.py"], "False"), (["-c", code], "the working folder and is not run")):
        done = subprocess.run(
            [sys.executable, *command],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert said in done.stdout + done.stderr


def test_a_program_is_no_model(beside, tmp_path, monkeypatch):
    run, _ = beside
    (tmp_path / "site" / "installed_package").mkdir(parents=True)
    for file in ("__init__", "__main__", "leaves"):
        content = "" if file == "__init__" else "raise SystemExit('it has\\nended')\n"
        (tmp_path / "site" / "installed_package" / f"{file}.py").write_text(content)
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path / "site")])
    with pytest.raises(UserError, match=r"installed_package\.__main__, which is a program and not a model"):
        models.trust("installed_package.__main__", run)
    models.trust("installed_package.leaves", run)
    with pytest.raises(UserError, match=r"leaves cannot be imported: SystemExit: it has$"):
        models.find("installed_package.leaves")


@pytest.mark.parametrize("name", ["antigravity", "idlelib.idle"])
def test_parts_of_python_are_no_models(beside, name):
    run, _ = beside
    with pytest.raises(UserError, match=f"names the model {name}, which is a part of Python"):
        models.trust(name, run)
    assert name not in sys.modules
