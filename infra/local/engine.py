"""What the embedded engines have in common: a data folder and its user, a port, a server that is a child of ours."""

import signal
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path

from infra.local.errors import SetupProblem
from infra.local.ground import Ground, settle, uproot


class Engine(ABC):
    """One server with its own data folder. `start` and `stop` are for those who have no supervisor."""

    NAME: str
    DEFAULTS: Mapping[str, str]
    STOP: signal.Signals
    """Asks it to stop by itself."""
    FORCE: signal.Signals
    """Makes it stop when it does not."""

    def __init__(self, data_dir: Path, *, port: int = 0, settings: Mapping[str, str] | None = None) -> None:
        """`port` 0 takes a free one and remembers it in the data folder; `settings` go over the defaults."""
        self._data_dir = data_dir
        self._wanted_port = port
        self._settings = {**self.DEFAULTS, **(settings or {})}
        self._process: subprocess.Popen[bytes] | None = None
        self._ground: Ground | None = None
        self._port = port

    @abstractmethod
    def prepare(self) -> None:
        """Write the configuration and whatever else a start needs; may be repeated, also beside a running server."""

    @abstractmethod
    def command(self) -> list[str]:
        """The argument list that runs the server in the foreground; it ends when its parent dies."""

    @abstractmethod
    def is_ready(self) -> bool:
        """Whether the server answers."""

    @property
    def ground(self) -> Ground:
        """The data folder as it really lies, and who owns it."""
        if self._ground is None:
            self._ground = settle(self._data_dir)
        return self._ground

    @property
    def log_file(self) -> Path:
        """Where `start()` sends what the server says."""
        return self.ground.path / f"{self.NAME.lower()}.log"

    @property
    def port(self) -> int:
        """The port, known once prepared."""
        return self._port

    def start(self, timeout_s: float = 60) -> None:
        """Run the server as a child of this process and return when it answers."""
        deadline = time.monotonic() + timeout_s
        has_spawned = False
        while time.monotonic() < deadline:
            if self._has_ended():
                if has_spawned and not self._may_try_again():
                    said = self._last_words()
                    raise SetupProblem(f"{self.NAME} stopped at once: {said} (all of it in {self.log_file}).")
                self._spawn()
                has_spawned = True
            if self.is_ready():
                return
            time.sleep(0.05)
        self.stop()
        raise SetupProblem(f"{self.NAME} did not answer within {timeout_s:.0f} s; see {self.log_file}.")

    def stop(self, timeout_s: float = 20) -> None:
        """Stop the child started by `start()`: by itself, then by force."""
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return
        process.send_signal(self.STOP)
        try:
            process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            process.send_signal(self.FORCE)
            process.wait(10)

    def remove(self) -> None:
        """Stop the server and delete the whole data folder (used by tests)."""
        self.stop()
        uproot(self._data_dir)

    def _spawn(self) -> None:
        with self.log_file.open("wb") as log:
            self._process = subprocess.Popen(
                self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", start_new_session=True
            )

    def _has_ended(self) -> bool:
        return self._process is None or self._process.poll() is not None

    def _may_try_again(self) -> bool:
        """Whether what ended the server passes by itself."""
        return False

    def _last_words(self) -> str:
        said = self.log_file.read_text(errors="replace").strip().splitlines()
        return said[-1] if said else "no output"
