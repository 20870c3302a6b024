"""Answers of the program to hostile inputs, each in its own process: code, output, seconds and memory."""

import contextlib
import dataclasses
import itertools
import json
import os
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
      code: its exit code; -14 where it did not end in time.
      stdout, stderr: what it printed, as bytes would reach a terminal.
      seconds: how long it took.
      memory: bytes that the process took, imports among them.
    """

    code: int
    stdout: str
    stderr: str
    seconds: float
    memory: int


def of_inspector(
    commands: Sequence[Sequence[str | Path]], encodings: Sequence[str] = ("utf-8",)
) -> list[Answer]:
    """What `python -m msa_jax.data` answers to each list of arguments, on a console of each encoding.

    Imports are done once for all.
    """
    command = [sys.executable, "-m", "tests.attack.answers"]
    given = [[os.fspath(argument) for argument in arguments] for arguments in commands]
    lines = "\n".join(json.dumps(both) for both in itertools.product(encodings, given))
    done = subprocess.run(
        command,
        input=lines,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=_LIMIT * len(encodings) * max(1, len(commands)),
    )
    return [Answer(**json.loads(line)) for line in done.stdout.splitlines()]


def _answer(encoding: str, arguments: list[str]) -> Answer:
    """Forks, and lets the child inspect."""
    read_out, write_out = os.pipe()
    read_err, write_err = os.pipe()
    since = time.monotonic()
    if not (child := os.fork()):
        os.dup2(write_out, 1)
        os.dup2(write_err, 2)
        for end in (read_out, write_out, read_err, write_err):
            os.close(end)
        _inspect(encoding, arguments)
    os.close(write_out)
    os.close(write_err)
    stdout, stderr = _drained(child, read_out, read_err)
    _, status, used = os.wait4(child, 0)
    code, seconds = os.waitstatus_to_exitcode(status), time.monotonic() - since
    return Answer(code, stdout, stderr, seconds, used.ru_maxrss * 1024)


def _inspect(encoding: str, arguments: list[str]) -> None:
    """In the child; never returns."""
    import signal

    from msa_jax.inspect.command import main

    signal.alarm(_LIMIT)
    sys.stdout = open(1, "w", encoding=encoding, errors="strict", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding=encoding, errors="backslashreplace", closefd=False)  # noqa: SIM115
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


def main() -> None:
    """Reads encodings and lists of arguments in JSON, one a line; prints an answer a line."""
    import msa_jax.inspect.advice
    import msa_jax.inspect.report  # noqa: F401

    for line in sys.stdin.read().splitlines():
        print(json.dumps(dataclasses.asdict(_answer(*json.loads(line)))), flush=True)


if __name__ == "__main__":
    main()
