"""Circumstances of a run: versions, device, git commit of the code, the command."""

import contextlib
import datetime
import importlib.metadata
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax

PACKAGES = (
    "msa_jax", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "grain", "tensorflow-datasets",
    "transformers", "tokenizers", "numpy", "scikit-learn",
)  # fmt: skip


def environment() -> dict[str, Any]:
    """The circumstances of a run: versions, device, git commit of the code, the command."""
    versions = {}
    for package in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[package] = importlib.metadata.version(package)
    return {
        "versions": versions,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "device": f"{jax.device_count()} x {jax.devices()[0].device_kind}",
        "git_commit": _git_commit(),
        "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": sys.argv[1:],
    }


def _git_commit() -> str | None:
    """The commit of this code; None where it is installed, maybe inside a repository that is not ours."""
    checkout = Path(__file__).parents[1]
    if not (checkout / ".git").exists():
        return None
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40"]
    try:
        found = subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=False)
    except FileNotFoundError:  # no git on this machine
        return None
    return found.stdout.strip() or None
