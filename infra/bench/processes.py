"""What the processes of a platform use, read from /proc (proc(5)): CPU time and memory, by the name of the process."""

import os
from dataclasses import dataclass
from pathlib import Path

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
OUR_ROLES = "tidegate_"


@dataclass(frozen=True, slots=True)
class Usage:
    """CPU seconds since its start, ended children included; bytes of memory, shared pages divided by their users.

    `kernel_s` is the kernel's part of `cpu_s`: system calls, among them the network's way to the other end.
    """

    cpu_s: float
    memory_bytes: int
    kernel_s: float = 0.0


def named(parent: int) -> dict[str, int]:
    """The children of a supervisor by name: ingest, worker, worker2, tick, web, postgres, valkey.

    Of one name they are in the order of their starts: a process, then its spare.
    """
    found: dict[str, int] = {}
    for pid in sorted(children(parent), key=_began):
        name = _name(pid)
        if name:
            twins = sum(other.rstrip("0123456789") == name for other in found)
            found[f"{name}{twins + 1}" if twins else name] = pid
    return found


def usage(pid: int) -> Usage:
    """What a process and its living and ended descendants have used; zero for one that is gone."""
    own = _stat(pid)
    if own is None:
        return Usage(0.0, 0)
    below = [usage(child) for child in children(pid)]
    cpu_s = sum(own[11:15]) / TICKS_PER_S  # utime, stime, and those of ended children: cutime, cstime
    kernel_s = (own[12] + own[14]) / TICKS_PER_S
    memory_bytes = _proportional_bytes(pid) or own[21] * PAGE_BYTES
    return Usage(
        cpu_s + sum(b.cpu_s for b in below),
        memory_bytes + sum(b.memory_bytes for b in below),
        kernel_s + sum(b.kernel_s for b in below),
    )


def served(postmaster: int) -> dict[str, float]:
    """CPU seconds of Postgres by the role it served, as `ingest`; `itself` is its own work and who has left."""
    found = {"itself": usage(postmaster).cpu_s}
    for pid in children(postmaster):
        title = _words(pid)[0].split()
        if len(title) > 1 and title[1].startswith(OUR_ROLES):
            role, used_s = title[1].removeprefix(OUR_ROLES), usage(pid).cpu_s
            found[role] = found.get(role, 0.0) + used_s
            found["itself"] -= used_s
    return found


def children(pid: int) -> list[int]:
    """The living children of a process, started by any of its threads."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*"):
        try:
            found += map(int, (task / "children").read_text().split())
        except OSError:
            continue
    return found


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and waits for its parent to notice does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except OSError:
        return False


def _began(pid: int) -> tuple[int, int]:
    """When it started, in ticks since the machine did; numbers of processes are given again."""
    stat = _stat(pid)
    return (stat[19] if stat else 0, pid)


def _name(pid: int) -> str | None:
    words = _words(pid)
    if "serve" in words:
        return words[words.index("serve") + 1]
    program = Path(words[0].split(" ")[0]).name  # Valkey writes its address behind its name
    return {"postgres": "postgres", "valkey-server": "valkey"}.get(program)


def _words(pid: int) -> list[str]:
    """Its command line; a backend of Postgres has its title there: `postgres: tidegate_worker tidegate … idle`."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return [""]


def _proportional_bytes(pid: int) -> int | None:
    """The proportional set size, so that Postgres' shared buffers count once; None where it may not be read."""
    try:
        rows = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return None
    return next((int(row.split()[1]) * 1024 for row in rows if row.startswith("Pss:")), None)


def _stat(pid: int) -> list[int] | None:
    """The numbers of /proc/PID/stat behind the name; field n of proc(5) is at n - 3, the state counts as 0."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()
    return [0, *map(int, fields[1:])]
