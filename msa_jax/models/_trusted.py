"""Trust in the module of a model that a run names: whether it may be imported, which executes it.

A run's folder may come from anybody, and with it the name of its model. One of this package is safe; another
one is imported only where the user has chosen it: it is installed, on PYTHONPATH, beside the script that the
user has started, or imported already. What merely lies in the working folder does not count, although Python
may look for modules there, and what lies in the run's folder never counts, by whatever dotted name it can be
reached.
"""

import contextlib
import importlib
import os
import sys
from collections.abc import Iterable, Iterator
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path

from msa_jax.errors import UserError


def check(name: str, folder: Path) -> None:
    """Refuses to import a model that a run names and the user has not; nothing is imported for that.

    Args:
      name: the dotted path of a module outside of this package.
      folder: of the run.

    Raises:
      UserError: when the module or a package above it lies in that folder, or is found only beside it, or
        belongs to Python itself, or is a program.
    """
    if name in sys.modules:
        return
    said, folder, chosen = f"the run in {folder} names the model {name}", folder.resolve(), set[Path]()
    if "__main__" in name.split("."):
        raise UserError(f"{said}, which is a program and not a model")
    if name.partition(".")[0] in sys.stdlib_module_names:
        raise UserError(f"{said}, which is a part of Python")
    found = [(part, spec.origin is None, _places(spec)) for part, spec in _found(name)]
    if any(place.is_relative_to(folder) for *_, places in found for place in places):
        raise UserError(
            f"{said}, whose code lies in that folder and is not run; where it is your own, move it "
            "out of there"
        )
    for part, bare, places in found:
        # Without an __init__.py any folder is a package, and the folders of runs in it are its parts.
        if bare and any(folder.is_relative_to(place) for place in places):
            raise UserError(
                f"{said}, and that run lies in the package {part}, which has no __init__.py; where {part} is "
                "your own, give it one, or move the run out of it"
            )
        chosen = chosen or _chosen(part)  # the first part is on Python's path, and the others are in it
        if not all(any(place.is_relative_to(known) for known in chosen) for place in places):
            raise UserError(
                f"{said}, whose code lies in the working folder and is not run; where it is your own, "
                "install its package, put the folder that holds it on PYTHONPATH, or import it first"
            )


def _found(name: str) -> Iterator[tuple[str, ModuleSpec]]:
    """The packages that a dotted path leads through and its module, as far as they are there.

    They are found as the import does it, but nothing is imported: each part is looked for where the one above
    it lies.
    """
    importlib.invalidate_caches()  # what was put there a moment ago is found by the import, too
    parts, where = name.split("."), None
    for count in range(1, len(parts) + 1):
        part = ".".join(parts[:count])
        imported = sys.modules.get(part)
        spec = getattr(imported, "__spec__", None) or _find(part, where)
        if spec is None:
            return  # the import says that there is none
        yield part, spec
        where = getattr(imported, "__path__", spec.submodule_search_locations)
        if where is None:  # a module has no parts
            return


def _find(name: str, where: Iterable[str] | None) -> ModuleSpec | None:
    """Where a module would be imported from, given where the package above it lies."""
    where = None if where is None else list(where)
    for finder in sys.meta_path:
        # This one asks for the package above where the name says that there is one, which is not imported.
        called = name.rpartition(".")[2] if finder is PathFinder else name
        with contextlib.suppress(ImportError, KeyError, ValueError):
            if (find := getattr(finder, "find_spec", None)) and (spec := find(called, where)):
                return spec
    return None


def _places(spec: ModuleSpec | None) -> set[Path]:
    """Where a module lies, or a package with its __init__.py."""
    places = [] if spec is None else [*(spec.submodule_search_locations or ()), spec.origin]
    return {Path(place).resolve() for place in places if place}


def _chosen(top: str) -> set[Path]:
    """Where a module is found by what the user has chosen."""
    places: set[Path] = set()
    for finder in sys.meta_path:  # packages that are installed to be edited have finders of their own
        path = _chosen_path() if finder is PathFinder else None
        if find := getattr(finder, "find_spec", None):
            places |= _places(find(top, path))
    return places


def _chosen_path() -> list[str]:
    """Python's path without the working folder, unless it is there for another reason."""
    here, path = Path.cwd(), [Path(place).resolve() for place in sys.path if place]
    asked = [Path(place).resolve() for place in os.environ.get("PYTHONPATH", "").split(os.pathsep) if place]
    # Python puts it there once; an installation in place names it again.
    chosen = here in asked or path.count(here) > 1 or here == _of_script()
    return [str(place) for place in path if place != here or chosen]


def _of_script() -> Path | None:
    """The folder of the script that the user has started, from which its own modules are imported."""
    main = sys.modules.get("__main__")
    file = getattr(main, "__file__", None)
    started = file is not None and getattr(main, "__spec__", None) is None  # `python -m` gives it one
    return Path(file).resolve().parent if started else None
