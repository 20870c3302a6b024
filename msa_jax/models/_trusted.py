"""Trust in the module of a model that a run names: whether it may be imported, which executes it.

A run's folder may come from anybody, and with it the name of its model. One of this package is safe; another
one is imported only where the user has chosen it: it is installed, on PYTHONPATH, or imported already. What
merely lies in the working folder does not count, although Python may look for modules there.
"""

import importlib.util
import os
import sys
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path

from msa_jax.errors import UserError


def check(name: str, folder: Path) -> None:
    """Refuses to import a model that a run names and the user has not; nothing is imported for that.

    Args:
      name: the dotted path of a module outside of this package.
      folder: of the run.

    Raises:
      UserError: when the module lies in that folder, or is found only beside it or belongs to Python itself.
    """
    top = name.partition(".")[0]
    if name in sys.modules:
        return
    if top in sys.stdlib_module_names:
        raise UserError(f"the run in {folder} names the model {name}, which is a part of Python")
    try:
        places = _places(importlib.util.find_spec(top))
    except (ImportError, ValueError):  # the import says that there is none
        return
    if any(place.is_relative_to(folder.resolve()) for place in places):
        raise UserError(
            f"the run in {folder} names the model {name}, whose code lies in that folder and is not run; "
            "where it is your own, move it out of there"
        )
    if not places <= _chosen(top):
        raise UserError(
            f"the run in {folder} names the model {name}, whose code lies in the working folder and is not "
            "run; where it is your own, install its package, put the folder that holds it on PYTHONPATH, or "
            "import it first"
        )


def _places(spec: ModuleSpec | None) -> set[Path]:
    """Where a module or a package lies."""
    places = [] if spec is None else [*(spec.submodule_search_locations or [spec.origin])]
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
    chosen = here in asked or path.count(here) > 1
    return [str(place) for place in path if place != here or chosen]
