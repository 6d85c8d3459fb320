"""`tidegate data`: what root's engines keep on this machine, whose it is, and how what is nobody's is removed."""

import argparse
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from engine.settings import Settings
from infra.local import ground
from infra.local.errors import SetupProblem
from infra.local.ground import BELONGS_TO

QUIET_S = 15 * 60.0
"""What was written to since then may be in use where we cannot look: in another container, which shares the folder."""


@dataclass(frozen=True)
class Kept:
    """A folder of root's engines, and the data folder whose it is; `processes` use it now."""

    folder: Path
    owner: Path
    size_bytes: int
    written_at: float
    processes: Sequence[int]

    @property
    def is_orphan(self) -> bool:
        """Whether the data folder to which it belongs is not there."""
        return not self.owner.exists()

    def in_use(self) -> str:
        """Why it must stay although its owner is gone; empty when it need not."""
        if self.processes:
            return f"in use by process {', '.join(map(str, self.processes[:5]))}"
        quiet_s = time.time() - self.written_at
        return f"written to {max(0.0, quiet_s) / 60:.0f} minutes ago" if quiet_s < QUIET_S else ""

    def __str__(self) -> str:
        state = (self.in_use() or "nobody's") if self.is_orphan else "its folder exists"
        return f"{_size(self.size_bytes):>9}  {self.folder.name}  {state:<17}  {self.owner}"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Removing is asked for by name, and once more at the terminal."""
    parser.add_argument("--remove-orphans", action="store_true", help="remove the data whose owners are gone")
    parser.add_argument("--yes", action="store_true", help="do not ask before that")


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    """Print the folders, largest first, and remove what is nobody's if that was asked for. Raises SetupProblem."""
    if os.geteuid() != 0:
        print("Only root's engines keep data elsewhere; other users' keep it in .tidegate, or TIDEGATE_DATA_DIR.")
        return 0
    return report(ground.ROOTS_DATA, remove=arguments.remove_orphans, agreed=_ask if not arguments.yes else None)


def report(root: Path, *, remove: bool, agreed: Callable[[str], bool] | None) -> int:
    """As `run`; `agreed` is asked before anything goes."""
    found = sorted(kept(root), key=lambda each: -each.size_bytes)
    for each in found:
        print(each)
    orphans = [each for each in found if each.is_orphan and not each.in_use()]
    total = f"{_folders(len(orphans))}, {_size(sum(each.size_bytes for each in orphans))}"
    print(f"{_folders(len(found))}, {_size(sum(each.size_bytes for each in found))}; nobody's: {total}")
    if not orphans:
        return 0
    if not remove:
        print("tidegate data --remove-orphans removes what is nobody's.")
        return 0
    if agreed is not None and not agreed(f"Remove {total}, for good? Look above that no owner's disk is only away."):
        print("Nothing was removed.")
        return 1
    print(f"{_folders(sum(remove_orphan(each.folder) for each in orphans))} removed")
    return 0


def kept(root: Path) -> Iterator[Kept]:
    """Every folder that says whose it is; others, such as that of the binaries, are none of ours to judge."""
    folders = [note.parent for note in sorted(root.glob(f"*/{BELONGS_TO}"))]
    using = users(folders)
    for folder in folders:
        with suppress(FileNotFoundError):  # another one removed it
            size_bytes, written_at = _extent(folder)
            yield Kept(folder, _owner(folder), size_bytes, written_at, using[folder])


def remove_orphan(folder: Path) -> bool:
    """Remove a folder if it is nobody's still. It is renamed first: who begins anew now does not find half of it."""
    aside = folder.with_name(f"{folder.name}.removed-{os.getpid()}")
    try:
        folder.rename(aside)
    except FileNotFoundError:
        return False
    if _owner(aside).exists() or users([folder, aside]) != {folder: [], aside: []}:
        with suppress(OSError):  # its owner has begun anew, and has a new one: this one is listed, and stays
            aside.rename(folder)
        return False
    shutil.rmtree(aside)
    return True


def users(folders: Sequence[Path]) -> Mapping[Path, Sequence[int]]:
    """The processes that work in a folder, have a file of it open, or were started with its name."""
    found: dict[Path, list[int]] = {folder: [] for folder in folders}
    for process in Path("/proc").glob("[0-9]*"):
        named = "\n".join(_named(process))
        for folder in folders if named else ():
            if str(folder) in named:
                found[folder].append(int(process.name))
    return found


def _named(process: Path) -> Iterator[str]:
    """The paths by which a process can be known to use a folder; none when it has just ended."""
    with suppress(OSError):
        yield (process / "cmdline").read_bytes().decode(errors="replace")
    with suppress(OSError):
        yield os.readlink(process / "cwd")
    with suppress(OSError):
        for link in (process / "fd").iterdir():
            with suppress(OSError):
                yield os.readlink(link)


def _owner(folder: Path) -> Path:
    return Path((folder / BELONGS_TO).read_text().strip())


def _extent(folder: Path) -> tuple[int, float]:
    """What a folder takes on the disk, and when something in it was last written."""
    size_bytes, written_at = 0, 0.0
    for path, _, names in os.walk(folder):
        for name in (".", *names):
            with suppress(FileNotFoundError):
                found = os.lstat(os.path.join(path, name))
                size_bytes += found.st_blocks * 512
                written_at = max(written_at, found.st_mtime)
    return size_bytes, written_at


def _ask(question: str) -> bool:
    if not sys.stdin.isatty():
        raise SetupProblem("Nobody is here to be asked; say --yes as well.")
    return input(f"{question} [yes/no] ").strip().lower() == "yes"


def _size(size_bytes: int) -> str:
    mb = size_bytes / 2**20
    return f"{mb / 1024:.1f} GB" if mb >= 1024 else f"{mb:.0f} MB"


def _folders(count: int) -> str:
    return "1 folder" if count == 1 else f"{count} folders"
