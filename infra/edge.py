"""`tidegate edge FILE`: read the machines beside it, or with --check only say whether the file can be used."""

import argparse
import logging
import sys
from pathlib import Path

from engine.settings import Settings
from infra.local.errors import SetupProblem
from ingest.edge import config as configs
from ingest.edge import remote, service
from ingest.edge.config import Config
from ingest.edge.points import TableWrong
from ingest.edge.spool import SpoolTaken


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The words after `tidegate edge`."""
    parser.add_argument("file", type=Path, help="the edge's YAML file")
    parser.add_argument("--check", action="store_true", help="only say what the file says, or what is wrong with it")


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    """Run until told to end."""
    config = _load(arguments.file, goes_on=not arguments.check)
    if arguments.check:
        print(_said(config))
        return 0
    logging.basicConfig(
        level=logging.INFO,
        stream=sys.stderr,
        format="%(asctime)s %(levelname)s %(message)s",
        datefmt="%Y-%m-%d %H:%M:%S",
    )
    for library in ("pymodbus", "asyncua", "bacpypes3"):  # what they say, the edge says in words
        logging.getLogger(library).setLevel(logging.CRITICAL)
    try:
        return service.main(arguments.file, config)
    except (SpoolTaken, OSError) as error:
        raise SetupProblem(str(error)) from None


def _load(path: Path, *, goes_on: bool) -> Config:
    try:
        return configs.load(path, goes_on=goes_on)
    except TableWrong as wrong:
        raise SetupProblem(f"{path} cannot be used:\n{wrong}") from None
    except OSError as error:
        raise SetupProblem(f"{path} cannot be read: {error.strerror}.") from None


def _said(config: Config) -> str:
    """What would be done, line by line."""
    where = config.platform
    lines = [f"as {where.tenant}/d/{where.device} to {where.host}:{where.port}{' (TLS)' if where.is_tls else ''}"]
    lines.append(_whose(config))
    for name, connection in config.table.connections.items():
        lines.append(f"{name}: {connection.protocol} {connection.settings}")
        for point in config.table.of(name):
            unit = f" {point.unit}" if point.unit else ""
            lines.append(f"  {point.name}{unit}: {point.address}, {point.access}, every {point.report.every_s:g} s")
    return "\n".join([*lines, f"{len(config.table.points)} points; the file can be used."])


def _whose(config: Config) -> str:
    """Whether the points of the file are those that will be read."""
    if config.is_local:
        return "points: of this file, whatever the platform says (`points: local`)"
    kept = remote.load(config.folder / remote.FILE)
    if kept.version:
        return f"points: version {kept.version} from the platform, kept in {config.folder}; those below are not used"
    return "points: of this file, until the platform sends others (`points: local` keeps to the file)"
