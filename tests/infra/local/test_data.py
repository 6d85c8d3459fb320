"""What root's engines keep is told with its owner, and goes only when that is gone, nobody uses it, and it was said."""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from infra.cli import main
from infra.local import data
from infra.local.ground import BELONGS_TO

LONG_AGO = time.time() - 2 * data.QUIET_S


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "root"


def made(root: Path, name: str, owner: Path, *, written_at: float = LONG_AGO) -> Path:
    folder = root / name
    (folder / "postgres").mkdir(parents=True)
    (folder / BELONGS_TO).write_text(f"{owner}\n")
    (folder / "postgres" / "rows").write_bytes(b"x" * 3_000_000)
    for path in (*folder.rglob("*"), folder):
        os.utime(path, (written_at, written_at))
    return folder


def removed(root: Path, asked: Sequence[str] | None = None) -> int:
    return data.report(root, remove=True, agreed=None if asked is None else lambda question: question in asked)


def test_what_belongs_to_nobody_goes_and_all_else_stays(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "here").mkdir()
    stays = [
        made(root, "0001", tmp_path / "here"),
        made(root, "0002", tmp_path / "gone", written_at=time.time()),
    ]
    used = made(root, "0003", tmp_path / "gone")
    goes = made(root, "0004", tmp_path / "gone")
    (root / "binaries" / "postgres").mkdir(parents=True)
    working = subprocess.Popen([sys.executable, "-c", "input()"], cwd=used / "postgres", stdin=-1)
    with working:
        assert data.report(root, remove=False, agreed=None) == 0
        said = capsys.readouterr().out
        assert goes.exists()
        assert "0001  its folder exists" in said
        assert "0002  written to 0 minutes ago" in said
        assert f"0003  in use by process {working.pid}" in said
        assert "4 folders, 12 MB; nobody's: 1 folder, 3 MB" in said
        assert not data.remove_orphan(used)  # it was nobody's when it was looked at, and is used now
        assert removed(root) == 0
        assert sorted(each.name for each in root.iterdir()) == ["0001", "0002", "0003", "binaries"]
        working.kill()
    assert removed(root) == 0
    assert sorted(each.name for each in root.iterdir()) == ["0001", "0002", "binaries"]
    assert all((each / "postgres" / "rows").exists() for each in stays)


def test_an_owner_who_comes_back_between_the_question_and_the_answer_keeps_the_data(root: Path, tmp_path: Path) -> None:
    folder = made(root, "0001", tmp_path / "back")

    def agreed(question: str) -> bool:
        (tmp_path / "back").mkdir()
        return question.startswith("Remove 1 folder, 3 MB, for good?")

    assert data.report(root, remove=True, agreed=agreed) == 0
    assert [(folder / "postgres" / "rows").exists(), [each.name for each in root.iterdir()]] == [True, ["0001"]]


def test_nothing_goes_without_a_yes(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = made(root, "0001", tmp_path / "gone")
    assert removed(root, asked=()) == 1
    assert "Nothing was removed." in capsys.readouterr().out
    monkeypatch.setattr("infra.local.ground.ROOTS_DATA", root)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr("sys.stdin", (tmp_path / "empty").open("w+"))
    assert main(["data", "--remove-orphans"]) == 1
    assert capsys.readouterr().err == "tidegate: Nobody is here to be asked; say --yes as well.\n"
    assert folder.exists()
    assert main(["data", "--remove-orphans", "--yes"]) == 0
    assert not folder.exists()
    monkeypatch.setattr(os, "geteuid", lambda: 1_000)
    assert main(["data"]) == 0
    assert "Only root's engines keep data elsewhere" in capsys.readouterr().out
