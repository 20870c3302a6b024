"""The notebooks as they are kept: without outputs, portable, and with one beginning."""

import ast
import json
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "experiments" / "notebooks").glob("*.ipynb"))
NAMES = ["inside", "start", "your_data", "your_model"]
DRIVE = "/content/drive"


def cells(path, kind):
    notebook = json.loads(path.read_text(encoding="utf-8"))
    return ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == kind]


def repository():
    """OWNER/NAME, from the one place that says it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return project["urls"]["Repository"].removeprefix("https://github.com/")


def texts_in(source):
    """(text, whether it stands below an `if` that asks for Colab) of every string in a cell."""
    source = re.sub(r"^[%!].*$", "", source, flags=re.MULTILINE)  # magic, such as %%writefile

    def walk(node, asked):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value, asked
        asks = isinstance(node, ast.If) and ast.unparse(node.test).startswith("'google.colab' in ")
        for child in ast.iter_child_nodes(node):
            yield from walk(child, asked or (asks and child in node.body))

    yield from walk(ast.parse(source), False)


def leaves_the_folder(text):
    return re.search(r"(?:^|[\s'\"(=])(?:/\w|~|\.\.(?:/|$)|[A-Za-z]:\\)", text) is not None


def test_all_are_there():
    assert [path.stem for path in NOTEBOOKS] == NAMES


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_kept_without_outputs(path):
    notebook = json.loads(path.read_text(encoding="utf-8"))
    for cell in notebook["cells"]:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None
        assert not cell["metadata"]
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_no_cell_names_a_path_outside_the_working_folder(path):
    """But for that of Drive, which only Colab has."""
    for source in cells(path, "code"):
        assert not re.search(r"\b(home|expanduser|gettempdir|mkdtemp)\(", source)
        for text, asked in texts_in(source):
            if text.startswith(DRIVE):
                assert asked, text
            else:
                assert not leaves_the_folder(text), text
        for line in re.findall(r"^[%!].*$", source, re.MULTILINE):
            assert not leaves_the_folder(line), line


@pytest.mark.parametrize(
    ("text", "leaves"),
    [
        ("/root/x", True), ("a /tmp/x", True), ("~/x", True), ("../x", True), ("..", True), ("C:\\x", True),
        ("runs/x", False), ("a.b", False), ("and/or", False), ("https://host/x", False), ("...", False),
    ],
)  # fmt: skip
def test_paths_that_leave_a_folder_are_known(text, leaves):
    assert leaves_the_folder(text) == leaves


def test_only_what_asks_for_colab_names_drive():
    cell = (
        "if 'google.colab' in sys.modules:",
        f"    '{DRIVE}/a'",
        "else:",
        f"    '{DRIVE}/b'",
        f"'{DRIVE}/c'",
    )
    found = dict(texts_in("\n".join(cell)))
    assert [found[f"{DRIVE}/{name}"] for name in "abc"] == [True, False, False]


def test_all_begin_alike():
    """The budget, the installation and the device, in the first three code cells."""
    first = cells(NOTEBOOKS[0], "code")[:3]
    assert first[0].startswith('BUDGET = "small"')
    for path in NOTEBOOKS:
        assert cells(path, "code")[:3] == first, path.stem


def test_one_place_says_where_the_repository_is():
    for path in NOTEBOOKS:
        assert f'REPOSITORY = "{repository()}"' in cells(path, "code")[1]
        named = re.findall(r"github\.com/([\w-]+/[\w-]+)", path.read_text(encoding="utf-8"))
        assert set(named) <= {repository()}, path.stem
    pages = [ROOT / "README.md", ROOT / "docs" / "index.md"]
    for page in pages:
        linked = re.findall(
            r"https://colab\.research\.google\.com/github/([^)]*?)\.ipynb", page.read_text(encoding="utf-8")
        )
        places = [f"{repository()}/blob/main/experiments/notebooks/{path.stem}" for path in NOTEBOOKS]
        assert sorted(linked) == places, page.name
