"""One-modality files of MMSA: recognised, so that the message can say what they are, and refused.

MMSA's loader (`src/MMSA/data_loader.py` of thuiar/MMSA) takes the arrays of such a file in place of those of
its main file. Alone it has neither words nor labels, and its clips have names only in the main file.
"""

from pathlib import Path

from msa_jax.data.readers import clean
from msa_jax.errors import UserError

_KEYS = (  # what such a file may hold, for each modality
    {"text", "text_bert", "text_lengths"},
    {"audio", "audio_lengths"},
    {"vision", "vision_lengths"},
)


def refuse(content: object, path: Path) -> None:
    """Does nothing but for the feature file of one modality.

    Args:
      content: what a file holds.
      path: the file.

    Raises:
      UserError: when the content is a dict by split of dicts that hold one modality and nothing besides.
    """
    if not isinstance(content, dict):
        return
    splits = [value for key, value in content.items() if clean.split_alias(key)]
    if not all(isinstance(value, dict) for value in splits):
        return
    keys = set().union(*splits)
    if keys and any(keys <= known for known in _KEYS):
        raise UserError(
            f"{path}: this is the feature file of one modality (it holds only {', '.join(sorted(keys))}), "
            "which must be merged with its base file; load the pickle with raw_text, id and labels, put "
            "these arrays in place of its own under the same split, save it and name that file"
        )
