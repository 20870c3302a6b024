"""Descriptions that TFDS stores beside the records: held against the schema before TFDS reads them.

TFDS makes the features of a folder by the names of classes in its files, and imports what they name. Here the
classes are those of `schema`, and a folder that describes anything else is refused.
"""

import json
from pathlib import Path
from typing import Any

import tensorflow_datasets as tfds
from google.protobuf import json_format
from tensorflow_datasets.core import constants

from msa_jax.corpora import SPLITS, Corpus
from msa_jax.data import checks
from msa_jax.data.datasets import schema
from msa_jax.errors import UserError
from msa_jax.files import read_json, refuse_special

_FORMAT = "array_record"
_TEMPLATES = (None, "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_INDEX}")  # names of files in the folder itself


def features(folder: Path, facts: Corpus, *, name: str, version: str) -> tfds.features.FeaturesDict:
    """The features of the records in a folder.

    Args:
      folder: holds features.json, dataset_info.json and the records.
      facts: the corpus that they are of.
      name: of the builder that wrote it.
      version: of the same.

    Returns:
      Those of `schema.features`, with the widths that are stored there.

    Raises:
      UserError: when anything else is described there; says which folder to delete.
    """
    try:
        described = read_json(folder / constants.FEATURES_FILENAME)
        found = schema.features([_width(described, feature) for feature in checks.FEATURES], facts)
        same = json.loads(json.dumps(json_format.MessageToDict(found.to_proto()))) == described
        info = read_json(folder / constants.DATASET_INFO_FILENAME)
        same = same and _is_ours(info, name, version) and not any(map(Path.is_symlink, folder.iterdir()))
    except UserError as error:
        raise UserError(f"{error}; delete the folder {folder} and build the corpus again") from None
    except (LookupError, TypeError, ValueError):
        same = False
    if not same:
        raise UserError(
            f"{folder}: does not hold a corpus as this version builds it (its {constants.FEATURES_FILENAME} "
            f"or {constants.DATASET_INFO_FILENAME} differs, or it holds links); delete it and build it again"
        )
    for file in folder.iterdir():
        refuse_special(file)
    return found


def _width(described: dict[str, Any], feature: str) -> int:
    dimensions = described["featuresDict"]["features"][feature]["tensor"]["shape"]["dimensions"]
    return int(dimensions[1])


def _is_ours(info: dict[str, Any], name: str, version: str) -> bool:
    """Whether a dataset_info.json describes records of a builder, in files of the folder itself."""
    splits = info["splits"]
    return (
        (info["name"], info["version"], info["fileFormat"]) == (name, version, _FORMAT)
        and not info.keys() & {"features", "configName", "alternativeFileFormats"}
        and all(split["name"] in SPLITS and split.get("filepathTemplate") in _TEMPLATES for split in splits)
        and all(int(count) >= 0 for split in splits for count in split["shardLengths"])
    )
