"""Starts of the program: real processes, begun from nothing or forked from one that has done the imports."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests import quick

ROOT = Path(__file__).resolve().parents[2]
LIMIT = 60.0  # seconds after which a process hangs
_HEARD = 1 << (signal.SIGTERM - 1)


def pause() -> None:
    """Waits a little for other processes."""
    time.sleep(0.02)


class Started:
    """A process of the program whose output goes to files."""

    def __init__(self, pid: int, out: Path, err: Path, waited: "subprocess.Popen | Starter") -> None:
        self.pid, self._out, self._err, self._waited = pid, out, err, waited

    @property
    def out(self) -> str:
        """What it has printed until now."""
        return self._out.read_text("utf-8", "replace")

    @property
    def err(self) -> str:
        """What it has printed to stderr until now."""
        return self._err.read_text("utf-8", "replace")

    def code(self) -> int | None:
        """Its exit code, negative where a signal ended it; None while it runs."""
        if isinstance(self._waited, Starter):
            return self._waited.code(self.pid)
        return self._waited.poll()

    def wait(self, limit: float = LIMIT) -> int | None:
        """Its exit code; None where it had to be killed for running longer than the limit in seconds."""
        if self._until(lambda: self.code() is not None, limit):
            return self.code()
        self.send(signal.SIGKILL)
        self._until(lambda: self.code() is not None, LIMIT)
        return None

    def send(self, number: int) -> None:
        """Sends it a signal, unless it has ended."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def until_it_hears(self, limit: float = LIMIT) -> bool:
        """Waits until the program handles signals; whether it does before it ends."""
        return self._until(self._hears, limit) and self._hears()

    def until_said(self, pattern: str, limit: float) -> None:
        """Waits until it has printed something, or has ended."""
        self._until(lambda: re.search(pattern, self.out) is not None, limit)

    def _hears(self) -> bool:
        try:
            status = Path(f"/proc/{self.pid}/status").read_text()
        except OSError:
            return False
        caught = re.search(r"^SigCgt:\s*([0-9a-f]+)", status, re.M)
        return caught is not None and bool(int(caught[1], 16) & _HEARD)

    def _until(self, what, limit: float) -> bool:
        end = time.monotonic() + limit
        while time.monotonic() < end:
            if what():
                return True
            if self.code() is not None:
                return bool(what())
            pause()
        return False


class Starter:
    """A process that has imported the program once, without JAX's backend, and forks one for each command."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.attack.starts"],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._codes: dict[int, int] = {}

    def start(self, argv: Sequence[str], folder: Path, *, size: int | None = None) -> Started:
        """Starts the program.

        Args:
          argv: its arguments.
          folder: where its output goes, in new files.
          size: bytes that a file may have at most.
        """
        out, err = _outputs(folder)
        pid = self._ask(argv=list(argv), out=str(out), err=str(err), size=size)
        return Started(pid, out, err, self)

    def code(self, pid: int) -> int | None:
        """The exit code of a process that it started; None while that runs."""
        if pid not in self._codes and (code := self._ask(pid=pid)) is not None:
            self._codes[pid] = code
        return self._codes.get(pid)

    def _ask(self, **request: object) -> int | None:
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def close(self) -> None:
        """Ends it."""
        self._process.stdin.close()
        self._process.wait(LIMIT)
        self._process.stdout.close()


def start(argv: Sequence[str], folder: Path, environment: dict[str, str]) -> Started:
    """Starts the program from nothing, as a shell does; see `Starter.start`."""
    out, err = _outputs(folder)
    with out.open("wb") as to_out, err.open("wb") as to_err:
        command = [sys.executable, "-m", "msa_jax.main", *argv]
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=to_out, stderr=to_err)
    return Started(process.pid, out, err, process)


@contextlib.contextmanager
def starter(environment: dict[str, str]) -> Iterator[Starter]:
    """A `Starter` that ends with the block."""
    with contextlib.closing(Starter(environment)) as one:
        yield one


def compiled(folder: Path) -> Path:
    """Where processes that work in a folder, and in those beside it, keep compiled programs."""
    return Path(os.environ.get("JAX_COMPILATION_CACHE_DIR", folder.parent / "compiled"))


def home(folder: Path) -> Path:
    """The home of processes that work in a folder, and in those beside it."""
    return folder.parent / "home"


def environment(folder: Path) -> dict[str, str]:
    """The environment of processes that work in a folder: the user's home is not theirs."""
    return {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "HOME": str(home(folder)),
        "JAX_COMPILATION_CACHE_DIR": str(compiled(folder)),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "XLA_FLAGS": " ".join(quick.FLAGS),
    }


def _outputs(folder: Path) -> tuple[Path, Path]:
    folder.mkdir(parents=True, exist_ok=True)
    count = len(list(folder.glob("*.out")))
    out, err = folder / f"{count}.out", folder / f"{count}.err"
    out.touch()
    err.touch()
    return out, err


def _serve() -> None:
    """In the starter: forks, or tells the code of a child, for each line of JSON."""
    import msa_jax.scoring
    import msa_jax.train  # noqa: F401

    for line in sys.stdin:
        request = json.loads(line)
        if (pid := request.get("pid")) is not None:
            ended, status = os.waitpid(pid, os.WNOHANG)
            print(json.dumps(os.waitstatus_to_exitcode(status) if ended else None), flush=True)
        elif child := os.fork():
            print(child, flush=True)
        else:
            _child(**request)


def _child(argv: list[str], out: str, err: str, size: int | None) -> None:
    """What `python -m msa_jax.main` does, in a fork; never returns."""
    import resource

    from msa_jax import stopping
    from msa_jax.main import main

    for place, number in (("/dev/null", 0), (out, 1), (err, 2)):
        os.dup2(os.open(place, os.O_RDWR | os.O_APPEND), number)
    if size is not None:  # what a full disk looks like to who writes a file
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    code = main(argv)
    stopping.deaf()
    sys.exit(code)


if __name__ == "__main__":
    _serve()
