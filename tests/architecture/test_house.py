"""The house keeps its own rules: what lies where, who imports whom, and that its names are its own."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import schema

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = {"schema", "resolvers", "engine", "ingest", "ui", "migrations", "infra", "adr", "tests"}
FILES = {"README.md", "pyproject.toml", "LICENSE", "Makefile", "requirements.lock", "requirements-dev.lock"}


def _tracked() -> list[str]:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    return listed.stdout.splitlines()


def test_the_package_called_schema_is_ours() -> None:
    assert Path(schema.__file__ or "").parent == ROOT / "schema"


def test_nothing_new_stands_at_the_top() -> None:
    top = {path.split("/")[0] for path in _tracked()}
    assert {name for name in top if not name.startswith(".")} <= FOLDERS | FILES
    assert top >= FOLDERS


def test_imports_follow_the_floors_of_the_house() -> None:
    lint = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([lint, "--no-logo"], cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-dev.lock"])
def test_locks_are_hashed_and_name_no_source(lock: str) -> None:
    lines = (ROOT / lock).read_text().splitlines()
    assert not [line for line in lines if "://" in line or line.startswith("-")]
    pinned = [line for line in lines if "==" in line]
    assert len(pinned) > 50
    assert all(line.rstrip().endswith("\\") for line in pinned)


def test_every_module_opens_with_a_sentence() -> None:
    silent = []
    for path in _tracked():
        if path.endswith(".py") and not path.startswith("tests/"):
            first = (ROOT / path).read_text().lstrip()
            if not first.startswith(('"""', 'r"""')):
                silent.append(path)
    assert silent == []


def test_every_decision_has_a_record_that_the_index_names() -> None:
    index = (ROOT / "adr" / "README.md").read_text()
    records = sorted(path.name for path in (ROOT / "adr").glob("0*.md"))
    assert records
    for record in records:
        title = (ROOT / "adr" / record).read_text().splitlines()[0]
        assert title.startswith("# "), record
        assert f"({record})" in index, f"adr/README.md does not name {record}"
        assert title.removeprefix("# ") in index, f"adr/README.md tells another title of {record}"


def test_what_tests_of_a_folder_share_ends_with_the_last_of_them() -> None:
    """In a folder that is no package, pytest keeps a fixture of scope "package" until the run ends, silently: an ingest
    process of one folder's tests then goes on beside all others on the same database.
    """
    modules = (ROOT / "tests").rglob("*.py")
    shared = [path for path in modules if '\n@pytest.fixture(scope="package")' in path.read_text()]
    folders = {folder for path in shared for folder in path.parents if folder.is_relative_to(ROOT / "tests")}
    assert ROOT / "tests" in folders
    assert {folder for folder in folders if not (folder / "__init__.py").is_file()} == set()


def test_what_ruff_lets_pass_in_its_place_bandit_lets_pass_too() -> None:
    """`.ci/security` is not part of `make test`: it would stand still on such a line, and look at nothing behind it."""
    skips = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["bandit"]["skips"]
    product = [path for path in _tracked() if path.endswith(".py") and not path.startswith(("tests/", "adr/"))]
    let_pass = [
        (path, line, rule)
        for path in product
        for line in (ROOT / path).read_text().splitlines()
        for rule in re.findall(r"\bS(\d{3})\b", line.partition("# noqa:")[2])
    ]
    assert len(let_pass) > 10
    assert [(path, line) for path, line, rule in let_pass if f"B{rule}" not in skips and "nosec" not in line] == []
