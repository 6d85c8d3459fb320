"""Files with a secret key in them: made on first use, whole or not at all, readable by their owner alone."""

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

from engine.errors import Unavailable


class KeyUnreadable(Unavailable):
    """A key of this installation cannot be read at the moment."""

    code = "KEY_UNREADABLE"


def read(path: Path, size_bytes: int) -> bytes:
    """The key in ``path``. Raises KeyUnreadable."""
    try:
        key = path.read_bytes()
    except OSError as error:
        raise KeyUnreadable(f"The key file {path.name} cannot be read: {error.strerror}.") from error
    if len(key) != size_bytes:
        raise KeyUnreadable(f"The key file {path.name} does not hold a key.")
    return key


def read_or_make(path: Path, size_bytes: int) -> bytes:
    """The key in ``path``, made of random bytes if there is none. Raises KeyUnreadable."""
    if not path.exists():
        make(path, size_bytes)
    return read(path, size_bytes)


def make(path: Path, size_bytes: int) -> None:
    """Make a key; whoever comes second uses the first one's. Raises KeyUnreadable."""
    write(path, os.urandom(size_bytes))


def write(path: Path, key: bytes) -> None:
    """Put ``key`` into ``path`` unless there is one already. Raises KeyUnreadable."""
    _put(path, key, os.link)


def replace(path: Path, key: bytes) -> None:
    """Put ``key`` into ``path`` whatever is there. Raises KeyUnreadable."""
    _put(path, key, os.replace)


def _put(path: Path, key: bytes, settle: Callable[[Path, Path], None]) -> None:
    """Whole or not at all."""
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(key)
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            settle(unfinished, path)
        _make_lasting(path.parent)
    except OSError as error:
        raise KeyUnreadable(f"The key file {path.name} cannot be made: {error.strerror}.") from error
    finally:
        unfinished.unlink(missing_ok=True)


def _make_lasting(folder: Path) -> None:
    """The name of a file is its folder's to keep: without this a power cut may take it away."""
    held = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(held)
    finally:
        os.close(held)
