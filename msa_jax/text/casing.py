"""Case of a vocabulary's pieces and of texts: whether a tokenizer that was made for capitals gets them."""

import itertools
from collections.abc import Iterable
from pathlib import Path

import tokenizers
from tokenizers import models, normalizers

from msa_jax.errors import UserError
from msa_jax.text.tokenizer import Tokenizer
from msa_jax.text.wordpiece import PREFIX

# Share of the pieces with a capital, among those whose letters have a case. A cased vocabulary has many; that
# of bert-base-chinese, which is not cased, has 0.14 %: a few letters came in beside its lowered texts.
_MOST_UNCASED, _FEWEST_CASED = 0.01, 0.05
_SAMPLE = 64  # texts that tell whether a corpus shouts


def is_cased(pieces: Iterable[str]) -> bool | None:
    """Whether a WordPiece vocabulary tells capitals from small letters, by its pieces of letters alone.

    Args:
      pieces: the vocabulary; special tokens such as [UNK] do not count.

    Returns:
      True or False; None where so few pieces have a capital that it may be either.
    """
    words = [piece.removeprefix(PREFIX) for piece in pieces]
    words = [word for word in words if word.isalpha() and word.lower() != word.upper()]
    share = sum(word != word.lower() for word in words) / max(len(words), 1)
    return None if _MOST_UNCASED <= share < _FEWEST_CASED else share >= _FEWEST_CASED


def lowers_by_evidence(pieces: Iterable[str], where: str) -> bool:
    """Whether texts are lowered for a vocabulary that comes without a word on it.

    Args:
      pieces: the vocabulary.
      where: its folder, for messages.

    Raises:
      UserError: when the pieces do not decide.
    """
    if (cased := is_cased(pieces)) is None:
        raise UserError(
            f"{where}: some pieces of the vocabulary have capitals, too few to tell whether it is a cased "
            'one; write "do_lower_case": true or false in its tokenizer_config.json'
        )
    return not cased


def settle_case(backend: tokenizers.Tokenizer, said: bool | None, folder: Path) -> tuple[bool, str]:
    """Makes the tokenizer of a tokenizer.json lower texts, or not, where the folder contradicts itself.

    The file says it by itself; where tokenizer_config.json says otherwise the vocabulary decides.

    Args:
      backend: the tokenizer; its normalizer is changed where that is needed.
      said: `do_lower_case` of tokenizer_config.json; None where it is missing.
      folder: of the two files, for messages.

    Returns:
      (whether it lowers texts, what was decided and why; empty where nothing had to be).

    Raises:
      UserError: when the vocabulary does not decide, or the normalizer cannot be changed.
    """
    lowers = backend.normalizer is not None and backend.normalizer.normalize_str("A") == "a"
    if said is None or said == lowers or not isinstance(backend.model, models.WordPiece):
        return lowers, ""
    wanted = lowers_by_evidence(backend.get_vocab(with_added_tokens=False), str(folder))
    if wanted != lowers:
        if not isinstance(backend.normalizer, normalizers.BertNormalizer):
            raise UserError(
                f"{folder}: tokenizer.json and tokenizer_config.json (do_lower_case) contradict each other; "
                "correct one of them"
            )
        normalizer = backend.normalizer
        normalizer.lowercase = wanted
        backend.normalizer = normalizer
    return wanted, (
        f"tokenizer.json and tokenizer_config.json of {folder} contradict each other on do_lower_case; its "
        f"vocabulary has {'no capitals: texts are lowered' if wanted else 'capitals: they are kept'}"
    )


def note_on_vocabulary(pieces: Iterable[str], lowers: bool, folder: Path) -> str:
    """What to say where a folder lowers texts for a cased vocabulary, or keeps capitals that it lacks."""
    cased = is_cased(pieces)
    if cased and lowers:
        return (
            f"{folder} lowers all texts, though its vocabulary has capitals; if it is a cased one, write "
            '"do_lower_case": false in its tokenizer_config.json'
        )
    if cased is False and not lowers:
        return (
            f"{folder} keeps capitals, though its vocabulary has none: words with one become [UNK]; if it "
            'was made for lowered texts, write "do_lower_case": true in its tokenizer_config.json'
        )
    return ""


def note_on_texts(tokenizer: Tokenizer, texts: Iterable[str], *, lowercase: bool, name: str) -> str:
    """What to say where `data.lowercase` does not suit the encoder's vocabulary and the corpus.

    Args:
      tokenizer: of the encoder.
      texts: of the training split; the first few are looked at.
      lowercase: the setting.
      name: of the encoder.

    Returns:
      One sentence; empty where nothing is to say, as for a tokenizer that lowers texts by itself.
    """
    sample = list(itertools.islice(texts, _SAMPLE))
    capitals = [text for text in sample if text != text.lower()]
    if not any(tokenizer.pieces([text]) != tokenizer.pieces([text.lower()]) for text in capitals):
        return ""
    shouted = sum(text.isupper() for text in capitals)
    if lowercase and len(capitals) > 2 * shouted:
        return (
            f"data.lowercase=True lowers the texts, though {name} tells capitals from small letters and "
            f"{len(capitals) - shouted} of the first {len(sample)} texts have both; "
            "--config.data.lowercase=False keeps them"
        )
    if not lowercase and 2 * shouted > len(sample):
        return (
            f"{shouted} of the first {len(sample)} texts are in capitals throughout, which {name} cuts into "
            "many small pieces; --config.data.lowercase=True lowers them"
        )
    return ""
