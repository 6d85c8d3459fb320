"""What a process has loaded moves into large pages and stays what it was."""

import platform
from pathlib import Path

from infra import large_pages
from infra.large_pages import LARGE

MAPS = """\
00419000-006bf000 r-xp 00019000 fe:00 5336590                    /usr/bin/python3.11
0ed1a000-104e7000 rw-p 00000000 00:00 0                                  [heap]
7f0000000000-7f0000400000 rw-p 00000000 00:00 0
7f0000500000-7f00006fffff rw-p 00000000 00:00 0
7f0000700000-7f0000f00000 ---p 00000000 00:00 0
7f0001000000-7f0001400000 rw-s 00000000 00:01 42                         /dev/zero (deleted)
7f0002000000-7f0002400000 rw-p 00000000 fe:00 5329175                    /usr/lib/lib with a blank.so
7ffd00000000-7ffd00400000 rw-p 00000000 00:00 0                          [stack]
"""


def test_large_pages_fit_into_memory_of_the_processs_own_where_it_is_long_enough() -> None:
    assert list(large_pages.places(MAPS.splitlines())) == [
        (0x0EE00000, 0x10400000 - 0x0EE00000),
        (0x7F0000000000, 2 * LARGE),
    ]


def test_what_is_in_use_moves_and_stays_what_it_was() -> None:
    kept = [str(number) for number in range(200_000)]
    large_pages.move_in()
    assert kept == [str(number) for number in range(200_000)]
    assert _large_bytes() >= (LARGE if _can_move() else 0)


def _large_bytes() -> int:
    (said,) = (line for line in Path("/proc/self/smaps_rollup").read_text().splitlines() if "AnonHugePages" in line)
    return int(said.split()[1]) * 1024


def _can_move() -> bool:
    """Whether the kernel is new enough, and was built with large pages."""
    major, minor = platform.release().split(".")[:2]
    return (int(major), int(minor)) >= (6, 1) and Path("/sys/kernel/mm/transparent_hugepage").is_dir()
