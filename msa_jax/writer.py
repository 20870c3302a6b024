"""Writer of what is saved while a job goes on: one thread, in order, and never more waiting than is needed.

Where the disk is slower than the saves, a newer one replaces an older one of its kind that has not begun:
otherwise their copies would fill the memory, and what is on the disk would fall ever further behind.
"""

import concurrent.futures
import dataclasses
from collections.abc import Callable
from typing import Any


@dataclasses.dataclass(frozen=True)
class _Save:
    """One save, or another small job where `kind` is "".

    Attributes:
      kind, step: what is saved, and its place in the order of its kind.
      needs: (kind, step) of what must be saved before it; None where there is nothing.
      held: its content, taken out where it is dropped: the executor keeps what it was given until its turn.
      done: its end.
    """

    kind: str
    step: int
    needs: tuple[str, int] | None
    held: list[Any]
    done: concurrent.futures.Future[None]

    def drop(self) -> None:
        """Takes it back, unless it has begun."""
        if self.done.cancel():
            self.held.clear()


class Writer:
    """Saves in the background."""

    def __init__(self, name: str) -> None:
        """Starts nothing yet.

        Args:
          name: of the thread.
        """
        self._thread = concurrent.futures.ThreadPoolExecutor(1, name)
        self._saves: list[_Save] = []

    def save(
        self,
        write: Callable[[Any], None],
        content: Any,
        *,
        kind: str,
        step: int,
        needs: tuple[str, int] | None = None,
    ) -> None:
        """Has something saved after what waits, of which what it replaces is dropped.

        Args:
          write: saves the content, which it is given.
          content: what is saved.
          kind: of an older one of the same kind that has not begun only what another needs is still saved.
          step: its place in the order of its kind.
          needs: (kind, step) of what it needs, where it is still to be saved.

        Raises:
          Exception: what went wrong with an earlier one.
        """
        self._settle()
        held = [content]
        done = self._thread.submit(lambda: write(held.pop()))
        self._saves.append(_Save(kind, step, needs, held, done))
        for one in reversed(self._waiting()):  # the newest first, as what it replaces needs nothing any more
            others = self._waiting()
            needed = any((one.kind, one.step) == other.needs for other in others)
            if not needed and any(one.kind == other.kind and one.step < other.step for other in others):
                one.drop()

    def run(self, job: Callable[..., None], *args: Any) -> None:
        """Does something small after what waits; raises as `save`."""
        self._settle()
        self._saves.append(_Save("", 0, None, [], self._thread.submit(job, *args)))

    def flush(self) -> None:
        """Waits until all is saved; raises what went wrong."""
        saves, self._saves = self._saves, []
        for one in saves:
            if not one.done.cancelled():
                one.done.result()

    def close(self) -> None:
        """Waits until all is saved, and ends the thread; raises as `flush`."""
        self._thread.shutdown()
        self.flush()

    def _waiting(self) -> list[_Save]:
        return [one for one in self._saves if not one.done.done()]

    def _settle(self) -> None:
        """What went wrong before is said before more is begun."""
        while self._saves and self._saves[0].done.done():
            one = self._saves.pop(0)
            if not one.done.cancelled():
                one.done.result()
