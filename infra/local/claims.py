"""What a start needs for itself: the folder (one `up` at a time), room on the disk, ports; refusals say the remedy."""

import errno
import fcntl
import json
import os
import shutil
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

from engine.settings import Settings, variable
from infra.local.errors import SetupProblem
from infra.local.ground import private_file
from infra.local.ports import Held, holder, is_free, next_free

NEEDED_MB = 500
PORTS = (
    "http_port",
    "ingest_http_port",
    "ingest_https_port",
    "mqtt_port",
    "mqtts_port",
    "mqtt_ws_port",
    "mqtt_wss_port",
    "coap_port",
    "metrics_port",
)
"""Those that something listens on today."""
UDP = frozenset({"coap_port"})
"""Those of them that take datagrams."""
STATE = "up.json"
LOCK = "up.lock"


@contextmanager
def claimed(data_dir: Path) -> Iterator[None]:
    """Hold the data folder for this process; raises `SetupProblem` when it cannot be written or somebody holds it."""
    _make_writable(data_dir)
    lock = os.open(data_dir / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            other = os.read(lock, 32).decode() or "?"
            raise SetupProblem(
                f"Tidegate already runs here as process {other}; stop it with Ctrl-C there or: kill {other}"
            ) from None
        os.ftruncate(lock, 0)
        os.write(lock, str(os.getpid()).encode())
        yield
    finally:
        os.close(lock)


def _make_writable(data_dir: Path) -> None:
    try:
        data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as refusal:
        raise SetupProblem(
            f"Cannot make the folder {data_dir} ({refusal.strerror}); "
            f"make {data_dir.parent} writable for this user or set TIDEGATE_DATA_DIR."
        ) from refusal
    if not os.access(data_dir, os.R_OK | os.W_OK | os.X_OK):
        owner = data_dir.owner()
        raise SetupProblem(
            f"This user may not write in {data_dir}, which belongs to {owner}; "
            f"run as {owner}, or: sudo chown -R $(id -un) {data_dir}"
        )


def check_disk(folder: Path, needed_mb: int = NEEDED_MB) -> None:
    """Raise `SetupProblem` when the disk of `folder` has less than `needed_mb` free."""
    free_mb = shutil.disk_usage(folder).free // 2**20
    if free_mb < needed_mb:
        raise SetupProblem(
            f"Only {free_mb} MB are free on the disk of {folder}, {needed_mb} MB are needed; "
            "free some, or set TIDEGATE_DATA_DIR to a folder on another disk."
        )


def choose_ports(
    settings: Settings, environ: Mapping[str, str], tell: Callable[[str], None], held: Held | None = None
) -> dict[str, int]:
    """A free port for each server, by the name of its setting.

    One that was set and is taken is an error; one that was not set moves to the next free port, which is told. `held`
    keeps them from an `up` that begins meanwhile.
    """
    held = held or Held()
    is_set = {name: bool(environ.get(variable(name), "").strip()) for name in PORTS}
    host_of = {name: settings.internal_host if name == "metrics_port" else settings.host for name in PORTS}
    chosen: dict[str, int] = {}
    for name in sorted(PORTS, key=lambda name: not is_set[name]):  # what was set comes first
        wanted: int = getattr(settings, name)
        if is_set[name]:
            _insist(name, wanted, host_of[name], chosen, held)
            chosen[name] = wanted
            continue
        used = frozenset(chosen.values())
        chosen[name] = next_free(wanted, host_of[name], used, is_udp=name in UDP, held=held)
        if chosen[name] != wanted:
            by = holder(wanted) or "another program"
            tell(f"port {wanted} is taken by {by}: using {chosen[name]} ({variable(name)})")
    return chosen


def internal_ports(
    processes: Iterable[str], settings: Settings, taken: Mapping[str, int], held: Held | None = None
) -> dict[str, int]:
    """A free internal port for each further process, following that of ingest; `held` as in `choose_ports`."""
    chosen: dict[str, int] = {}
    for process in processes:
        used = frozenset({*taken.values(), *chosen.values()})
        chosen[process] = next_free(taken["metrics_port"] + 1, settings.internal_host, used, held=held)
    return chosen


def _insist(name: str, port: int, host: str, chosen: Mapping[str, int], held: Held) -> None:
    for other, its_port in chosen.items():
        if its_port == port:
            raise SetupProblem(f"{variable(name)} and {variable(other)} are both {port}; give each its own port.")
    is_udp = name in UDP
    if not is_free(port, host, is_udp=is_udp):
        raise SetupProblem(f"{variable(name)}={port} cannot be used: {_why_not(port, host)}")
    if not held.take(port, host, is_udp=is_udp):
        words = "another tidegate up that has just begun will listen on it; choose another port."
        raise SetupProblem(f"{variable(name)}={port} cannot be used: {words}")


def _why_not(port: int, host: str) -> str:
    try:
        with socket.socket() as probe:
            probe.bind((host, port))
    except PermissionError:
        return "ports below 1024 need root; choose a higher one."
    except OSError as refusal:
        if refusal.errno == errno.EADDRNOTAVAIL:
            return f"this machine has no address {host}; set TIDEGATE_HOST to one that it has."
    return f"{holder(port) or 'another program'} listens on it; stop that, or choose another port."


def remember(data_dir: Path, ports: Mapping[str, int], internal: Mapping[str, int] = MappingProxyType({})) -> None:
    """Write down for the other commands which process runs here, on which ports, and where each one is measured."""
    metrics = {"ingest": ports["metrics_port"], **internal} if internal else {}
    said = {"pid": os.getpid(), "ports": dict(ports), "metrics": metrics}
    private_file(data_dir / STATE, json.dumps(said) + "\n")


def forget(data_dir: Path) -> None:
    """Nothing runs here any more."""
    (data_dir / STATE).unlink(missing_ok=True)


def running_ports(data_dir: Path) -> dict[str, int] | None:
    """The ports of the `tidegate up` that runs in this folder now, or None."""
    if running_process(data_dir) is None or not (data_dir / STATE).exists():
        return None
    ports: dict[str, int] = json.loads((data_dir / STATE).read_text())["ports"]
    return ports


def running_process(data_dir: Path) -> int | None:
    """The process number of the `tidegate up` that holds this folder, or None."""
    try:
        lock = os.open(data_dir / LOCK, os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return int(os.read(lock, 32) or b"0")
    finally:
        os.close(lock)
    return None
