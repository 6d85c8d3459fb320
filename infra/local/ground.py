"""Where an embedded engine keeps its data, and as which user of this machine it runs.

An ordinary user's engines run as that user, their data in the project's own data folder. Root's engines run as `nobody`
(PostgreSQL refuses to run as root), who could not enter a project below root's closed home: their data lies under
/var/lib/tidegate, in a folder named after the project's, and the project's data folder holds a link to it.
"""

import hashlib
import importlib.metadata
import json
import os
import pwd
import secrets
import shutil
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from infra.local.errors import SetupProblem

ROOTS_DATA = Path("/var/lib/tidegate")
BELONGS_TO = "belongs-to"


@dataclass(frozen=True)
class Ground:
    """A data folder (resolved, existing) and the user whose process writes in it."""

    path: Path
    uid: int
    gid: int

    @property
    def is_another_user(self) -> bool:
        return self.uid != os.geteuid()

    def command(self, argv: list[str], on_parents_death: str) -> list[str]:
        """`argv` run as this ground's user, sent the signal (KILL, QUIT, …) when the process that started it dies."""
        if not self.is_another_user:
            return dying_with_parent(argv, on_parents_death)
        if shutil.which("setpriv") is None:
            raise SetupProblem("setpriv is missing (Debian package util-linux); root needs it to start the engines.")
        rights = [f"--reuid={self.uid}", f"--regid={self.gid}", "--clear-groups", "--no-new-privs"]
        return ["setpriv", "--pdeathsig", on_parents_death, *rights, "--", *argv]

    def give(self, path: Path) -> None:
        """Make the engine's user the owner of `path`."""
        if self.is_another_user:
            os.chown(path, self.uid, self.gid)


def dying_with_parent(argv: list[str], signal_name: str = "KILL") -> list[str]:
    """`argv` wrapped so that the kernel sends it the signal when its parent dies, however that happens.

    The parent is the thread that started it, so start children from the main thread. Where there is no setpriv (not
    Linux) nothing is wrapped.
    """
    if shutil.which("setpriv") is None:
        return argv
    return ["setpriv", "--pdeathsig", signal_name, "--", *argv]


def settle(data_dir: Path) -> Ground:
    """Make (or find again) the data folder; for root, below /var/lib/tidegate and linked from `data_dir`."""
    data_dir = Path(os.path.abspath(data_dir))
    try:
        if os.geteuid() != 0:
            data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
            return Ground(data_dir.resolve(), os.geteuid(), os.getegid())
        return _settle_for_root(data_dir)
    except OSError as refusal:
        raise SetupProblem(
            f"Cannot make the data folder {data_dir} ({refusal.strerror}). "
            f"Make {data_dir.parent} writable for this user, or set TIDEGATE_DATA_DIR to a folder that is."
        ) from refusal


def _settle_for_root(data_dir: Path) -> Ground:
    if data_dir.is_dir() and not data_dir.is_symlink() and data_dir.stat().st_uid != 0:
        owner = data_dir.stat()  # begun by an ordinary user: stays that user's
        return Ground(data_dir, owner.st_uid, owner.st_gid)
    project = hashlib.sha256(str(data_dir.parent).encode()).hexdigest()[:16]
    real = data_dir.resolve() if data_dir.is_dir() else ROOTS_DATA / project / data_dir.name
    if not data_dir.is_dir() and not data_dir.is_symlink():
        _set_aside(real)
    for folder in (ROOTS_DATA, real.parent, real):
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o711)  # the engine's user may pass through, not look around
    if real.is_relative_to(ROOTS_DATA):
        (real.parent / BELONGS_TO).write_text(f"{data_dir.parent}\n")
    data_dir.parent.mkdir(parents=True, exist_ok=True)
    if not data_dir.exists():
        data_dir.unlink(missing_ok=True)  # a link whose target is gone
        data_dir.symlink_to(real)
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError:
        raise SetupProblem("There is no user called nobody to run PostgreSQL as; run as an ordinary user.") from None
    return Ground(real, nobody.pw_uid, nobody.pw_gid)


def _set_aside(folder: Path) -> None:
    """Keep data that no link leads to any more under another name: who removed `.tidegate` wants to begin anew."""
    if folder.is_dir() and any(folder.iterdir()):
        folder.rename(folder.with_name(f"{folder.name}.left-{datetime.now(UTC):%Y%m%dT%H%M%S}"))


def uproot(data_dir: Path) -> None:
    """Delete the data of an engine that has stopped, wherever it lies, and root's link and note to it.

    A start that failed may have made none: then that is what there is to be said, not that it could not be removed.
    """
    real = data_dir.resolve()
    if real.exists():
        shutil.rmtree(real)
    if not data_dir.is_symlink():
        return
    data_dir.unlink()
    if [path.name for path in real.parent.iterdir()] == [BELONGS_TO]:
        shutil.rmtree(real.parent)


def forsaken(root: Path = ROOTS_DATA) -> list[Path]:
    """Folders of root's engines whose project no longer exists: safe to remove, but never removed by us."""
    notes = root.glob(f"*/{BELONGS_TO}") if os.access(root, os.R_OK) else ()
    return sorted(note.parent for note in notes if not Path(note.read_text().strip()).exists())


def reachable_binaries(package: str, distribution: str, ground: Ground, also: Iterable[str] = ()) -> Path:
    """The folder of a package's binaries that the ground's user can read: a copy for root, in place otherwise.

    The copy is made once a version, beside the folders in `also` that its libraries are found in, and appears whole or
    not at all.
    """
    installed = Path(str(importlib.metadata.distribution(distribution).locate_file(""))).resolve()
    if not ground.is_another_user:
        return installed / package
    version = importlib.metadata.version(distribution)
    target = ROOTS_DATA / "binaries" / f"{distribution}-{version}"
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        target.parent.chmod(0o755)
        ROOTS_DATA.chmod(0o711)
        unfinished = target.with_name(f"{target.name}.{os.getpid()}")
        for name in (package, *also):
            shutil.copytree(installed / name, unfinished / name, ignore=shutil.ignore_patterns("__pycache__", "*.a"))
        _open_for_reading(unfinished)
        try:
            unfinished.rename(target)
        except OSError:  # another process was quicker
            shutil.rmtree(unfinished)
    return target / package


def _open_for_reading(folder: Path) -> None:
    """Let everybody read and run what lies in the folder, whatever umask it was copied under."""
    folder.chmod(0o755)
    for path in folder.rglob("*"):
        if not path.is_symlink():
            runs = path.is_dir() or path.stat().st_mode & stat.S_IXUSR
            path.chmod(0o755 if runs else 0o644)


def private_file(path: Path, text: str, ground: Ground | None = None) -> None:
    """Write `text` to a file that only its owner (this user, or the ground's) may read, whole or not at all."""
    unfinished = path.with_name(f"{path.name}.{os.getpid()}")
    unfinished.unlink(missing_ok=True)
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    if ground is not None:
        ground.give(unfinished)
    unfinished.replace(path)


def kept_passwords(path: Path, names: Iterable[str]) -> dict[str, str]:
    """Random passwords by name, made on the first call and kept in a private file from then on."""
    kept: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
    missing = [name for name in names if name not in kept]
    if missing:
        kept |= {name: secrets.token_urlsafe(24) for name in missing}
        private_file(path, json.dumps(kept, indent=1) + "\n")
    return kept
