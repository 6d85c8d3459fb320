"""`tidegate vault rotate`: put another key in force where keys are sealed; what was sealed before opens as before."""

import argparse
from pathlib import Path

from engine.certificates.errors import VaultSealed
from engine.certificates.keepers import LocalKeeper
from engine.certificates.vault import path_of
from engine.provisioning import contexts
from engine.settings import Settings
from infra.local.errors import SetupProblem


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What may be said after the command's name."""
    parser.add_argument("deed", choices=["rotate"], help="rotate: seal with a new key from now on")


def run(_: argparse.Namespace, settings: Settings) -> int:
    """Rotate the local keys: that of the vault, and that of devices' contexts, if there is one yet (ADR 63).

    Running processes need not be told. Raises SetupProblem.
    """
    path, of_contexts = path_of(settings), contexts.path_of(settings)
    if not path.parent.is_dir():
        raise SetupProblem(f"There is no data folder {path.parent}; set TIDEGATE_DATA_DIR to the one that is in use.")
    for each in (path, of_contexts) if of_contexts.exists() else (path,):
        _rotate(each)
    return 0


def _rotate(path: Path) -> None:
    try:
        former, new = LocalKeeper(path).rotate()
    except VaultSealed as error:
        raise SetupProblem(f"The key {path.name} could not be changed: {error.message}") from error
    print(f"sealing with {new} from now on; {former} still opens what it sealed")
    print(f"keep every {path.stem}-*{path.suffix} in {path.parent}, and in its backups: without them it stays shut")
