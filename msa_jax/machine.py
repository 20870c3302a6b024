"""Machine: whether JAX can start on it as its variables ask, and which devices it has."""

import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from msa_jax.errors import UserError, counted
from msa_jax.processes import Group

_PROBE = "import jax; jax.devices()"
_DEVICES = ("JAX_PLATFORMS", "JAX_PLATFORM_NAME")  # variables that ask for a kind of device
_PATIENCE = 55  # seconds; XLA makes as many devices as a flag says, and a start takes a few


def check() -> None:
    """Starts JAX, and does nothing where it has started already.

    Raises:
      UserError: when a variable of the environment asks for a device or a flag that there is not; names it.
    """
    if "jax" not in sys.modules:
        check_flags()
    try:
        import jax

        from msa_jax.process import keep_memory

        keep_memory()  # before there is a backend, which reads then how it is to run
        jax.devices()
    except (AssertionError, RuntimeError, ValueError) as e:
        raise UserError(_explained(str(e))) from None


def _explained(error: str) -> str:
    asked = _asking(error)
    wrong = next((name for name in sorted(os.environ) if name.startswith("JAX_") and name in error), None)
    flag = re.search(r"JAX flag (jax_\w+)", error)
    if flag and flag[1].upper() in os.environ:
        wrong = flag[1].upper()
    if wrong and wrong not in _DEVICES:
        return f"{wrong}={os.environ[wrong]}: JAX does not know this value; unset it (unset {wrong})"
    if asked:
        return (
            f"{asked}={os.environ[asked]}: JAX finds no such device here; unset it (unset {asked}) to use "
            'what there is, or install JAX for it (NVIDIA: pip install "msa_jax[cuda]")'
        )
    return f"JAX cannot start: {next(iter(error.splitlines()), 'no device')[:300]}"


def _asking(error: str) -> str | None:
    """The name of the variable that asks for a device that there is not; None where none asks for any."""
    names = [name for name in _DEVICES if os.environ.get(name)]
    # JAX starts what the first names, and then looks there for what the second names.
    return (names[-1] if "Unknown backend" in error else names[0]) if names else None


def check_flags() -> None:
    """Has another process try XLA_FLAGS, before JAX is imported: XLA ends a process at flags it cannot use.

    Raises:
      UserError: when it cannot use them.
    """
    if not (flags := os.environ.get("XLA_FLAGS", "").strip()):
        return
    cpu = {**os.environ, "JAX_PLATFORMS": "cpu"}
    if (failed := _tried(cpu)) is None:
        return
    without = {name: value for name, value in cpu.items() if name != "XLA_FLAGS"}
    if _tried(without) is None:  # otherwise it is not the flags
        raise UserError(f"XLA_FLAGS={flags}: {_wrong_flag(failed)}")


def _tried(environment: Mapping[str, str]) -> str | None:
    """What JAX has to say where it does not start with these variables; None where it does."""
    command = [sys.executable, "-c", _PROBE]
    try:
        done = subprocess.run(
            command,
            env=environment,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=_PATIENCE,
        )
    except subprocess.TimeoutExpired:
        return f"it has not started after {_PATIENCE} seconds"
    return (done.stderr.strip() or f"it ended with code {done.returncode}") if done.returncode else None


def _wrong_flag(said: str) -> str:
    """What is wrong with XLA_FLAGS, and the mend, from what JAX or XLA said."""
    if unknown := re.search(r"Unknown flags? in XLA_FLAGS: (.*)", said):
        return f"XLA does not know {unknown[1].strip()}; take it out of XLA_FLAGS"
    if value := re.search(r"Couldn't interpret value (.*) for flag (\w+)", said):
        return f"XLA does not take {value[1]} for --{value[2]}; correct it, or take it out of XLA_FLAGS"
    if "Could not open file" in said:
        return (
            "XLA takes what does not begin with -- for a file of flags, and cannot open it; write "
            "--flag=value (separated by spaces), or unset it (unset XLA_FLAGS)"
        )
    reason = said.splitlines()[-1][:300]
    return f"JAX does not start with these flags ({reason}); correct them, or unset them (unset XLA_FLAGS)"


def introduce(group: Group) -> str:
    """Says which processes there are, and how many devices they have."""
    import jax

    here = counted(jax.local_device_count(), "{device|devices}")
    return (
        f"process {group.process} of {group.processes} (from {group.source}), met at "
        f"{group.host}:{group.port}: {here} in this process, {jax.device_count()} in all"
    )


def unused_devices(used: Sequence[Any]) -> str | None:
    """Says which devices of this process a run leaves idle; None where it uses them all.

    Args:
      used: the devices of this process that it uses.
    """
    import jax

    others = [device for device in jax.local_devices() if device not in used]
    if not others:
        return None
    names = ", ".join(str(device) for device in others[:8]) + (", ..." if len(others) > 8 else "")
    return f"the run uses {counted(len(used), '{device|devices}')} and leaves {len(others)} unused: {names}"
