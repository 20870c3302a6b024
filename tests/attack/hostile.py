"""Hostile inputs: files and folders of somebody else that try what they can, each with the right answer.

`DATA`, `ENCODERS` and `CACHES` list the functions that write one input into an empty folder (of a cache:
change a good one) and return its path, with the words of the one line that the program has to print. An input
with `line` None is good data with something in it that must not reach the terminal as it is.
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path

from tests.attack import caches, claims, encoders, escapes, lengths, outside, pickles


@dataclasses.dataclass(frozen=True)
class Hostile:
    """One input.

    Attributes:
      name: what it tries.
      write: writes it into an empty folder; returns the path to give to the program.
      line: words of the one line that the program must print about it; None where it is read.
      options: of the command that looks at data.
    """

    name: str
    write: Callable[[Path], Path]
    line: str | None
    options: tuple[str, ...] = ()


_BUILD = ("--build", "--corpus=mosi")  # refused before anything is built
_OUTSIDE = "whose bytes are not in the file itself"
_UNPACKS = "a chunk unpacks to more than the"
DATA = (
    Hostile(".npz of 4.3 GB of zeros", claims.npz_of_zeros, "audio: is said to be 0.27 GB"),
    Hostile(".npz of wide texts", claims.npz_of_wide_texts, "text: is said to be 4.29 GB"),
    Hostile(
        ".npz of one wide text", claims.npz_of_one_wide_text, "text is damaged (a text of 1073741824 bytes)"
    ),
    Hostile(".npz of 1e8 clips", claims.npz_of_many_clips, "hold 100663296 clips"),
    Hostile(".npz of brackets", claims.npz_of_brackets, "audio is damaged"),
    Hostile(".npz of fewer brackets", claims.npz_of_few_brackets, "audio is damaged"),
    Hostile(".npz of -1 rows", claims.npz_of_negative_shape, "audio is damaged"),
    Hostile("HDF5 never written", claims.h5_never_written, "was never written"),
    Hostile("HDF5 of one chunk", claims.h5_of_one_chunk, "is said to be 2.15 GB"),
    Hostile("HDF5 of long clips", claims.h5_of_long_clips, "is said to be 2.15 GB"),
    Hostile("HDF5 of 1e8 clips", claims.h5_of_many_clips, "was never written"),
    Hostile("HDF5 of 1e8 clips of zeros", claims.h5_of_many_zero_clips, "hold 104857600 clips"),
    Hostile(".csd never written", claims.csd_never_written, "was never written"),
    Hostile(".csd of one chunk", claims.csd_of_one_chunk, "is said to be 2.68 GB"),
    Hostile(".csd of shared words", claims.csd_of_shared_words, "is said to be"),
    Hostile("HDF5 of a long stream", claims.h5_of_a_long_stream, _UNPACKS),
    Hostile("HDF5 of streams in streams", claims.h5_of_streams_in_streams, _UNPACKS),
    Hostile("HDF5 of a long LZF stream", claims.h5_of_a_long_lzf_stream, _UNPACKS),
    Hostile(".csd of long streams", claims.csd_of_long_streams, _UNPACKS),
    Hostile(".csd of words in a long stream", claims.csd_of_a_long_stream, _UNPACKS),
    Hostile("HDF5 in another file", outside.h5_external_storage, _OUTSIDE),
    Hostile("HDF5 by a link", outside.h5_external_link, _OUTSIDE),
    Hostile("HDF5 by a link to a link", outside.h5_link_to_link, _OUTSIDE),
    Hostile("HDF5 in a pipe", outside.h5_external_pipe, _OUTSIDE),
    Hostile("HDF5 put together", outside.h5_virtual, _OUTSIDE),
    Hostile("HDF5 link to itself", outside.h5_link_to_itself, "must hold one dataset"),
    Hostile(".csd in another file", outside.csd_external_storage, _OUTSIDE),
    Hostile(".csd of another file's video", outside.csd_external_video, _OUTSIDE),
    Hostile(".csd of another file's root", outside.csd_external_root, _OUTSIDE),
    Hostile("a pipe", outside.pipe, "is neither a file nor a folder"),
    Hostile("a device", outside.link_to_device, "is neither a file nor a folder"),
    Hostile("a socket", outside.bound_socket, "is neither a file nor a folder"),
    Hostile("a pipe among the files", outside.splits_pipe, None),
    Hostile("a wide clip", lengths.wide_clip, "rows of 1000000 columns"),
    Hostile("a long clip", lengths.long_clip, None),
    Hostile("JSON in depth", lengths.deep_splits, "is nested too deeply"),
    Hostile("JSON at length", lengths.large_splits, "holds over 4000000 values"),
    Hostile("a pickle in depth", lengths.deep_pickle, "nested more than 32 deep"),
    Hostile("a doubled list for a type", pickles.doubled_type, "the data type in a list"),
    Hostile("a doubled list for a zone", pickles.doubled_zone, "offset in a list"),
    Hostile("a doubled list for an encoding", pickles.doubled_encoding, "the encoding in a list"),
    Hostile("sets of the same bytes", pickles.sets_of_bytes, "the members of a container in a bytes"),
    Hostile("a ChainMap of one dict", pickles.chain_of_one_dict, "the same contents over and over"),
    Hostile("one long key", pickles.one_long_key, "little else than long keys"),
    Hostile("many arguments", pickles.many_arguments, "little else than calls"),
    Hostile("CSV of many columns", lengths.csv_of_many_columns, "no column video_id, clip_id, label", _BUILD),
    Hostile("CSV of a long split", lengths.csv_of_one_long_split, "is none of train"),
    Hostile("a pickle of many keys", lengths.pickle_of_many_keys, "no known format"),
    Hostile("escapes in a split", escapes.escapes_in_csv_split, "is none of train"),
    Hostile("escapes in ids", escapes.escapes_in_ids, None),
    Hostile("escapes in keys", escapes.escapes_in_keys, "no known format"),
    Hostile("escapes in columns", escapes.escapes_in_columns, "no column video_id", _BUILD),
    Hostile("escapes in a file name", escapes.escapes_in_file_name, None),
    Hostile("a file name in no encoding", escapes.file_name_in_no_encoding, None),
    Hostile("Chinese names", escapes.chinese_names, None),
)

ENCODERS = (
    Hostile("a pipe for a config", encoders.encoder_pipe, "is a named pipe"),
    Hostile("a config in depth", encoders.encoder_in_depth, "is nested too deeply"),
    Hostile("weights elsewhere", encoders.encoder_outside, "is not the name of a file beside it"),
    Hostile("code of its own", encoders.encoder_with_code, "no usable tokenizer"),
    Hostile("a growing tokenizer", encoders.encoder_of_growing_texts, "makes over 4 bytes of one"),
    Hostile("bytes spelt by bytes", encoders.encoder_of_doubled_bytes, "makes over 4 bytes of one"),
    Hostile("impossible merges", encoders.encoder_of_impossible_merges, "the merge 'a b' beside the prefix"),
)

_ANOTHER = "does not hold a corpus as this version builds it"
CACHES = (
    Hostile("a feature's class", caches.cache_with_code, _ANOTHER),
    Hostile("a feature's class, as it was once written", caches.cache_of_old_form, _ANOTHER),
    Hostile("a class in dataset_info.json", caches.cache_of_features_in_info, _ANOTHER),
    Hostile("a builder's module", caches.cache_of_another_module, None),
    Hostile("records elsewhere", caches.cache_of_records_elsewhere, _ANOTHER),
    Hostile("records by a link", caches.cache_of_linked_records, _ANOTHER),
    Hostile("features.json in depth", caches.cache_in_depth, "is nested too deeply"),
    Hostile("a pipe of records", caches.cache_of_a_pipe, "is a named pipe"),
)
