import random
import struct
from collections.abc import Callable
from contextlib import suppress

import pytest

from brushwork.data.errors import DataError
from brushwork.data.sources.rcc import read_rcc

WriteRcc = Callable[..., bytes]
TREE = {"a": {"b.txt": b"hello" * 50, "ü": {"c": b""}}, "d.bin": bytes(range(256)), "empty": {}}


@pytest.mark.parametrize("version", [1, 2, 3])
@pytest.mark.parametrize("pack", ["raw", "zlib", "zstd"])
def test_every_file_comes_back_under_its_path(write_rcc: WriteRcc, version: int, pack: str) -> None:
    files = read_rcc(write_rcc(TREE, version=version, pack=pack))
    assert files == {"a/b.txt": b"hello" * 50, "a/ü/c": b"", "d.bin": bytes(range(256))}


def test_other_files_and_damaged_ones_are_refused(write_rcc: WriteRcc) -> None:
    whole = write_rcc(TREE, pack="zlib")
    with pytest.raises(DataError, match=r"'x\.rcc' is no Qt resource file"):
        read_rcc(b"PK" + whole, "x.rcc")
    with pytest.raises(DataError, match="of version 9"):
        read_rcc(whole[:4] + struct.pack(">I", 9) + whole[8:])
    for end in range(4, len(whole) - 8):
        with pytest.raises(DataError, match="damaged"):
            read_rcc(whole[:end])


def test_a_folder_inside_itself_ends(write_rcc: WriteRcc) -> None:
    looped = bytearray(write_rcc({"a": {}}))
    looped[-16:-8] = struct.pack(">2I", 1, 1)  # the folder a, whose only child is a
    with pytest.raises(DataError, match="damaged"):
        read_rcc(bytes(looped))


def test_flipped_bits_never_raise_anything_else(write_rcc: WriteRcc) -> None:
    whole = write_rcc(TREE, pack="zlib")
    rng = random.Random(0)
    for _ in range(300):
        broken = bytearray(whole)
        broken[rng.randrange(4, len(whole))] ^= 1 << rng.randrange(8)
        with suppress(DataError):
            read_rcc(bytes(broken))
