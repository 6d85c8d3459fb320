"""A process of the tests that hangs where nothing can reach it ends, and the run says where it hung."""

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

HANGING = {
    "deaf": """
        import time

        def test_hangs():
            while True:
                try:
                    time.sleep(3600)  # here
                except BaseException:
                    pass
        """,
    "waits again as it is left": """
        import asyncio

        async def never():
            await asyncio.Event().wait()  # here

        async def test_hangs():
            try:
                await never()
            finally:
                await never()
        """,
}
HOLDING = """
    import ctypes

    def test_hangs():
        mutex, held = ctypes.create_string_buffer(128), ctypes.PyDLL(None).pthread_mutex_lock
        held(mutex)
        held(mutex)  # waits for itself, and keeps Python's lock meanwhile
    """
AFTERWARDS = """
    import os
    import threading

    def pytest_sessionfinish():
        if os.environ.get("PYTEST_XDIST_WORKER") == "gw0":
            threading.Event().wait()  # here
    """
SCHEDULED = """
    from tests.support.hung import Resuming

    def pytest_xdist_make_scheduler(config, log):
        return Resuming(config, log)
    """
ENDS = "def test_ends():\n    pass\n"
TESTS = Path(__file__).parents[1]
FOR_ALL = re.compile(r"""setattr\((?:["'][\w.]+\.asyncio\.|\w+\.asyncio, |asyncio, )""")
INI = "[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = session\ntimeout = 1\nhung_after = 3\n"


def _run(folder: Path, **files: str) -> subprocess.CompletedProcess[str]:
    for name, text in files.items():
        (folder / f"{name}.py").write_text(textwrap.dedent(text))
    (folder / "pytest.ini").write_text(INI)
    argv = [sys.executable, "-m", "pytest", "-p", "tests.support.hung", "-p", "no:cacheprovider", "-n", "1", "-q"]
    argv += ["--rootdir", str(folder), "-c", str(folder / "pytest.ini"), str(folder)]
    plain = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    return subprocess.run(argv, env=plain, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.slow
@pytest.mark.parametrize("how", HANGING)
def test_a_test_that_cannot_be_interrupted_ends_with_its_process_and_says_where_it_was(
    how: str, tmp_path: Path
) -> None:
    run = _run(tmp_path, conftest=SCHEDULED, test_planted=HANGING[how], test_then=ENDS)
    told = run.stdout.partition("= hung: gw0 =")[2]
    assert run.returncode == 1, run.stdout + run.stderr
    assert "Did not end: test_planted.py::test_hangs." in told
    assert "# here" in told
    assert " 1 passed" in told


@pytest.mark.slow
def test_what_hangs_when_no_test_runs_is_told_as_well(tmp_path: Path) -> None:
    run = _run(tmp_path, conftest=AFTERWARDS, test_then=ENDS)
    told = run.stdout.partition("= hung: gw0 =")[2]
    assert "Did not end: what comes after test_then.py::test_ends." in told, run.stdout + run.stderr
    assert "# here" in told


@pytest.mark.slow
def test_a_test_that_lets_no_thread_run_ends_as_well(tmp_path: Path) -> None:
    run = _run(tmp_path, test_planted=HOLDING, test_then=ENDS)
    told = run.stdout.partition("= hung: gw0, where no thread could run =")[2]
    assert "test_planted.py" in told, run.stdout + run.stderr
    assert "in test_hangs" in told
    assert " 1 passed" in told


@pytest.mark.slow
def test_what_a_process_had_still_to_do_is_done_by_the_next_one_though_nobody_else_is_left(tmp_path: Path) -> None:
    run = _run(tmp_path, conftest=SCHEDULED, test_first=ENDS, test_planted=HANGING["deaf"], test_then=ENDS, test_z=ENDS)
    assert "1 failed, 3 passed" in run.stdout, run.stdout + run.stderr


def test_no_test_changes_asyncio_for_all_who_run_beside_it() -> None:
    """A server that another test left running ticked by a sleep that took no time, and never let go of the loop."""
    assert FOR_ALL.search('monkeypatch.setattr("ui.pages.inbox.asyncio.sleep", at_once)')
    assert [
        str(file) for file in TESTS.rglob("test_*.py") if file != Path(__file__) and FOR_ALL.search(file.read_text())
    ] == []
