"""The spool: order, bound, kills, a full disk, a broken file, and commands that are carried out once."""

import logging
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ingest.edge.spool import Spool, SpoolTaken


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    made = Spool(tmp_path, 1024 * 1024)
    made.open()
    yield made
    made.close()


def payloads(spool: Spool, last: int = 0, most: int = 1_000_000) -> list[bytes]:
    return [entry.payload for entry in spool.after(last, most)]


def test_what_was_put_comes_in_order_and_is_there_after_a_restart(spool: Spool, tmp_path: Path) -> None:
    spool.put([("up/telemetry", b"1"), ("up/telemetry", b"2")])
    spool.put([("up/event/x", b"3")])
    first = spool.after(0, 1)[0]
    assert spool.forget([first.id])
    spool.close()

    again = Spool(tmp_path, 1024 * 1024)
    again.open()
    assert [(e.topic, e.payload) for e in again.after(0, 10)] == [("up/telemetry", b"2"), ("up/event/x", b"3")]
    assert (again.count, again.dropped) == (2, 0)
    again.close()


def test_a_full_spool_drops_the_oldest_and_counts_them_for_good(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 10_000)
    spool.open()
    for n in range(200):
        spool.put([("up/telemetry", b"%03d" % n)])
    kept = payloads(spool)
    assert kept == [b"%03d" % n for n in range(200 - len(kept), 200)]
    assert 0 < len(kept) < 200
    assert (spool.dropped, spool.count) == (200 - len(kept), len(kept))
    assert spool.size_bytes <= 10_000
    spool.forget([entry.id for entry in spool.after(0, 1_000)])
    assert (spool.count, spool.size_bytes) == (0, 0)
    spool.close()

    again = Spool(tmp_path, 10_000)
    again.open()
    assert again.dropped == 200 - len(kept)
    again.put([("up/telemetry", b"after")])
    assert payloads(again) == [b"after"]
    again.close()


def test_a_disk_that_takes_nothing_costs_nothing_while_memory_lasts(
    spool: Spool, caplog: pytest.LogCaptureFixture
) -> None:
    spool.put([("t", b"on disk")])
    _fill_the_disk(spool, is_full=True)
    with caplog.at_level(logging.WARNING):
        for n in range(3):
            spool.put([("t", b"%d" % n * 5_000)])
    assert spool.is_failing
    assert [message.split(" (")[0] for message in caplog.messages] == [f"The disk under {spool._folder} takes nothing"]

    # what waits in memory can be sent from there, behind what is on the disk
    last = spool.after(0, 10)[-1].id
    from_memory = spool.after(last, 10)
    assert [entry.payload[:1] for entry in from_memory] == [b"0", b"1", b"2"]
    spool.forget([from_memory[0].id])

    _fill_the_disk(spool, is_full=False)
    spool.put([("t", b"3" * 5_000)])
    assert not spool.is_failing
    # whoever had read to the end of what was in memory goes on with what has come to the disk
    assert [p[:1] for p in payloads(spool, from_memory[-1].id)] == [b"1", b"2", b"3"]
    assert (spool.count, spool.dropped) == (4, 0)


def _fill_the_disk(spool: Spool, *, is_full: bool) -> None:
    assert spool._base is not None
    pages = spool._base.execute("PRAGMA page_count").fetchone()[0] if is_full else 1_000_000
    spool._base.execute(f"PRAGMA max_page_count = {pages}")


def test_a_spool_that_has_filled_its_disk_leaves_room_to_be_emptied_and_is_filled_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk_bytes = 2 * 1024 * 1024

    def free_bytes(folder: Path) -> int:
        return disk_bytes - sum(file.stat().st_size for file in folder.iterdir())

    monkeypatch.setattr("ingest.edge.spool._free_bytes", free_bytes)
    spool = Spool(tmp_path, 10**9)
    spool.open()
    sent: list[bytes] = []
    put = 0
    for _ in range(2):
        while not spool.is_failing and put < 10_000:
            spool.put([("t", b"%06d" % n + b"x" * 1_000) for n in range(put, put + 10)])
            put += 10
        last = 0
        while found := spool.after(last, 50):
            assert spool.forget([entry.id for entry in found])
            assert free_bytes(tmp_path) > 0, "this alone would not have been written to a real disk"
            last = found[-1].id
            sent += [entry.payload[:6] for entry in found]
        spool.put([("t", b"%06d" % put)])
        put += 1
        assert not spool.is_failing
    assert sent == [b"%06d" % n for n in range(put - 1)]
    assert (spool.count, spool.dropped) == (1, 0)
    spool.close()


