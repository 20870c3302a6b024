"""Answers of the program to hostile inputs, each in its own process: code, output, seconds and memory."""

import contextlib
import dataclasses
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_LIMIT = 60  # seconds for one input


@dataclasses.dataclass(frozen=True)
class Answer:
    """What the program did with an input.

    Attributes:
      code: its exit code; -9 where it did not end in time.
      stdout, stderr: what it printed, as bytes would reach a terminal.
      seconds: how long it took.
      memory: bytes that it took beyond those that it had at the start.
    """

    code: int
    stdout: str
    stderr: str
    seconds: float
    memory: int


def of_inspector(commands: Sequence[Sequence[str | Path]], **environment: str) -> list[Answer]:
    """What `python -m msa_jax.data` answers to each list of arguments; imports are done once for all."""
    command = [sys.executable, "-m", "tests.attack.answers"]
    lines = "\n".join(json.dumps([os.fspath(argument) for argument in given]) for given in commands)
    done = subprocess.run(
        command,
        input=lines,
        cwd=ROOT,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=_LIMIT * max(1, len(commands)),
    )
    return [Answer(**json.loads(line)) for line in done.stdout.splitlines()]


def _answer(arguments: list[str]) -> Answer:
    """Forks, and lets the child inspect."""
    read_out, write_out = os.pipe()
    read_err, write_err = os.pipe()
    since = time.monotonic()
    if not (child := os.fork()):
        os.dup2(write_out, 1)
        os.dup2(write_err, 2)
        for end in (read_out, write_out, read_err, write_err):
            os.close(end)
        _inspect(arguments)
    os.close(write_out)
    os.close(write_err)
    stdout, stderr = _drained(child, read_out, read_err)
    _, status, used = os.wait4(child, 0)
    taken = used.ru_maxrss * 1024 - _resident()
    return Answer(os.waitstatus_to_exitcode(status), stdout, stderr, time.monotonic() - since, max(0, taken))


def _inspect(arguments: list[str]) -> None:
    """In the child; never returns."""
    import signal

    from msa_jax.inspect.command import main

    signal.alarm(_LIMIT)
    code = 99
    try:
        code = main(arguments)
        sys.stdout.flush()
        sys.stderr.flush()
    except SystemExit as error:
        code = int(error.code or 0)
    except BaseException:
        import traceback

        traceback.print_exc()
        sys.stderr.flush()
    os._exit(code)


def _drained(child: int, *ends: int) -> list[str]:
    import selectors

    found = {end: b"" for end in ends}
    with contextlib.closing(selectors.DefaultSelector()) as waiting:
        for end in ends:
            waiting.register(end, selectors.EVENT_READ)
        while waiting.get_map():
            for key, _ in waiting.select():
                piece = os.read(key.fd, 1 << 16)
                found[key.fd] += piece
                if not piece:
                    waiting.unregister(key.fd)
                    os.close(key.fd)
    return [text.decode("utf-8", "surrogateescape") for text in found.values()]


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def main() -> None:
    """Reads lists of arguments in JSON, one a line; prints an answer a line."""
    import msa_jax.inspect.advice
    import msa_jax.inspect.report  # noqa: F401

    for line in sys.stdin.read().splitlines():
        print(json.dumps(dataclasses.asdict(_answer(json.loads(line)))), flush=True)


if __name__ == "__main__":
    main()
