"""Passes over a file's clips: one with its labels, and one without where these cannot be read."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from msa_jax.data import checks, readers
from msa_jax.data.example import Example
from msa_jax.errors import UserError
from msa_jax.inspect.scan import Scan


def gone_through(
    path: str | Path, watch: Callable[[Iterable[Example]], Iterable[Example]], options: Mapping[str, object]
) -> tuple[readers.Source, Scan, list[checks.Clip], str]:
    """Goes through a file once; a second time, without labels, where it cannot be read with them.

    Args:
      path: the file or folder.
      watch: is handed the clips and hands them on.
      options: of `readers.read`.

    Returns:
      (the file, what was seen of its clips, the clips, why its labels cannot be read; "" where they can).

    Raises:
      UserError: when the file cannot be read without its labels either.
    """
    words = options.get("bert_vocab") is not None  # else nothing here asks for the words of tokens
    reading = {"text_features": None, "need_text": words, "words": words, **options}

    def through(require_labels: bool | None) -> tuple[readers.Source, Scan, list[checks.Clip]]:
        source, scan = readers.read(path, require_labels=require_labels, **reading), Scan()
        return source, scan, checks.survey(scan.over(watch(source)))

    try:
        return *through(False), ""
    except UserError as fault:
        try:
            return *through(None), str(fault)
        except UserError:
            raise fault from None
