"""The structure of the package: who knows a model's name, and how long a file and a function may be."""

import ast
import builtins
import re
import symtable
from pathlib import Path

import pytest

from msa_jax import models

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "msa_jax"
LONGEST_FILE, LONGEST_FUNCTION = 300, 60


def python_files(*folders):
    return sorted(p for folder in folders for p in (ROOT / folder).rglob("*.py"))


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


@pytest.mark.parametrize("name", models.names())
def test_no_file_but_its_own_knows_the_name_of_a_model(name):
    """Strings of the code, docstrings apart; the file name of a shipped config is an example, not a case."""
    for path in python_files("msa_jax"):
        if path.parent == PACKAGE / "models" and path.stem.lstrip("_").startswith(name):
            continue
        tree = ast.parse(path.read_text())
        documents = {id(n.value) for n in ast.walk(tree) if isinstance(n, ast.Expr)}
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom):
                words = [*(node.module or "").split("."), *(alias.name.lower() for alias in node.names)]
                assert name not in words, (path, node.lineno)
            elif isinstance(node, ast.Name | ast.Attribute):
                word = node.id if isinstance(node, ast.Name) else node.attr
                assert word.lower() != name, (path, node.lineno)
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documents:
                text = re.sub(r"configs/\w+\.py", "", node.value)
                assert not re.search(rf"\b{name}\b|{name}_", text), (path, node.lineno)


def test_files_and_functions_are_short():
    long_files, long_functions = {}, {}
    for path in python_files("msa_jax", "configs", "experiments"):
        name, lines = str(path.relative_to(ROOT)), len(path.read_text().splitlines())
        if lines > LONGEST_FILE:
            long_files[name] = lines
        long_functions |= {(name, function): n for function, n in functions(path) if n > LONGEST_FUNCTION}
    assert long_files == {}
    assert long_functions == {}
    assert dict(functions(PACKAGE / "loop.py"))["train"] < 50


def undefined(path):
    """The global names that a file reads and nowhere defines."""
    top = symtable.symtable(path.read_text(), str(path), "exec")
    defined = {s.get_name() for s in top.get_symbols() if s.is_assigned() or s.is_imported()}
    defined |= {*dir(builtins), "__file__", "__path__"}
    scopes, missing = [top], set()
    while scopes:
        scope = scopes.pop()
        scopes += scope.get_children()
        for symbol in scope.get_symbols():
            if symbol.is_declared_global() and symbol.is_assigned():
                defined.add(symbol.get_name())
            is_global = symbol.is_global() or scope is top
            if is_global and symbol.is_referenced() and not symbol.is_assigned():
                missing.add(symbol.get_name())
    return missing - defined


def test_no_file_reads_a_name_that_it_does_not_define(tmp_path):
    """The linter cannot hold this: it takes the shapes in annotations for names."""
    (tmp_path / "wrong.py").write_text(
        "import os\n\n\ndef f(x):\n    return [sys.argv, os.name, x, len(x)]\n"
    )
    assert undefined(tmp_path / "wrong.py") == {"sys"}
    files = python_files("msa_jax", "configs", "experiments", "tests")
    assert len(files) > 300
    assert {str(p.relative_to(ROOT)): found for p in files if (found := undefined(p))} == {}
