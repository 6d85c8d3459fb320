"""The command line: what it offers exists, and what a person can mend is said in one line."""

import dataclasses
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from engine.settings import Settings, variable
from infra.cli import main
from infra.local import claims

ROOT = Path(__file__).resolve().parents[2]


def tidegate(*arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    environ = {name: value for name, value in os.environ.items() if not name.startswith("TIDEGATE_")}
    return subprocess.run(
        [sys.executable, "-m", "infra.cli", *arguments],
        env=environ | variables,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )


def test_help_offers_only_commands_whose_code_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--help"])
    assert end.value.code == 0
    offered = {text.split()[0] for text in capsys.readouterr().out.splitlines() if text.startswith("    ")}
    assert {"up", "serve", "migrate", "doctor", "schema"} <= offered
    for command in offered:
        with pytest.raises(SystemExit) as end:
            main([command, "--help"])
        assert end.value.code == 0


def test_a_bad_setting_is_one_line_without_a_traceback(tmp_path: Path) -> None:
    done = tidegate("doctor", TIDEGATE_HTTP_PORT="eight thousand", TIDEGATE_DATA_DIR=str(tmp_path))
    assert done.returncode == 1
    assert (
        done.stderr == "tidegate: TIDEGATE_HTTP_PORT is 'eight thousand': it must be a port number from 1 to 65535.\n"
    )


def test_only_what_takes_long_to_load_can_stand_by(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "worker", "--stand-by"]) == 1
    assert capsys.readouterr().err == "tidegate: worker cannot stand by, only web can: leave --stand-by out.\n"


def test_whoever_reads_only_the_beginning_sees_no_traceback(tmp_path: Path) -> None:
    read, write = os.pipe()
    os.close(read)  # as `head` does when it has had enough
    environ = {**os.environ, "TIDEGATE_DATA_DIR": str(tmp_path)}
    try:
        done = subprocess.run(
            [sys.executable, "-m", "infra.cli", "doctor"],
            env=environ,
            stdout=write,
            stderr=subprocess.PIPE,
            text=True,
            timeout=180,
            check=False,
        )
    finally:
        os.close(write)
    assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, "")


def test_a_second_up_in_the_same_folder_is_refused_in_one_line(tmp_path: Path) -> None:
    with claims.claimed(tmp_path):
        done = tidegate("up", TIDEGATE_DATA_DIR=str(tmp_path))
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert f"already runs here as process {os.getpid()}" in done.stderr


def test_up_refuses_to_ignore_a_database_that_was_set(tmp_path: Path) -> None:
    done = tidegate("up", TIDEGATE_DATA_DIR=str(tmp_path), TIDEGATE_DATABASE_URL="postgresql://db.example/tidegate")
    assert done.returncode == 1
    assert "TIDEGATE_DATABASE_URL is set" in done.stderr
    assert not (tmp_path / "postgres").exists()


def test_migrate_without_a_database_says_where_to_get_one(tmp_path: Path) -> None:
    done = tidegate("migrate", TIDEGATE_DATA_DIR=str(tmp_path))
    assert done.returncode == 1
    assert "start it with tidegate up, or set TIDEGATE_DATABASE_URL" in done.stderr


def test_the_documents_name_only_commands_and_settings_that_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    texts = [path.read_text() for path in (ROOT / "README.md", *(ROOT / "adr").glob("*.md"))]
    said = {
        tuple(found.split()) for text in texts for found in re.findall(r"`(?:\.venv/bin/)?tidegate ([a-z ]+)", text)
    }
    said |= {("bench", found) for text in texts for found in re.findall(r"`bench ([a-z]+)`", text)}
    assert {("doctor",), ("bench", "registry"), ("audit", "verify")} <= said
    for words in sorted(said):
        with pytest.raises(SystemExit) as end:
            main([*words, "--help"])
        assert end.value.code == 0, words
    known = {variable(field.name) for field in dataclasses.fields(Settings)}
    named = {found for text in texts for found in re.findall(r"TIDEGATE_[A-Z_]+", text)}
    assert named - {"TIDEGATE_TEST_DATABASE_URL"} <= known  # which the tests alone read
    assert len(named) > 10
