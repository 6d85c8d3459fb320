"""The commands of `tidegate`; each one's parts are imported when it is called."""

import argparse
import dataclasses
import os
import select
import signal
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any

from engine.settings import SettingError, Settings
from infra.local.errors import SetupProblem

PROCESSES = ("ingest", "worker", "tick", "web")
Run = Callable[[argparse.Namespace, Settings], int]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the exit code. What a person can mend is said in one line, without a traceback."""
    try:
        try:
            return _run(arguments)
        finally:
            sys.stdout.flush()  # here a broken pipe can be told from others, at exit it cannot
    except BrokenPipeError:
        if not _nobody_reads():
            raise
        return 128 + signal.SIGPIPE


def _run(arguments: Sequence[str] | None) -> int:
    try:
        words = list(sys.argv[1:] if arguments is None else arguments)
        parsed = _parser(words).parse_args(words)
        settings = Settings.from_env()
        run: Run = parsed.run
        return run(parsed, settings)
    except (SetupProblem, SettingError) as problem:
        print(f"tidegate: {problem}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _nobody_reads() -> bool:
    """Whether the pipe that broke is our output's, as in `tidegate doctor | head`; the rest of it then goes nowhere."""
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)  # asked for or not, an end that is gone is told
    if not poll.poll(0):
        return False
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return True


def _parser(words: Sequence[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tidegate", description="Tidegate: an IoT platform with one contract.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    up = _add(commands, "up", _up, "run everything here: engines, ingest, worker, tick, web")
    up.add_argument("--demo", action="store_true", help="with a demo tenant and simulated devices")
    up.add_argument("--ingest", type=int, choices=range(1, 65), metavar="N", help="so many ingest processes")
    serve = _add(commands, "serve", _serve, "run one process in the foreground")
    serve.add_argument("process", choices=PROCESSES)
    serve.add_argument("--stand-by", action="store_true", help="web: load everything, serve once a line comes in")
    migrate = _add(commands, "migrate", _migrate, "bring the database up to date (as its owner)")
    migrate.add_argument("--to-timescale", action="store_true", help="move telemetry into TimescaleDB, day by day")
    _add(commands, "doctor", _doctor, "print every setting, version, port and check")
    _add(commands, "schema", _schema, "write schema.graphql and openapi.json")
    for name, module, role, help_text in OTHERS:
        _add_other(commands, name, module, role, help_text, is_called=name in words[:1])
    return parser


# Commands that live beside what they start: each module has add_arguments(parser) and run(arguments, settings).
# One with a role needs a database: the running one's if none was set.
OTHERS = (
    ("seed", "infra.local.seed", "owner", "make the demo tenant"),
    ("simulate", "infra.local.simulator", "", "run simulated devices over MQTT"),
    ("edge", "infra.edge", "", "read machines beside it and send that up"),
    ("operator", "infra.operator", "owner", "invite somebody to operate the platform"),
    ("readers", "infra.readers", "worker", "let several workers share one tenant's journal"),
    ("audit", "infra.audit", "worker", "prove the audit log, or sign its end"),
    ("vault", "infra.vault", "", "change the key under which keys are sealed"),
    ("data", "infra.local.data", "", "show what root's engines keep, and remove what is nobody's"),
    ("bench", "infra.bench", "", "measure a platform of its own on this machine"),
)


def _add(commands: Any, name: str, run: Run, help_text: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=help_text, description=help_text)
    parser.set_defaults(run=run)
    return parser


def _add_other(commands: Any, name: str, module: str, role: str, help_text: str, *, is_called: bool) -> None:
    if find_spec(module) is None:
        return

    def run(arguments: argparse.Namespace, settings: Settings) -> int:
        from infra.local.embedded import connected

        code: int = _module(module).run(arguments, connected(settings, role) if role else settings)
        return code

    parser = _add(commands, name, run, help_text)
    if is_called:  # importing all of them for every command would slow each process's start
        _module(module).add_arguments(parser)


def _module(name: str) -> ModuleType:
    return import_module(name)


def _up(arguments: argparse.Namespace, settings: Settings) -> int:
    from infra.local.up import up

    if arguments.ingest is not None:
        settings = dataclasses.replace(settings, ingest_processes=arguments.ingest)
    return up(settings, demo=arguments.demo)


def _serve(arguments: argparse.Namespace, settings: Settings) -> int:
    from infra import serve

    if not arguments.stand_by:
        return serve.run(arguments.process, settings)
    if arguments.process not in serve.LOADED:
        raise SetupProblem(
            f"{arguments.process} cannot stand by, only {', '.join(serve.LOADED)} can: leave --stand-by out."
        )
    return serve.stand_by(arguments.process, settings)


def _migrate(arguments: argparse.Namespace, settings: Settings) -> int:
    import migrations
    from infra.local.embedded import connected
    from infra.local.up import make_partitions

    url = connected(settings, "owner").database_url
    migrations.upgrade(url)
    make_partitions(url)
    print(f"the database is at {migrations.head()}")
    if arguments.to_timescale:
        from infra.to_timescale import move

        move(url)
    return 0


def _doctor(arguments: argparse.Namespace, settings: Settings) -> int:
    from infra.local.doctor import report

    return report(settings)


def _schema(arguments: argparse.Namespace, settings: Settings) -> int:
    from resolvers import export

    export.main()
    print(f"written: {export.FOLDER / 'schema.graphql'}, {export.FOLDER / 'openapi.json'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
