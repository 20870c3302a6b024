"""Published files of MMSA, told by their SHA-256."""

import dataclasses
import hashlib
from pathlib import Path

from msa_jax.progress import watched

# From the README of MMSA: the file's place in its download, and its SHA-256.
FILES = {
    "MOSI/Processed/unaligned_50.pkl": "78e0f8b5ef8ff71558e7307848fc1fa929ecb078203f565ab22b9daab2e02524",
    "MOSI/Processed/aligned_50.pkl": "d3994fd25681f9c7ad6e9c6596a6fe9b4beb85ff7d478ba978b124139002e5f9",
    "MOSEI/Processed/unaligned_50.pkl": "ad8b23d50557045e7d47959ce6c5b955d8d983f2979c7d9b7b9226f6dd6fec1f",
    "MOSEI/Processed/aligned_50.pkl": "45eccfb748a87c80ecab9bfac29582e7b1466bf6605ff29d3b338a75120bf791",
    "SIMS/Processed/unaligned_39.pkl": "c9e20c13ec0454d98bb9c1e520e490c75146bfa2dfeeea78d84de047dbdd442f",
}
NAMES = frozenset(Path(name).name for name in FILES)
_BLOCK = 1 << 24  # bytes that are read at once
_FOLDER = {"mosi": "MOSI", "mosei": "MOSEI", "sims": "SIMS"}  # of each corpus in that download


@dataclasses.dataclass(frozen=True)
class Published:
    """What a file's SHA-256 says of it.

    Attributes:
      sha256: of the file.
      same_as: the published file that it is, by its place in MMSA's download; None where it is none.
      named_as: those that it has the name of, and is not.
    """

    sha256: str
    same_as: str | None
    named_as: list[str]

    def line(self) -> str:
        """It in a sentence; "" where there is nothing to say."""
        if self.same_as:
            return f"the file that MMSA published as {self.same_as}, by its SHA-256"
        if self.named_as:
            return f"has the name of MMSA's {' and '.join(self.named_as)}, but other content"
        return ""


def compare(path: Path, corpus: str | None) -> Published:
    """Reads a file once, and compares its SHA-256 with those of MMSA's published files.

    Args:
      path: the file.
      corpus: a key of `CORPORA`, which tells files of the same name apart; None where it is not known.
    """
    total = hashlib.sha256()
    with path.open("rb") as file:
        blocks = iter(lambda: file.read(_BLOCK), b"")
        for block in watched(blocks, f"hashing {path.name}", "block", -(-path.stat().st_size // _BLOCK)):
            total.update(block)
    found = total.hexdigest()
    same = next((name for name, known in FILES.items() if known == found), None)
    named = [name for name in FILES if Path(name).name == path.name] if same is None else []
    of_corpus = [name for name in named if name.split("/")[0] == _FOLDER.get(corpus)]
    return Published(found, same, of_corpus or named)
