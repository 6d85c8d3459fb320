"""A disk that can be filled: a folder in memory of a size of its own, for fault tests. Only root may make one."""

import os
import pwd
import subprocess
from pathlib import Path

from infra.local.errors import SetupProblem

SIZE_MIB = 1_536
BALLAST = "ballast"
STEP = 1 << 20


class SmallDisk:
    """A tmpfs of `SIZE_MIB` mounted at `path`, which belongs to the user that the engines of root run as."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._is_mounted = False

    def mount(self) -> None:
        """Make it. Raises SetupProblem without the right to."""
        if os.geteuid() != 0:
            raise SetupProblem(
                "Only root may mount the small disk that the kind 'full' fills: leave it out, or be root."
            )
        user = pwd.getpwnam("nobody")
        self.path.parent.chmod(0o711)  # the engine's user passes through
        self.path.mkdir()
        options = f"size={SIZE_MIB}m,mode=0700,uid={user.pw_uid},gid={user.pw_gid}"
        made = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(self.path)], capture_output=True, text=True
        )
        if made.returncode != 0:
            raise SetupProblem(f"The small disk that the kind 'full' fills cannot be mounted: {made.stderr.strip()}")
        self._is_mounted = True

    def fill(self) -> None:
        """Leave no byte on it."""
        with (self.path / BALLAST).open("wb") as file:
            step = STEP
            while step:
                try:
                    os.write(file.fileno(), bytes(step))
                except OSError:
                    step //= 16

    def empty(self) -> None:
        """Take away what filled it."""
        (self.path / BALLAST).unlink(missing_ok=True)

    def unmount(self) -> None:
        """Give it back with all that is on it."""
        if self._is_mounted:
            subprocess.run(["umount", "-l", str(self.path)], check=False)
            self._is_mounted = False
