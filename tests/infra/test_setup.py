"""Set-up tells what it does, and what is missing, in lines a newcomer can act on."""

import gzip
import io
import os
import shutil
import subprocess
import threading
import time
from pathlib import Path

import pytest

from infra.local import console_build
from infra.local.errors import SetupProblem
from infra.local.voice import Voice

ROOT = Path(__file__).resolve().parents[2]
STEP = ROOT / "infra" / "local" / "step.sh"


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A folder with what `make setup` reads first."""
    for name in ("Makefile", "infra/local/step.sh"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def make(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """As a newcomer does: what `make test`, which runs this, tells the makes below it, is not for this one."""
    alone = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    return subprocess.run(
        ["make", *arguments], cwd=folder, env=alone, capture_output=True, text=True, timeout=180, check=False
    )


def test_a_python_that_is_too_old_is_named_before_anything_is_made(clone: Path) -> None:
    old = clone / "python3.9"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    done = make(clone, "setup", f"PYTHON={old}")
    assert done.returncode != 0
    assert f"{old} is not Python 3.11, 3.12 or 3.13" in done.stderr
    assert not (clone / ".venv").exists()


def test_a_python_without_venv_is_told_what_to_install(clone: Path) -> None:
    without = clone / "python3"
    without.write_text('#!/bin/sh\ncase "$2" in *ensurepip*) exit 1;; esac\nexit 0\n')
    without.chmod(0o755)
    done = make(clone, "setup", f"PYTHON={without}")
    assert done.returncode != 0
    assert "apt-get install python3-venv" in done.stderr


@pytest.mark.parametrize(
    ("fit", "fast", "kept", "chosen"),
    [
        ("abc", "bc", "", "b"),  # the first that is fast
        ("abc", "", "", "a"),  # none is: the first
        ("bc", "a", "", "b"),  # what does not fit is not taken for being fast
        ("abc", "b", "c", "c"),  # an environment keeps its own
        ("ab", "b", "c", "b"),  # whose own has gone, is made by another
    ],
)
def test_of_the_pythons_that_fit_one_that_was_built_to_be_fast_makes_a_new_environment(
    clone: Path, fit: str, fast: str, kept: str, chosen: str
) -> None:
    for name in "abc":
        answers = (
            f"*--enable-optimizations*) exit {int(name not in fast)};; *version_info*) exit {int(name not in fit)};;"
        )
        (clone / name).write_text(f'#!/bin/sh\ncase "$2" in {answers} esac\n')
        (clone / name).chmod(0o755)
    if kept:
        (clone / ".venv").mkdir()
        (clone / ".venv" / "pyvenv.cfg").write_text(f"home = {clone}\nexecutable = {clone / kept}\n")
    candidates = " ".join(str(clone / name) for name in ("none", *"abc"))
    done = make(clone, f"CANDIDATES={candidates}", "--eval=which: ; @echo '$(PYTHON)'", "which")
    assert done.stdout.split() == [str(clone / chosen)]


@pytest.mark.parametrize("is_cut_off", [False, True])
def test_an_environment_whose_installation_was_cut_off_is_made_again_and_a_good_one_is_kept(
    clone: Path, is_cut_off: bool
) -> None:
    python = clone / "python3"
    python.write_text(
        f'#!/bin/sh\necho "$@" >> {clone}/calls\n'
        'case "$*" in *"-m venv"*|*"-m pip"*) exit 9;; *print*) echo "(3, 12)";; esac\n'
    )
    python.chmod(0o755)
    (clone / ".venv" / "bin").mkdir(parents=True)
    shutil.copy(python, clone / ".venv" / "bin" / "python")
    (clone / ".venv" / "bin" / "pip").write_text(f"#!{clone}/.venv/bin/python\n")
    if is_cut_off:
        (clone / ".venv" / ".installing").touch()
    assert make(clone, "setup", f"PYTHON={python}").returncode != 0
    assert ("-m venv --clear" in (clone / "calls").read_text()) == is_cut_off
    assert (clone / ".venv" / ".run-installed").exists() is False


def test_a_step_says_what_it_does_and_how_long_it_took_and_keeps_its_noise() -> None:
    done = subprocess.run([STEP, "counting", "echo", "noise"], capture_output=True, text=True, check=True)
    first, second = done.stdout.splitlines()
    assert first == "counting …"
    assert second.startswith("counting: ")
    assert second.endswith(" s")


def test_a_step_that_fails_shows_its_output_and_passes_its_exit_code_on() -> None:
    done = subprocess.run(
        [STEP, "breaking", "sh", "-c", "echo the reason; exit 7"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 7
    assert "the reason" in done.stderr


def test_the_console_is_built_again_when_a_source_changes_and_not_for_what_the_build_leaves(tmp_path: Path) -> None:
    (tmp_path / "pages").mkdir()
    page = tmp_path / "pages" / "devices.py"
    page.write_text("one")
    before = console_build.inputs_hash(tmp_path)
    (tmp_path / ".web").mkdir()
    (tmp_path / ".web" / "bundle.js").write_text("built")
    (tmp_path / "pages" / "__pycache__").mkdir()
    (tmp_path / "pages" / "__pycache__" / "devices.pyc").write_text("compiled")
    (tmp_path / "requirements.txt").write_text("reflex==0.10.1")
    assert console_build.inputs_hash(tmp_path) == before
    page.write_text("two")
    assert console_build.inputs_hash(tmp_path) != before


def test_two_who_want_the_console_at_once_get_one_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    web = tmp_path / ".web"
    for name, path in (("UI", tmp_path), ("CLIENT", web / "client"), ("STAMP", web / "stamp"), ("LOCK", web / "lock")):
        monkeypatch.setattr(console_build, name, path)
    (tmp_path / "rxconfig.py").touch()
    monkeypatch.setattr(console_build, "inputs_hash", lambda: "what it is made of")
    monkeypatch.setattr(console_build, "_make_addresses_relative", lambda _client: None)
    builds: list[str] = []
    said = io.StringIO()

    def export(_voice: Voice) -> None:
        builds.append("begun")
        second.start()
        until = time.monotonic() + 20
        while "waiting" not in said.getvalue():
            assert time.monotonic() < until, "the second did not wait"
            time.sleep(0.01)
        (web / "client").mkdir()

    monkeypatch.setattr(console_build, "_export", export)
    second = threading.Thread(target=console_build.build, args=(Voice(said),))
    console_build.build(Voice(io.StringIO()))
    second.join(20)
    assert not second.is_alive()
    assert builds == ["begun"]
    assert console_build.is_current()


def test_the_built_console_talks_to_whatever_address_it_came_from(tmp_path: Path) -> None:
    (tmp_path / "assets").mkdir()
    script = tmp_path / "assets" / "reflex-env-B1.js"
    script.write_text("var e={PING:`http://localhost:8000/ping`,EVENT:`ws://localhost:8000/_event`};")
    (tmp_path / "assets" / "reflex-env-B1.js.gz").write_bytes(gzip.compress(b"old"))
    console_build._make_addresses_relative(tmp_path)
    text = script.read_text()
    assert text == ("var e={PING:location.origin+`/ping`,EVENT:location.origin.replace(/^http/,`ws`)+`/_event`};")
    assert gzip.decompress((tmp_path / "assets" / "reflex-env-B1.js.gz").read_bytes()).decode() == text
    console_build._make_addresses_relative(tmp_path)
    assert script.read_text() == text


def test_a_console_that_writes_its_address_otherwise_stops_the_build(tmp_path: Path) -> None:
    (tmp_path / "assets").mkdir()
    with pytest.raises(SetupProblem, match="0 reflex-env scripts"):
        console_build._make_addresses_relative(tmp_path)
    (tmp_path / "assets" / "reflex-env-B1.js").write_text("var e={};")
    with pytest.raises(SetupProblem, match="No address found"):
        console_build._make_addresses_relative(tmp_path)


def test_logs_are_told_in_words_on_a_terminal_and_left_as_json_elsewhere() -> None:
    line = '{"at": "2026-01-02T03:04:05.678Z", "level": "info", "process": "x", "logger": "y", "event": "a.b", "n": 3}'
    plain, terminal = io.StringIO(), _Terminal()
    Voice(plain).quote("ingest", line)
    Voice(terminal).quote("ingest", line)
    assert plain.getvalue() == f"ingest   | {line}\n"
    assert terminal.getvalue().endswith("03:04:05 info    a.b n=3\n")


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True
