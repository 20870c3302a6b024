"""Watch over the processes of a job: each hears at once when another has ended, and why.

Where a process dies its system closes its connections, so that the others end in one line, in place of
waiting in a collective for ever. The first process passes on what it hears.
"""

import atexit
import contextlib
import os
import re
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any

from msa_jax import errors, stopping, terminal
from msa_jax.errors import UserError
from msa_jax.meeting import Facts, Line, meet
from msa_jax.processes import Group

# Seconds that a process has to end by itself once another has failed; the first one may be saving.
_GRACE = {"first": 60.0, "other": 10.0}
_CAUSE = 40.0  # seconds that an error of a collective waits for the news of who has died
_OF_COLLECTIVES = {"gloo", "nccl", "coordination", "peer", "heartbeat", "heartbeats"}  # words of their errors
_RESUMES = "; the same command again resumes"


class Watch:
    """What this process hears of the others, and what they hear of it."""

    def __init__(self, group: Group, lines: Mapping[int, Line]) -> None:
        self._group, self._lines = group, lines
        self._speaking = threading.Lock()
        self._left = threading.Event()  # this process has left the job, and ends by itself
        self._over = {process: threading.Event() for process in lines}  # another has left it in order
        self._gone = {process: threading.Event() for process in lines}  # it has ended, in whatever way
        for process in lines:
            threading.Thread(target=self._listen, args=(process,), daemon=True).start()

    def _listen(self, process: int) -> None:
        message = self._lines[process].receive()
        self._hear(process, message)
        while message is not None:
            message = self._lines[process].receive()
        self._gone[process].set()

    def _hear(self, process: int, message: dict[str, Any] | None) -> None:
        died = {"died": f"process {process} has ended (it was killed, or its machine is gone)"}
        message = died if message is None else message
        if message.get("left") == 0:
            self._over[process].set()
            return
        if (number := message.get("stopped")) in stopping.SIGNALS and not self._left.is_set():
            stopping.note(int(number))  # this process may be where it can stop by itself
        if "died" not in message:
            self._left.wait(_GRACE["other" if self._group.process else "first"])
        self._end(process, message)

    def _end(self, process: int, message: Mapping[str, Any]) -> None:
        """Ends this process, whose job waits in a collective, from which nothing can call it back."""
        self._speaking.acquire()  # for good: it is said once, though every connection may end
        if self._left.is_set():
            return
        self._tell(message, but=process)
        number = message.get("stopped")
        why = str(
            message.get("died") or message.get("failed") or f"process {process} was stopped by a signal"
        )
        line = f"msa_jax: {why}; process {self._group.process} ends, too"
        line += _RESUMES if "died" in message or number else ""
        with contextlib.suppress(OSError):
            os.write(2, f"{terminal.line(line)}\n".encode())
        os._exit(128 + int(number) if number else 2)

    def _tell(self, message: Mapping[str, Any], *, but: int | None = None) -> None:
        for process, line in self._lines.items():
            if process != but:
                line.send(**message)

    def leave(self, error: BaseException | None) -> None:
        """Leaves the job, and tells the others.

        Args:
          error: that ends it here; None: it is done.
        """
        if error is not None and not isinstance(error, UserError | OSError | KeyboardInterrupt):
            # The news that another has died says more than the error of the collective that lacked it.
            time.sleep(_CAUSE if _OF_COLLECTIVES & set(re.findall(r"\w+", str(error).lower())) else 0)
        self._left.set()
        if isinstance(error, KeyboardInterrupt):
            code = getattr(error, "code", 130)
            self._tell({"stopped": code - 128})
            atexit.register(self._without_jax, code)
        elif error is not None:
            code, why = errors.exit_of(error)
            self._tell({"failed": f"process {self._group.process} has failed: {why}"})
            atexit.register(self._without_jax, code)

    def done(self) -> None:
        """Ends the connections in order: the first process, whose JAX serves the others, goes last."""
        if self._group.process:
            _stop_jax()
            self._lines[0].send(left=0)
        else:
            for over in self._over.values():
                while not over.wait(1.0):
                    stopping.check()
            _stop_jax()
        for line in self._lines.values():
            line.close()

    def _without_jax(self, code: int) -> None:
        """Ends the process before JAX's own last step, which would wait for the others.

        The first one stays until they have ended: without its JAX, theirs would abort them in many lines.
        """
        sys.stdout.flush()
        sys.stderr.flush()
        until = time.monotonic() + (0.2 if self._group.process else _GRACE["other"] + 5.0)
        for gone in self._gone.values():
            gone.wait(max(until - time.monotonic(), 0.0))
        os._exit(code)


@contextlib.contextmanager
def joined(group: Group | None, facts: Facts) -> Iterator[None]:
    """Within it JAX has the devices of all processes of the group; None: of this one alone.

    Args:
      group: this process and the others.
      facts: as for `meet`.

    Raises:
      UserError: as `meet`.
    """
    if group is None:
        yield
        return
    lines, port = meet(group, facts)
    watch = Watch(group, lines)
    try:
        _start_jax(group, port)
        yield
    except BaseException as e:
        watch.leave(e)
        raise
    watch.leave(None)
    watch.done()


def _start_jax(group: Group, port: int) -> None:
    if os.environ.get("TF_CPP_MIN_LOG_LEVEL", "1") == "1":
        os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"  # it warns of what the next lines choose
    # A proxy for the web would be asked for the way to the first process, and JAX would wait for ever.
    direct = "no_grpc_proxy"
    known = os.environ.get(direct) or os.environ.get("no_proxy") or ""
    os.environ[direct] = ",".join(filter(None, (known, group.host)))
    import jax

    jax.config.update("jax_check_proxy_envs", False)
    jax.config.update("jax_enable_preemption_service", False)  # it would take SIGTERM from `stopping`
    # JAX would abort a process in many lines when another has ended; the watch ends it in one.
    jax.config.update("jax_enable_recoverability", True)
    # On CPU two programs that run at once would mix up what they send to each other.
    jax.config.update("jax_cpu_enable_async_dispatch", False)
    seen = [d for d in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if d]
    # One process for each GPU of a machine, unless the launcher has given each its own.
    mine = None if group.local is None or len(seen) == 1 else [group.local]
    host = f"[{group.host}]" if ":" in group.host else group.host
    jax.distributed.initialize(
        coordinator_address=f"{host}:{port}",
        num_processes=group.processes,
        process_id=group.process,
        local_device_ids=mine,
        cluster_detection_method="deactivate",
        heartbeat_timeout_seconds=100,  # the watch is quicker to notice
        shutdown_timeout_seconds=30,
    )


def _stop_jax() -> None:
    import jax

    jax.distributed.shutdown()
