"""Documentation against the code: links, commands, keys, variants and the direction of imports."""

import ast
import itertools
import re
from pathlib import Path

import pytest

from msa_jax import config as configs
from msa_jax import models, specs

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
CURRENT = [page for page in PAGES if page.name != "CHANGELOG.md"]  # which names what is gone, too
COMMANDS = [*PAGES, *sorted(ROOT.glob("configs/*.py"))]
base = configs.base


def _name(path):
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_every_relative_link_leads_to_a_file(page):
    links = re.findall(r"\]\(([^)\s#]+)[^)]*\)", page.read_text("utf-8"))
    missing = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert not missing


@pytest.mark.parametrize("file", COMMANDS, ids=_name)
def test_every_config_named_exists_with_its_variants(file):
    text = file.read_text("utf-8")
    specs = re.findall(r"\bconfigs/\w+\.py(?:(?::\w+)*)", text)
    families = re.findall(r"`(?:configs/)?(\w+)_\{([\w,]+)\}(?:\.py)?`", text)
    specs += re.findall(r"--config=([a-z]+_[a-z]+(?::\w+)*)(?![\w./])", text)  # the short form
    specs += [f"configs/{model}_{corpus}.py" for model, names in families for corpus in names.split(",")]
    for spec in specs:
        if spec != "configs/base.py":
            configs.load(spec)


@pytest.mark.parametrize("path", specs.shipped_files(), ids=_name)
def test_a_config_shows_the_command_that_runs_it(path):
    shown = re.findall(r"--config=(\S+)", ast.get_docstring(ast.parse(path.read_text("utf-8"))))
    assert shown == [_name(path)]


@pytest.mark.parametrize("page", CURRENT, ids=_name)
def test_every_key_named_is_a_key_of_some_config(page):
    known = set(itertools.chain.from_iterable(configs.keys(base.config(name)) for name in models.names()))
    text = page.read_text("utf-8")
    sections = "|".join(sorted(key for key in known if any(k.startswith(f"{key}.") for k in known)))
    named = re.findall(r"--config\.([a-z][\w.]*)", text)
    named += re.findall(rf"`((?:{sections})\.[a-z][\w.]*)[`=]", text)
    assert not [key for key in named if key not in known and not key.endswith(".py")]


@pytest.mark.parametrize("name", [*models.names(), "all"])
def test_every_variant_is_documented(name):
    page = (ROOT / "docs" / "models.md").read_text("utf-8")
    row = re.search(rf"^\| `?{name}`? \|(.*)$", page, re.M)
    if row is None and name not in page.lower():
        pytest.skip(f"docs/models.md does not mention the model and has no row of the variants of {name} yet")
    assert row is not None
    shared = set(base.VARIANTS)
    declared = shared if name == "all" else set(models.find(name).variants) - shared
    assert set(re.findall(r"`:(\w+)`", row[1])) == declared


def test_the_reference_shows_the_common_keys():
    page = (ROOT / "docs" / "reference" / "configs.md").read_text("utf-8")
    assert '\n--8<-- "configs/base.py"\n' in page


def test_the_readme_is_a_page():
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= 130


def test_the_readme_holds_one_test_command():
    block = re.findall(
        r"<!-- test command -->\n```sh\n(.*?)```\n", (ROOT / "README.md").read_text("utf-8"), re.S
    )
    assert len(block) == 1
    assert block[0].startswith('pip install ".[test]"')
    assert "python -m pytest" in block[0]


def _ranks():
    """The place of each room in the list of docs/architecture.md."""
    page = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    part = page.split("## Direction of imports")[1].split("\n## ")[0]
    lines = re.findall(r"^(\d+)\. (.*)$", part, re.M)
    return {room: int(rank) for rank, line in lines for room in re.findall(r"`(\w+)`", line)}


def _imports(path):
    """Rooms that a file imports from, late imports included."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == "msa_jax":
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("msa_jax."):
            yield node.module.split(".")[1]
        elif isinstance(node, ast.Import):
            yield from (a.name.split(".")[1] for a in node.names if a.name.startswith("msa_jax."))


def test_rooms_import_only_from_rooms_above_them():
    ranks, package = _ranks(), ROOT / "msa_jax"
    entry_points = {package / "__init__.py", package / "data" / "__main__.py"}
    wrong = []
    for path in sorted({*package.rglob("*.py"), *(ROOT / "configs").glob("*.py")} - entry_points):
        inside = path.is_relative_to(package)  # configs/base.py is a part of the room config
        room = path.relative_to(package).parts[0].removesuffix(".py") if inside else "config"
        wrong += [
            (_name(path), other) for other in _imports(path) if other != room and ranks[other] >= ranks[room]
        ]
    assert not wrong
