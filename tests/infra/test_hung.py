"""A process of the tests that hangs where nothing can reach it ends, and the run says where it hung."""

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
AFTERWARDS = """
    import os
    import threading

    def pytest_sessionfinish():
        if "PYTEST_XDIST_WORKER" in os.environ:
            threading.Event().wait()  # here
    """
INI = "[pytest]\nasyncio_mode = auto\ntimeout = 1\nhung_after = 3\n"


def _run(folder: Path, **files: str) -> subprocess.CompletedProcess[str]:
    for name, text in files.items():
        (folder / f"{name}.py").write_text(textwrap.dedent(text))
    (folder / "pytest.ini").write_text(INI)
    argv = [sys.executable, "-m", "pytest", "-p", "tests.support.hung", "-p", "no:cacheprovider", "-n", "1", "-q"]
    argv += ["--rootdir", str(folder), "-c", str(folder / "pytest.ini"), str(folder)]
    return subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.slow
@pytest.mark.parametrize("how", HANGING)
def test_a_test_that_cannot_be_interrupted_ends_with_its_process_and_says_where_it_was(
    how: str, tmp_path: Path
) -> None:
    run = _run(tmp_path, test_planted=HANGING[how], test_then="def test_ends():\n    pass\n")
    told = run.stdout.partition("= hung: gw0 =")[2]
    assert run.returncode == 1, run.stdout + run.stderr
    assert "Did not end: test_planted.py::test_hangs." in told
    assert "# here" in told
    assert " 1 passed" in told


@pytest.mark.slow
def test_what_hangs_when_no_test_runs_is_told_as_well(tmp_path: Path) -> None:
    run = _run(tmp_path, conftest=AFTERWARDS, test_then="def test_ends():\n    pass\n")
    told = run.stdout.partition("= hung: gw0 =")[2]
    assert "Did not end: what comes after test_then.py::test_ends." in told, run.stdout + run.stderr
    assert "# here" in told
