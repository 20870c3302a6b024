"""Writer of what is saved while a job goes on: one thread, in order, and never more waiting than is needed.

Where the disk is slower than the saves, a newer one replaces an older one of its kind that has not begun:
otherwise their copies would fill the memory, and what is on the disk would fall ever further behind. The one
whose turn is next stays where others wait between the two: otherwise, replaced for ever, it would never come.
"""

import concurrent.futures
import dataclasses
from collections.abc import Callable
from typing import Any


@dataclasses.dataclass(frozen=True, eq=False)
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
        self._failed: dict[tuple[str, int], Exception] = {}  # by kind and step; of the thread alone

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
          kind: of older ones of the same kind that have not begun only those are still saved that another
            needs, and the next in turn where what it needs has begun and others wait before this one.
          step: its place in the order of its kind.
          needs: (kind, step) of what must be saved before it; where that fails it is not saved, and fails for
            the same reason.

        Raises:
          Exception: what went wrong with an earlier one.
        """
        self._settle()
        held = [content]
        done = self._thread.submit(self._do, write, held, (kind, step), needs)
        self._saves.append(_Save(kind, step, needs, held, done))
        for one in reversed(self._waiting()):  # the newest first, as what it replaces needs nothing any more
            waiting = self._waiting()
            if one in waiting and _replaced(one, waiting):
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

    def _do(
        self,
        write: Callable[[Any], None],
        held: list[Any],
        what: tuple[str, int],
        needs: tuple[str, int] | None,
    ) -> None:
        content = held.pop()
        try:
            if needs in self._failed:
                raise self._failed[needs]
            write(content)
        except Exception as e:
            self._failed[what] = e
            raise
        self._failed.pop(what, None)

    def _waiting(self) -> list[_Save]:
        return [one for one in self._saves if one.kind and not (one.done.done() or one.done.running())]

    def _settle(self) -> None:
        """What went wrong before is said before more is begun."""
        while self._saves and self._saves[0].done.done():
            one = self._saves.pop(0)
            if not one.done.cancelled():
                one.done.result()


def _replaced(one: _Save, waiting: list[_Save]) -> bool:
    """Whether a newer one is to be saved in the place of one that waits; `waiting` are all, in order."""
    same = [other for other in waiting if other.kind == one.kind]
    if one is same[-1] or any((one.kind, one.step) == other.needs for other in waiting):
        return False
    ready = all((other.kind, other.step) != one.needs for other in waiting)
    # One of the same kind that follows at once comes as soon.
    followed = waiting[waiting.index(one) + 1].kind == one.kind
    return followed or not (ready and one is same[0])
