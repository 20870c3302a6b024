"""Meeting of the processes of a job, before JAX starts.

The first process waits at an address for the others, and the connections stay open for `watch`. JAX's own
service is told where to listen once all are there, and has nothing left to complain of.
"""

import contextlib
import json
import os
import socket
import threading
import time
from collections.abc import Iterable, Mapping
from typing import Any

from msa_jax import stopping
from msa_jax.errors import UserError
from msa_jax.processes import Group

PATIENCE = 120.0  # seconds that the first process waits for the others, and they for it
_SLICE = 0.5  # seconds between two looks at whether a signal has come
_LONGEST = 1 << 16  # bytes of a message
Facts = Mapping[str, list[str]]


class Line:
    """A connection that carries one JSON object a line."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._rest = b""
        self._lock = threading.Lock()
        # A machine that is gone closes nothing: the system asks for signs of life.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in (("TCP_KEEPIDLE", 10), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 4)):
            if hasattr(socket, name):
                connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)

    def send(self, **message: Any) -> None:
        """Sends a message; who is gone is heard of by `receive`."""
        with self._lock, contextlib.suppress(OSError):
            self._socket.settimeout(None)
            self._socket.sendall((json.dumps(message) + "\n").encode())

    def receive(self, seconds: float | None = None) -> dict[str, Any] | None:
        """The next message; None where the other has closed, or said something else.

        Args:
          seconds: to wait; None: for ever.

        Raises:
          TimeoutError: when there is none by then.
        """
        try:
            while b"\n" not in self._rest:
                self._socket.settimeout(seconds)
                got = self._socket.recv(_LONGEST)
                self._rest += got
                if not got or len(self._rest) > _LONGEST:
                    return None
            line, _, self._rest = self._rest.partition(b"\n")
            message = json.loads(line)
        except TimeoutError:
            raise
        except (OSError, ValueError):
            return None
        return message if isinstance(message, dict) else None

    def is_closed(self) -> bool:
        """Whether the other side has gone, where nothing is waited for from it."""
        try:
            self._socket.settimeout(0)
            return self._socket.recv(1, socket.MSG_PEEK) == b""
        except BlockingIOError:
            return False
        except OSError:
            return True

    def close(self) -> None:
        """Closes it; who waits in `receive` gets None."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


def meet(group: Group, facts: Facts, *, patience: float = PATIENCE) -> tuple[dict[int, Line], int]:
    """Waits for the other processes; a signal ends the wait.

    Args:
      group: this process and where they meet.
      facts: what must be the same in all of them, by name, such as the version: words, in order.
      patience: seconds to wait.

    Returns:
      (connections by process: of the first to all others, of each other to the first; the port of JAX).

    Raises:
      UserError: when they do not come, are others than the group says, or the address cannot be used.
      Stopped: when a signal has asked for it.
    """
    return _as_first(group, facts, patience) if group.process == 0 else _as_other(group, facts, patience)


def _as_first(group: Group, facts: Facts, patience: float) -> tuple[dict[int, Line], int]:
    lines: dict[int, Line] = {}
    until = time.monotonic() + patience
    with _server(group.port, "port {port} ({why}); name a free one by --coordinator=HOST:PORT") as server:
        while len(lines) < group.processes - 1:
            if time.monotonic() > until:
                missing = ", ".join(map(str, sorted(set(range(1, group.processes)) - set(lines))))
                why = (
                    f"of {group.processes} processes those of the numbers {missing} have not come to "
                    f"{group.host}:{group.port} within {patience:.0f} s; start them, or name fewer by "
                    "--processes"
                )
                _refuse(lines.values(), why)
            if (line := _next(server)) is None:
                _stop_in_order(lines)
                continue
            _let_in(group, facts, line, lines)
    port = _free_port(group.port + 1)
    for line in lines.values():
        line.send(port=port)
    return lines, port


def _server(port: int, complaint: str) -> socket.socket:
    both = socket.has_dualstack_ipv6()
    try:
        family = socket.AF_INET6 if both else socket.AF_INET
        return socket.create_server(("", port), family=family, dualstack_ipv6=both)
    except OSError as e:
        said = complaint.format(port=port, why=_reason(e))
        raise UserError(
            f"process 0 cannot wait for the others at {said}, the same in all processes"
        ) from None


