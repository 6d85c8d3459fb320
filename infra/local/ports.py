"""Free ports, taken ports, and a port remembered from one start to the next."""

import os
import random
import socket
import sys
from pathlib import Path

OURS = range(26_000, 32_768)
"""Below those that the system gives to whoever wants just any: Linux begins with 32,768."""


def free_port(host: str = "127.0.0.1") -> int:
    """A TCP port that nobody has at this moment; one of `OURS`, so that nobody is given it before its server begins."""
    for port in random.sample(OURS, 200):
        if is_free(port, host):
            return port
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def is_free(port: int, host: str = "127.0.0.1", *, is_udp: bool = False) -> bool:
    """Whether a TCP server, or one that takes datagrams, could listen on this port now."""
    with socket.socket(type=socket.SOCK_DGRAM if is_udp else socket.SOCK_STREAM) as probe:
        # TCP servers set SO_REUSEADDR; without it a port with connections in TIME_WAIT would look taken.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, int(not is_udp))
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True


def is_listening(port: int, host: str = "127.0.0.1", timeout_s: float = 0.5) -> bool:
    """Whether something accepts TCP connections on this port now."""
    try:
        with socket.create_connection((host, port), timeout=timeout_s):
            return True
    except OSError:
        return False


class Held:
    """Ports that a process has chosen and will listen on by and by: who chooses at the same time passes them over.

    Each is a name among the kernel's abstract sockets, which are a machine's, or a container's, as its ports are, and
    end with their process. Where there are none (not Linux) nothing is held.
    """

    def __init__(self) -> None:
        self._held: dict[str, socket.socket] = {}

    def take(self, port: int, host: str, *, is_udp: bool = False) -> bool:
        """Hold this port until `close`; False when another process holds it."""
        name = f"\0tidegate-{'udp' if is_udp else 'tcp'}-{host}-{port}"
        if sys.platform != "linux" or name in self._held:
            return True
        holding = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            holding.bind(name)
        except OSError:
            holding.close()
            return False
        self._held[name] = holding
        return True

    def __enter__(self) -> "Held":
        return self

    def __exit__(self, *error: object) -> None:
        for holding in self._held.values():
            holding.close()
        self._held.clear()


def next_free(
    port: int,
    host: str = "127.0.0.1",
    taken: frozenset[int] = frozenset(),
    *,
    is_udp: bool = False,
    held: Held | None = None,
) -> int:
    """The first port from `port` upwards that is free, not in `taken`, and, with `held`, no other process's choice.

    Any free port when the next 200 are not.
    """
    for candidate in range(port, min(port + 200, 65_536)):
        if candidate in taken or not is_free(candidate, host, is_udp=is_udp):
            continue
        if held is None or held.take(candidate, host, is_udp=is_udp):
            return candidate
    return free_port(host)


def remembered_port(file: Path, keep: bool) -> int:
    """The port written in `file`, so that URLs stay the same from start to start; another one if it is taken.

    `keep` is true when the server that has the port is our own and running.
    """
    if file.exists():
        port = int(file.read_text())
        if keep or is_free(port):
            return port
    port = free_port()
    file.write_text(f"{port}\n")
    return port


def holder(port: int) -> str | None:
    """Who listens on a TCP port, as "name (process 123)"; None when that cannot be seen (another user's process)."""
    sockets = _listening_sockets(port)
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if any(os.readlink(link) in sockets for link in (process / "fd").iterdir()):
                return f"{(process / 'comm').read_text().strip()} (process {process.name})"
        except OSError:
            continue
    return None


def _listening_sockets(port: int) -> set[str]:
    """The names /proc/PID/fd has for the sockets that listen on a port (columns of /proc/net/tcp, see proc(5))."""
    found = set()
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        for row in table.read_text().splitlines()[1:] if table.exists() else ():
            column = row.split()
            address, state, inode = column[1], column[3], column[9]
            if state == "0A" and int(address.rpartition(":")[2], 16) == port:
                found.add(f"socket:[{inode}]")
    return found
