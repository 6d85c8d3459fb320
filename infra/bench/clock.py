"""A clock that can be put forward and back for a whole platform, engines included, by the library libfaketime.

What counts as elapsed (the monotonic clock) goes on as ever: only the time of day moves, as when an operator sets it or
a machine wakes up and hears from a time server.
"""

import importlib.util
import shutil
from collections.abc import Mapping
from pathlib import Path

from infra.local.errors import SetupProblem

READ_EVERY_S = 1


class Clock:
    """The time of day of every process that has `environment`, in a file below `folder`."""

    def __init__(self, folder: Path) -> None:
        """Raises SetupProblem where the library is not installed."""
        found = importlib.util.find_spec("libfaketime")
        if found is None or found.origin is None:
            raise SetupProblem(
                "The kind 'clock' wants the package libfaketime, one of those that Tidegate is tested with."
            )
        folder.chmod(0o711)  # the engines' user reads both
        library = folder / "libfaketime.so.1"
        shutil.copy(Path(found.origin).parent / "vendor/libfaketime/src" / library.name, library)
        library.chmod(0o644)
        self._file = folder / "time-of-day"
        self.put(0)
        self.environment: Mapping[str, str] = {
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_CACHE_DURATION": str(READ_EVERY_S),
            "DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    def put(self, seconds: int) -> None:
        """So many seconds before (+) or behind (-) the machine's own; noticed within READ_EVERY_S."""
        unfinished = self._file.with_suffix(".new")
        unfinished.write_text(f"{seconds:+d}\n")
        unfinished.chmod(0o644)
        unfinished.rename(self._file)