def _next(server: socket.socket) -> Line | None:
    server.settimeout(_SLICE)
    try:
        return Line(server.accept()[0])
    except TimeoutError:
        return None


def _stop_in_order(lines: Mapping[int, Line]) -> None:
    """Stops where a signal has asked for it, and tells those who have come."""
    try:
        stopping.check()
    except stopping.Stopped:
        for line in lines.values():
            line.send(failed="process 0 was stopped by a signal before all had come")
            line.close()
        raise


def _let_in(group: Group, facts: Facts, line: Line, lines: dict[int, Line]) -> None:
    """Adds a process that has come; turns away who is not one of the job."""
    try:
        came = line.receive(10.0)
    except TimeoutError:
        came = None
    if came is None or not isinstance(came.get("process"), int):
        line.close()
        return
    if came.get("job") != group.job:  # of another job, which has met at the same port by chance
        line.send(failed=f"another job meets at port {group.port}; name another by --coordinator=HOST:PORT")
        line.close()
        return
    if (before := lines.get(came["process"])) is not None and before.is_closed():
        lines.pop(came["process"]).close()  # it was started again
    if why := _wrong(group, facts, came, lines):
        _refuse([*lines.values(), line], why)
    lines[came["process"]] = line


def _refuse(lines: Iterable[Line], why: str) -> None:
    for line in lines:
        line.send(failed=why)
        line.close()
    raise UserError(why)


def _wrong(group: Group, facts: Facts, came: dict[str, Any], there: dict[int, Line]) -> str | None:
    process = came["process"]
    if came.get("processes") != group.processes:
        return (
            f"process {process} was told that there are {came.get('processes')} processes, and process 0 "
            f"that there are {group.processes}; say the same --processes to all"
        )
    if process in there or not 0 < process < group.processes:
        return f"two processes have the number {process}; give each a --process of its own"
    others = came.get("facts") or {}
    for name, words in facts.items():
        theirs = others.get(name) or []
        if theirs != words:
            first, second = ([w for w in a if w not in b] for a, b in ((words, theirs), (theirs, words)))
            return (
                f"{name} differs: process 0 has {' '.join(first) or 'less'}, process {process} has "
                f"{' '.join(second) or 'less'}; start all processes with the same command and version"
            )
    return None


def _as_other(group: Group, facts: Facts, patience: float) -> tuple[dict[int, Line], int]:
    where = f"{group.host}:{group.port}"
    line = _connected(group, time.monotonic() + patience, patience)
    line.send(process=group.process, processes=group.processes, job=group.job, facts=facts)
    message: dict[str, Any] | None = None
    while True:  # the first process counts the time, and says so
        try:
            message = line.receive(_SLICE)
            break
        except TimeoutError:
            stopping.check()
    if message is None or not isinstance(message.get("port"), int):
        line.close()
        raise UserError(
            str((message or {}).get("failed") or f"process 0 at {where} ended before all had come")
        )
    return {0: line}, message["port"]


def _connected(group: Group, until: float, patience: float) -> Line:
    while True:
        try:
            return Line(socket.create_connection((group.host, group.port), timeout=5.0))
        except OSError as e:
            if isinstance(e, socket.gaierror):  # a name that does not exist is not waited for
                raise UserError(
                    f"process {group.process} knows no machine {group.host!r} ({_reason(e)}); correct the "
                    "name of the machine of process 0 in --coordinator=HOST:PORT"
                ) from None
            if time.monotonic() > until:
                raise UserError(
                    f"process {group.process} has not found process 0 at {group.host}:{group.port} within "
                    f"{patience:.0f} s ({_reason(e)}); start it, or name where it is by "
                    "--coordinator=HOST:PORT"
                ) from None
            stopping.check()
            time.sleep(_SLICE / 2)


def _reason(error: OSError) -> str:
    """The system's words alone; Python's own also repeat the address."""
    if isinstance(error, socket.gaierror) or not error.errno:
        return error.strerror or str(error)
    return os.strerror(error.errno)


def _free_port(wanted: int) -> int:
    """The wanted port where it is free, else any."""
    with contextlib.suppress(UserError), _server(wanted, "") as server:
        return server.getsockname()[1]
    with _server(0, "any port ({why})") as server:
        return server.getsockname()[1]
