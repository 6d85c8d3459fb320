"""Has the kernel put what a process has loaded into large pages of memory.

Python's objects lie spread over a hundred megabytes, and a question touches many of them. The processor remembers where
a few pages lie, and must look up the others in tables: of 4 KiB there are thousands, of 2 MiB a few dozen (ADR 84).
"""

import ctypes
from collections.abc import Iterable, Iterator
from pathlib import Path

LARGE = 2 * 1024 * 1024
_COLLAPSE = 25
"""MADV_COLLAPSE, since Linux 6.1; an older kernel refuses it, and everything stays as it is."""
_MAPS = Path("/proc/self/maps")


def move_in() -> None:
    """Move the memory that is in use now into large pages. What comes later stays outside."""
    if not _MAPS.exists():
        return
    madvise = ctypes.CDLL(None).madvise
    madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    for begin, size in places(_MAPS.read_text().splitlines()):
        madvise(begin, size, _COLLAPSE)


def places(maps: Iterable[str]) -> Iterator[tuple[int, int]]:
    """Where large pages fit wholly into memory that is this process's own and of no file: addresses and sizes."""
    for line in maps:
        span, mode, _, _, _, *name = line.split(maxsplit=5)
        first, end = (int(at, 16) for at in span.split("-"))
        begin, end = -(-first // LARGE) * LARGE, end // LARGE * LARGE
        if mode == "rw-p" and name in ([], ["[heap]"]) and begin < end:
            yield begin, end - begin
