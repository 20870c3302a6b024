"""Readings: what a reader makes of a file before anybody goes through its clips."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping

from msa_jax.data import conventions
from msa_jax.data.example import Example


@dataclasses.dataclass(frozen=True)
class Reading:
    """A file that is ready to be gone through.

    Attributes:
      examples: starts an iteration over the clips, in the order of the file.
      notes: how the file was understood, a line each; they are printed by the inspector and at the start
        of training, and kept with the built corpus.
      conventions: what was decided where the format leaves it open, and by what evidence, in a few words
        each, by the names in `conventions.TITLES`.
      open_words: clips whose BERT tokens a vocabulary could give to words with more certainty.
      untold_videos: clips whose video the ids could not tell, so that each counts as one of its own.
      surplus: what to say where clips have more rows than words; "" where nothing that is said would help.
      later_notes: more notes, that are complete once the clips have been gone through.
    """

    examples: Callable[[], Iterator[Example]]
    notes: tuple[str, ...] = ()
    conventions: Mapping[str, str] = dataclasses.field(default_factory=dict)
    open_words: int = 0
    untold_videos: int = 0
    surplus: str = ""
    later_notes: Callable[[], Iterable[str]] = tuple

    def lines(self) -> list[str]:
        """The lines to print for the user."""
        return [*conventions.lines(self.conventions), *self.notes]
