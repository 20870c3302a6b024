"""Meeting of the processes of a job: they come together before JAX starts, and each knows when another ends.

The first process waits at an address for the others; the connections stay open. Where a process dies its
system closes them, so that the others end at once, in one line, in place of waiting in a collective for ever.
JAX's own service is told where to listen once all are there, and has nothing left to complain of.
"""

import atexit
import contextlib
import json
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from msa_jax import terminal
from msa_jax.errors import UserError
from msa_jax.processes import Group

PATIENCE = 120.0  # seconds that processes wait for each other at the start
_LAST = 60.0  # seconds that they wait for each other at the end
_RESUMES = "the same command again resumes"
_LONGEST = 1 << 16  # bytes of a message


class _Line:
    """A connection that carries one JSON object a line."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._file = connection.makefile("r", encoding="utf-8", newline="\n")
        self._lock = threading.Lock()
        # A machine that is gone closes nothing: the system asks for signs of life.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in (("TCP_KEEPIDLE", 10), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 4)):
            if hasattr(socket, name):
                connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)

    def send(self, **message: Any) -> None:
        with self._lock, contextlib.suppress(OSError):  # who is gone is heard of by `receive`
            self._socket.sendall((json.dumps(message) + "\n").encode())

    def receive(self, seconds: float | None = None) -> dict[str, Any] | None:
        """The next message; None where the other has closed, or said something else, or says nothing."""
        self._socket.settimeout(seconds)
        try:
            message = json.loads(self._file.readline(_LONGEST))
        except (OSError, ValueError):
            return None
        return message if isinstance(message, dict) else None

    def close(self) -> None:
        self._file.close()
        self._socket.close()


class Meeting:
    """The connections of this process to the others: of the first to all, of each other to the first."""

    def __init__(self, group: Group, lines: dict[int, _Line], port: int) -> None:
        self.group, self.port = group, port
        self._lines, self._first = lines, threading.Lock()
        self._ending, self._ended = threading.Event(), threading.Event()
        self._waiting = {process: threading.Event() for process in lines}
        for process in lines:
            threading.Thread(target=self._listen, args=(process,), daemon=True).start()

    def _listen(self, process: int) -> None:
        message = self._lines[process].receive()
        if message is not None and "ended" in message:
            self._waiting[process].set()
            if self._ending.wait(_LAST):
                return
            message = {"failed": f"process {process} has ended before the others"}  # by a signal at the start
        self._first.acquire()  # for good: what follows is said once, though every connection may end
        if self._ended.is_set():
            return
        why = str((message or {}).get("failed") or "")
        why = why or f"process {process} has ended (it was killed, or its machine is gone)"
        self.tell(why)
        line = terminal.line(f"msa_jax: {why}; process {self.group.process} ends, too; {_RESUMES}")
        with contextlib.suppress(OSError):
            os.write(2, f"{line}\n".encode())
        os._exit(2)  # the job waits in a collective, from which nothing can call it back

    def tell(self, why: str) -> None:
        """Tells the others that the job has failed; what they answer to that is not listened to."""
        self._ended.set()
        for line in self._lines.values():
            line.send(failed=why)

    def end(self, leave: Callable[[], None] = lambda: None) -> None:
        """Ends in order: the first process, whose JAX serves the others, waits until all others have left.

        Args:
          leave: what to do before the others are told, or, in the first process, after all have ended.
        """
        self._ending.set()
        if self.group.process:
            leave()
            self._ended.set()
            self._lines[0].send(ended=True)
        else:
            for waiting in self._waiting.values():
                waiting.wait(_LAST)
            self._ended.set()
            leave()
        for line in self._lines.values():
            line.close()


def meet(group: Group, facts: Mapping[str, list[str]], *, patience: float = PATIENCE) -> Meeting:
    """Waits for the other processes.

    Args:
      group: this process and where they meet.
      facts: what must be the same in all of them, by name, such as the version: words, in order.
      patience: seconds to wait.

    Raises:
      UserError: when they do not come, are others than the group says, or the address cannot be used.
    """
    return _as_first(group, facts, patience) if group.process == 0 else _as_other(group, facts, patience)


def _as_first(group: Group, facts: Mapping[str, list[str]], patience: float) -> Meeting:
    where = f"{group.host}:{group.port}"
    try:
        server = socket.create_server(("", group.port))
    except OSError as e:
        raise UserError(
            f"process 0 cannot wait for the others at port {group.port} ({_reason(e)}); name a free one by "
            "--coordinator=HOST:PORT, the same in all processes"
        ) from None
    lines: dict[int, _Line] = {}
    until = time.monotonic() + patience
    with server:
        while len(lines) < group.processes - 1:
            server.settimeout(max(until - time.monotonic(), 0.01))
            try:
                connection, _ = server.accept()
            except TimeoutError:
                missing = sorted(set(range(1, group.processes)) - set(lines))
                why = (
                    f"of {group.processes} processes those of the numbers "
                    f"{', '.join(map(str, missing))} have not come to {where} within {patience:.0f} s; start "
                    "them, or name fewer by --processes"
                )
                _refuse(lines.values(), why)
            line = _Line(connection)
            if (came := line.receive(10.0)) is None or not isinstance(came.get("process"), int):
                line.close()  # not one of ours
                continue
            if why := _wrong(group, facts, came, lines):
                _refuse([*lines.values(), line], why)
            lines[came["process"]] = line
    port = _free_port(group.port + 1)
    for line in lines.values():
        line.send(port=port)
    return Meeting(group, lines, port)


def _refuse(lines: Iterable[_Line], why: str) -> None:
    for line in lines:
        line.send(failed=why)
        line.close()
    raise UserError(why)


def _wrong(
    group: Group, facts: Mapping[str, list[str]], came: dict[str, Any], there: dict[int, _Line]
) -> str | None:
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


def _as_other(group: Group, facts: Mapping[str, list[str]], patience: float) -> Meeting:
    until = time.monotonic() + patience
    where = f"{group.host}:{group.port}"
    while True:
        try:
            connection = socket.create_connection((group.host, group.port), timeout=5.0)
            break
        except OSError as e:
            if time.monotonic() > until:
                raise UserError(
                    f"process {group.process} has not found process 0 at {where} within {patience:.0f} s "
                    f"({_reason(e)}); start it, or name where it is by --coordinator=HOST:PORT"
                ) from None
            time.sleep(0.2)
    line = _Line(connection)
    line.send(process=group.process, processes=group.processes, facts=facts)
    message = line.receive(max(until - time.monotonic(), 0.0) + 15.0)
    if message is None or not isinstance(message.get("port"), int):
        line.close()
        why = (message or {}).get("failed") or f"process 0 at {where} has ended before all had come"
        raise UserError(str(why))
    return Meeting(group, {0: line}, message["port"])


def _reason(error: OSError) -> str:
    """The system's words alone; Python's own also repeat the address."""
    return os.strerror(error.errno) if error.errno else str(error)


def _free_port(wanted: int) -> int:
    """The wanted port where it is free, else any."""
    for port in (wanted, 0):
        with contextlib.suppress(OSError), socket.create_server(("", port)) as server:
            return server.getsockname()[1]
    raise UserError("there is no free port on the machine of process 0")


@contextlib.contextmanager
def joined(group: Group | None, facts: Mapping[str, list[str]]) -> Iterator[None]:
    """Within it JAX has the devices of all processes of the group; None: of this one alone.

    Raises:
      UserError: as `meet`.
    """
    if group is None:
        yield
        return
    meeting = meet(group, facts)
    try:
        _start_jax(meeting)
        yield
    except Exception as e:
        said = str(e) if isinstance(e, UserError) else f"it raised {type(e).__name__}"
        meeting.tell(f"process {group.process} has failed: {said}")
        # The others end at once, and JAX would wait for them when this process ends.
        atexit.register(_leave, 2 if isinstance(e, UserError) else 1)
        raise
    except BaseException:  # a signal that all have agreed on, or that ends this one
        meeting.end(_stop_jax)
        raise
    meeting.end(_stop_jax)


def _leave(code: int) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _start_jax(meeting: Meeting) -> None:
    if os.environ.get("TF_CPP_MIN_LOG_LEVEL", "1") == "1":
        os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"  # it warns of what the next lines choose
    import jax

    group = meeting.group
    jax.config.update("jax_enable_preemption_service", False)  # it would take SIGTERM from `stopping`
    # JAX would abort a process in many lines when another has ended; the meeting ends it in one.
    jax.config.update("jax_enable_recoverability", True)
    # On CPU two programs that run at once would mix up what they send to each other.
    jax.config.update("jax_cpu_enable_async_dispatch", False)
    seen = [d for d in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if d]
    # One process for each GPU of a machine, unless the launcher has given each its own.
    mine = None if group.local is None or len(seen) == 1 else [group.local]
    jax.distributed.initialize(
        coordinator_address=f"{group.host}:{meeting.port}",
        num_processes=group.processes,
        process_id=group.process,
        local_device_ids=mine,
        cluster_detection_method="deactivate",
        heartbeat_timeout_seconds=100,  # the meeting is quicker to notice
        shutdown_timeout_seconds=30,
    )


def _stop_jax() -> None:
    import jax

    jax.distributed.shutdown()
