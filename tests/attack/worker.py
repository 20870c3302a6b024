"""Worker: a process that does one job after the other on what was damaged, and is watched from outside.

The parent's side is `Worker`; the child's is `_serve`. A job that hangs or crashes ends the process, and the
next one gets a new process.
"""

import contextlib
import dataclasses
import json
import os
import selectors
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LIMIT = 60.0  # seconds for a job
_FIRST = 300.0  # and for the first of a process, which has the imports to do


@dataclasses.dataclass(frozen=True)
class Answer:
    """What came of a job.

    Attributes:
      kind: "value"; "line" where the program refused by one line; "trace" where another exception came up, or
        several lines; "hang"; "crash" where the process died.
      text: the value as JSON holds it, the line, or the traceback.
      memory: bytes that the process took beyond those it had before.
      deeds: what the job did beyond reading, as ("code executed", what) for code out of what it was given,
        programs and connections, and ("written", path).
    """

    kind: str
    text: str
    memory: int = 0
    deeds: tuple[tuple[str, str], ...] = ()


class Worker:
    """A process for jobs."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._environment, self._process, self._limit = environment, None, _FIRST

    def ask(self, job: str, *, watched: Path, **arguments: object) -> Answer:
        """Has a job done.

        Args:
          job: the name of a function in `tests.attack.jobs`.
          watched: code out of this folder must not run.
          **arguments: of the function, as JSON holds them.
        """
        if self._process is None:
            self._start()
        request = {"job": job, "watched": str(watched), "arguments": arguments}
        self._process.stdin.write(json.dumps(request, default=str).encode() + b"\n")
        self._process.stdin.flush()
        with selectors.DefaultSelector() as waiting:
            waiting.register(self._process.stdout, selectors.EVENT_READ)
            if not waiting.select(self._limit):
                return self._end("hang", f"{job} {arguments}")
        if not (line := self._process.stdout.readline()):
            return self._end("crash", f"{job} {arguments}")
        self._limit = LIMIT
        answer = json.loads(line)
        return Answer(**{**answer, "deeds": tuple(map(tuple, answer["deeds"]))})

    def _start(self) -> None:
        command = [sys.executable, "-m", "tests.attack.worker"]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(
            command, cwd=ROOT, env=self._environment, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL
        )
        self._limit = _FIRST

    def _end(self, kind: str, text: str) -> Answer:
        process, self._process = self._process, None
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdin.close()
        process.stdout.close()
        return Answer(kind, text)

    def close(self) -> None:
        """Ends the process."""
        if self._process is not None:
            self._end("", "")


@contextlib.contextmanager
def worker(environment: dict[str, str]) -> Iterator[Worker]:
    """A `Worker` that ends with the block."""
    with contextlib.closing(Worker(environment)) as one:
        yield one


_STARTS = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "socket.connect")
_CHANGES = {"os.remove": 1, "os.rename": 2, "os.rmdir": 1, "os.mkdir": 2, "os.symlink": 2, "os.link": 2}
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class _Watch:
    """What Python's audit events tell of the job in hand."""

    def __init__(self) -> None:
        self.deeds: set[tuple[str, str]] = set()
        self.folder: str | None = None
        sys.addaudithook(self._hear)

    def _hear(self, event: str, arguments: tuple) -> None:
        if self.folder is None:
            return
        if event in _STARTS:
            self.deeds.add(("code executed", f"{event} {arguments[:2]}"))
        elif event == "exec":
            source = str(getattr(arguments[0], "co_filename", "<"))
            if source[0] != "<" and self._is_theirs(source):
                self.deeds.add(("code executed", f"{event} {source}"))
        elif event == "ctypes.dlopen" and arguments[0] is not None and self._is_theirs(str(arguments[0])):
            self.deeds.add(("code executed", f"{event} {arguments[0]}"))
        elif event == "open" and isinstance(arguments[2], int) and arguments[2] & _WRITES:
            if isinstance(arguments[0], str | bytes):
                self.deeds.add(("written", os.path.abspath(os.fsdecode(arguments[0]))))
        elif event in _CHANGES:
            folder = arguments[_CHANGES[event]]  # an open folder that the path is relative to, or -1
            base = "." if folder == -1 else os.readlink(f"/proc/self/fd/{folder}")
            self.deeds.add(("written", os.path.abspath(os.path.join(base, os.fsdecode(arguments[0])))))

    def _is_theirs(self, place: str) -> bool:
        return Path(os.path.abspath(place)).is_relative_to(self.folder)


def _memory(key: str) -> int:
    """Bytes of this process: "VmRSS" now, "VmHWM" at most."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith(key)) * 1024


def _serve() -> None:
    """In the child: does the jobs that come as lines of JSON."""
    import platform
    import traceback

    from msa_jax.errors import UserError
    from tests.attack import jobs

    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what the program prints is not an answer
    platform.processor()  # asks a program once, which is not the doing of a job
    watch = _Watch()
    for line in sys.stdin:
        request = json.loads(line)
        before = _memory("VmRSS")
        Path("/proc/self/clear_refs").write_text("5")  # the highest use counts anew
        watch.deeds, watch.folder = set(), request["watched"]
        try:
            kind, text = "value", json.dumps(getattr(jobs, request["job"])(**request["arguments"]))
        except UserError as error:
            text = str(error)
            kind = "line" if text.isprintable() and len(text) <= 2000 else "trace"
        except BaseException:
            kind, text = "trace", traceback.format_exc()
        watch.folder = None
        found = {"kind": kind, "text": text, "memory": _memory("VmHWM") - before, "deeds": list(watch.deeds)}
        answers.write(json.dumps(found) + "\n")
        answers.flush()


if __name__ == "__main__":
    _serve()
