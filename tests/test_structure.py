"""The structure of the package: which room may import which, how long a file and a function may be."""

import ast
import re
from pathlib import Path

import pytest

from msa_jax import models

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "msa_jax"
# From the ground up; a room imports only from lower floors, or from its own.
FLOORS = (
    ("errors", "corpora", "progress", "parallel"),
    ("files", "metrics"),
    ("checkpoint", "layers", "losses"),
    ("text",),
    ("models", "data"),
    ("config", "optim"),
    ("bounds", "evaluate", "workdir"),
    ("assemble",),
    ("run",),
    ("train", "cli"),
    ("inspect",),
    ("main",),
)
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
LONGEST_FILE, LONGEST_FUNCTION = 300, 60


def python_files(*folders):
    return sorted(p for folder in folders for p in (ROOT / folder).rglob("*.py"))


def room(path):
    """The first part of a module's name below the package."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path):
    """(line, room) of every import from the package in a file, those inside functions included."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "msa_jax":
            parts = node.module.split(".")[1:]
            names = [parts[0]] if parts else [alias.name for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [a.name.split(".")[1] for a in node.names if a.name.startswith("msa_jax.")]
        else:
            continue
        for name in names:
            yield node.lineno, name


def upward(path):
    """The imports of a file that lead to a higher floor."""
    return [(line, name) for line, name in imports(path) if FLOOR.get(name, -1) > FLOOR[room(path)]]


def code_lines(function, source):
    """Lines of a function without its docstring, comments, blank lines, and functions and classes in it."""
    inside = {
        line
        for node in ast.walk(function)
        if node is not function and isinstance(node, ast.FunctionDef | ast.ClassDef)
        for line in range(node.lineno, node.end_lineno + 1)
    }
    if ast.get_docstring(function) is not None:
        inside |= set(range(function.body[0].lineno, function.body[0].end_lineno + 1))
    lines = range(function.lineno, function.end_lineno + 1)
    return sum(1 for n in lines if n not in inside and re.match(r"\s*[^\s#]", source[n - 1]))


def functions(path):
    """(name, lines of code) of every function of a file."""
    text = path.read_text()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            yield node.name, code_lines(node, text.splitlines())


def test_no_room_imports_upward():
    # The entry point `python -m msa_jax.data` has its name from its users; it only calls the inspector.
    files = [p for p in python_files("msa_jax") if p.name != "__init__.py" or p.parent != PACKAGE]
    found = {p: upward(p) for p in files if p != PACKAGE / "data" / "__main__.py"}
    assert {str(p.relative_to(ROOT)): arrows for p, arrows in found.items() if arrows} == {}
    assert len((PACKAGE / "data" / "__main__.py").read_text().splitlines()) <= 10


def test_rooms_of_one_floor_form_no_circle():
    for rooms in FLOORS:
        arrows = {
            (room(p), name)
            for p in python_files("msa_jax")
            if p.parent != PACKAGE or p.name != "__init__.py"
            for _, name in imports(p)
            if room(p) in rooms and name in rooms and name != room(p)
        }
        assert not [pair for pair in arrows if pair[::-1] in arrows], rooms


def test_every_module_has_a_floor():
    assert {room(p) for p in python_files("msa_jax")} - {"__init__"} == set(FLOOR)


@pytest.mark.parametrize("name", models.names())
def test_no_file_but_its_own_knows_the_name_of_a_model(name):
    """Strings of the code, docstrings apart; the file name of a shipped config is an example, not a case."""
    for path in python_files("msa_jax"):
        if path.parent == PACKAGE / "models" and path.stem.lstrip("_").startswith(name):
            continue
        tree = ast.parse(path.read_text())
        documents = {id(n.value) for n in ast.walk(tree) if isinstance(n, ast.Expr)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documents:
                text = re.sub(r"configs/\w+\.py", "", node.value)
                assert not re.search(rf"\b{name}\b|{name}_", text), (path, node.lineno)


def test_files_and_functions_are_short():
    long_files, long_functions = {}, {}
    for path in python_files("msa_jax", "configs", "experiments"):
        name, lines = str(path.relative_to(ROOT)), len(path.read_text().splitlines())
        if lines > LONGEST_FILE:
            long_files[name] = lines
        long_functions |= {
            (name, function): n
            for function, n in functions(path)
            if n > LONGEST_FUNCTION and function != "common"  # base.common lists the keys, one a line
        }
    assert long_files == {}
    assert long_functions == {}
    assert dict(functions(PACKAGE / "train.py"))["train"] < 50
