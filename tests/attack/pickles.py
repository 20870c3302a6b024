"""Pickles that are small and name a thing again and again, each time for work that grows with it."""

import struct
from pathlib import Path

from tests.data import small_files

_KEPT = b"q\x640"  # keeps what is on the stack at place 100, and takes it off
# A list that holds the list before it twice, 60 times over: as a text it has 2**60 members.
_DOUBLED = b"]q\x00" + b"".join(b"0](h%ch%ceq%c" % (n, n, n + 1) for n in range(60))


def doubled_type(folder: Path) -> Path:
    """The data type of an array is such a list."""
    return _write(folder, _DOUBLED + b"0cnumpy\ndtype\nh\x3c\x85R")


def doubled_zone(folder: Path) -> Path:
    """The offset of a time zone is such a list."""
    return _write(folder, _DOUBLED + b"0cdatetime\ntimezone\nh\x3c\x85R")


def doubled_encoding(folder: Path) -> Path:
    """The encoding of a text is such a list."""
    return _write(folder, _DOUBLED + b"0c_codecs\nencode\nX\x01\x00\x00\x00ah\x3c\x86R")


def sets_of_bytes(folder: Path) -> Path:
    """The same 4 MB made a set, byte by byte, 100 times."""
    long = b"T" + struct.pack("<i", 4 << 20) + b"a" * (4 << 20) + _KEPT
    return _write(folder, long + b"](" + b"cbuiltins\nset\nh\x64\x85R" * 100 + b"e")


def chain_of_one_dict(folder: Path) -> Path:
    """A ChainMap of the same dict of 10 000 keys, 100 000 times."""
    members = b"}(" + b"".join(b"J" + struct.pack("<i", k) + b"N" for k in range(10_000)) + b"u"
    chain = b"ccollections\nChainMap\n)R}X\x04\x00\x00\x00maps](" + b"h\x64" * 100_000 + b"esb"
    return _write(folder, members + _KEPT + chain)


def one_long_key(folder: Path) -> Path:
    """200 000 dicts with the same key of 60 kB, which is decoded for each."""
    key = b"T" + struct.pack("<i", 60_000) + b"\xffa" * 30_000 + _KEPT
    return _write(folder, key + b"](" + b"}h\x64Ns" * 200_000 + b"e")


def many_arguments(folder: Path) -> Path:
    """A path of the same 100 000 names, 20 000 times."""
    names = b"X\x00\x00\x00\x00" + _KEPT + b"(" + b"h\x64" * 100_000 + b"tq\x010"
    return _write(folder, names + b"cpathlib\nPosixPath\nq\x020](" + b"h\x02h\x01R0" * 20_000 + b"e")


def _write(folder: Path, instructions: bytes) -> Path:
    return small_files.write(folder, b"\x80\x02" + instructions + b".")