def test_what_memory_cannot_hold_either_is_counted(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest.edge.spool.MOST_IN_MEMORY", 3)
    spool.put([("t", b"")])
    _fill_the_disk(spool, is_full=True)
    for n in range(5):
        spool.put([("t", b"%d" % n * 5_000)])
    assert spool.dropped == 2
    _fill_the_disk(spool, is_full=False)
    spool.put([])
    assert [p[:1] for p in payloads(spool)] == [b"", b"2", b"3", b"4"]
    spool._drop_base()
    spool._begin()
    assert spool.dropped == 2


def test_a_file_that_is_no_spool_is_set_aside_and_a_new_one_begins(tmp_path: Path) -> None:
    (tmp_path / "spool.db").write_bytes(b"this is no database at all " * 1_000)
    spool = Spool(tmp_path, 10_000)
    spool.open()
    spool.put([("t", b"new")])
    assert payloads(spool) == [b"new"]
    assert len(list(tmp_path.glob("spool.db.broken-*"))) == 1
    spool.close()


def test_a_file_that_breaks_while_it_is_used_is_set_aside_and_counted_and_whoever_sends_goes_on(
    spool: Spool, tmp_path: Path
) -> None:
    spool.put([("t", b"%03d" % n + b"x" * 500) for n in range(100)])
    last = spool.after(0, 50)[-1].id
    spool.close()  # into the file, out of the log and the memory
    with (tmp_path / "spool.db").open("r+b") as file:
        file.seek(4_096)
        file.write(b"\xa5" * 40_000)

    spool.put([("t", b"new")])
    assert not spool.is_failing
    assert payloads(spool, last) == [b"new"]
    assert (spool.count, spool.dropped) == (1, 100)
    spool._drop_base()
    assert payloads(spool) == [b"new"]
    assert spool.dropped == 100
    assert len(list(tmp_path.glob("spool.db.broken-*"))) == 1


@pytest.mark.parametrize("way", ["_begin", "_room"])
def test_a_disk_that_answers_nothing_for_a_while_leaves_nothing_behind(
    spool: Spool, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    def fails(*given: object) -> None:
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = sqlite3.SQLITE_IOERR
        raise error if way == "_begin" else OSError(5, "Input/output error")

    spool.put([("t", b"%d" % n) for n in range(4)])
    sent = list(spool.after(0, 2))
    spool._drop_base()
    with monkeypatch.context() as patch:
        patch.setattr(spool, way, fails)
        spool.put([("t", b"4")])
        assert spool.is_failing
        sent += spool.after(sent[-1].id, 10)
    spool.put([("t", b"5")])
    while found := spool.after(sent[-1].id, 10):
        sent += found
    assert {entry.payload for entry in sent} == {b"%d" % n for n in range(6)}


def test_one_folder_has_one_edge(spool: Spool, tmp_path: Path) -> None:
    with pytest.raises(SpoolTaken, match="give each one its own"):
        Spool(tmp_path, 10_000).open()


def test_a_command_is_begun_once_and_its_answer_is_remembered(spool: Spool, tmp_path: Path) -> None:
    assert spool.begin_command("c1") == (True, None)
    assert spool.begin_command("c1") == (False, None)
    spool.answer_command("c1", "up/cmd/c1/result", b"done")
    spool.close()
    again = Spool(tmp_path, 1024 * 1024)
    again.open()
    assert again.begin_command("c1") == (False, b"done")
    assert payloads(again) == [b"done"]
    again.close()


KILLED = """
import sys
from pathlib import Path
from ingest.edge.spool import Spool

spool = Spool(Path(sys.argv[1]), 10**8)
spool.open()
n = 0
while True:
    spool.put([("t", b"%d" % n), ("t", b"%d" % (n + 1))])
    n += 2
    print(n, flush=True)
"""


def test_a_kill_in_the_middle_loses_nothing_that_was_put(tmp_path: Path) -> None:
    for _ in range(3):
        process = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        said = [process.stdout.readline() for _ in range(50)]
        os.kill(process.pid, signal.SIGKILL)
        said += process.stdout.read().splitlines(keepends=True)
        process.wait()
        process.stdout.close()
        told = int([line for line in said if line.endswith("\n")][-1])

        spool = Spool(tmp_path, 10**8)
        spool.open()
        found = spool.after(0, 10**6)
        # all that it said was put is there, in order, and at most what it was just putting beside
        assert [int(entry.payload) for entry in found][:told] == list(range(told))
        assert len(found) in (told, told + 2)
        assert spool.forget([entry.id for entry in found])
        spool.close()
    with sqlite3.connect(tmp_path / "spool.db") as base:
        assert base.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    base.close()
