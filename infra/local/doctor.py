"""`tidegate doctor`: every setting, version, port and check of this installation, each problem with its remedy."""

import dataclasses
import importlib.metadata
import os
import platform
import re
import resource
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import cast

import psycopg
import redis

import migrations
from engine.settings import SettingError, Settings, masked, unknown_variables, variable
from infra.local import claims, console_build
from infra.local.embedded import postgres_of, valkey_of
from infra.local.ground import forsaken
from infra.local.ports import holder, is_free, is_listening

BEHIND_TOO_LONG_S = 60
ENOUGH_FILES = 4096


@dataclasses.dataclass(frozen=True)
class Finding:
    """One line of the report; a problem carries its remedy."""

    name: str
    detail: str
    remedy: str = ""

    def __str__(self) -> str:
        mark = "PROBLEM" if self.remedy else "ok"
        return f"  {mark:<8} {self.name:<22} {self.detail}" + (f"\n           → {self.remedy}" if self.remedy else "")


def report(settings: Settings, environ: Mapping[str, str] = os.environ, tell: Callable[[str], None] = print) -> int:
    """Tell everything; 1 when there is a problem, else 0."""
    tell("Settings")
    rows = list(settings.rows(environ))
    names, values = (min(40, max(len(row[column]) for row in rows)) for column in (0, 1))
    for name, value, source, meaning in rows:
        tell(f"  {name:<{names}} {value:<{values}} {source:<12} {meaning}")
    tell("Versions")
    for name, version in versions():
        tell(f"  {name:<26} {version}")
    findings = {
        "Ports": list(ports(settings, environ)),
        "Checks": [*machine(settings, environ), *database(settings), *valkey(settings)],
    }
    for title, lines in findings.items():
        tell(title)
        for finding in lines:
            tell(str(finding))
    problems = sum(bool(finding.remedy) for lines in findings.values() for finding in lines)
    tell(f"{problems} problem{'s' * (problems != 1)}" if problems else "no problems")
    return 1 if problems else 0


def versions() -> Iterator[tuple[str, str]]:
    """Python, the platform and every package Tidegate asks for by name."""
    yield "tidegate", importlib.metadata.version("tidegate")
    yield "python", f"{platform.python_version()} ({sys.executable})"
    yield "system", platform.platform()
    for requirement in importlib.metadata.requires("tidegate") or []:
        if "extra ==" not in requirement:
            name = re.split(r"[^A-Za-z0-9_.-]", requirement, maxsplit=1)[0]
            yield name, importlib.metadata.version(name)


def ports(settings: Settings, environ: Mapping[str, str]) -> Iterator[Finding]:
    """Who has each port: nobody, the `up` of this folder, or another program."""
    ours = claims.running_ports(settings.data_dir) or {}
    for name in claims.PORTS:
        wanted: int = getattr(settings, name)
        port = ours.get(name, wanted)
        title = f"{variable(name).removeprefix('TIDEGATE_').lower()} {port}"
        is_udp = name in claims.UDP
        if name in ours and (
            not is_free(port, settings.host, is_udp=True) if is_udp else is_listening(port, _reachable(settings))
        ):
            moved = "" if port == wanted else f", because {wanted} was taken"
            yield Finding(title, f"taken by us{moved}")
        elif name in ours:
            yield Finding(title, "nobody listens", "its process is down or starting: see the log of tidegate up")
        elif is_free(port, settings.host, is_udp=is_udp):
            yield Finding(title, "free")
        else:
            is_set = bool(environ.get(variable(name), "").strip())
            remedy = f"stop that program or choose another {variable(name)}" if is_set else ""
            yield Finding(title, f"taken by {holder(port) or 'another program'}", remedy)


def machine(settings: Settings, environ: Mapping[str, str]) -> Iterator[Finding]:
    """Folder, disk, console and mistyped variables."""
    for name in unknown_variables(environ):
        yield Finding("environment", f"{name} is no setting", "a typing mistake? compare it with the table above")
    folder = settings.data_dir.absolute()
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    if os.access(existing, os.W_OK | os.X_OK):
        yield Finding("data folder", f"{folder} can be written")
    else:
        yield Finding("data folder", f"{existing} cannot be written", f"run as {existing.owner()}, or chown it")
    free_mb = shutil.disk_usage(_data_disk(folder, existing)).free // 2**20
    few = f"free some: {claims.NEEDED_MB} MB are needed" if free_mb < claims.NEEDED_MB else ""
    yield Finding("disk", f"{free_mb} MB free", few)
    yield _open_files()
    yield _mail(settings)
    yield _newcomers(settings)
    if settings.broker_url:
        yield _broker(settings)
    if left := forsaken():
        yield Finding("left behind", f"{len(left)} folders of removed projects: see tidegate data")
    if (console_build.UI / "rxconfig.py").exists():
        is_current = console_build.is_current()
        yield Finding("console", "built" if is_current else "not built yet, or changed since: tidegate up builds it")
    pid = claims.running_process(folder)
    yield Finding("tidegate up", f"runs as process {pid}" if pid else "does not run in this folder")


def _mail(settings: Settings) -> Finding:
    if settings.smtp_url and settings.mail_from:
        return Finding("mail", f"by {masked(settings.smtp_url)}, from {settings.mail_from}")
    if settings.smtp_url or settings.mail_from:
        missing = variable("mail_from" if settings.smtp_url else "smtp_url")
        return Finding("mail", f"{missing} is missing, so none is sent", f"set {missing} as well")
    return Finding("mail", "not set up: invitations are links to hand over, and e-mail channels reach nobody")


def _newcomers(settings: Settings) -> Finding:
    """How devices that introduce themselves to ingest reach the web process, which lets them in (ADR 33)."""
    by = variable("relay_secret") if settings.relay_secret else "relay.key in the data folder, which both must have"
    return Finding("new devices", f"are passed on by ingest to {masked(settings.gateway)}, known by {by}")


def _broker(settings: Settings) -> Finding:
    """Whether what is said of the broker fits together, and whether anybody answers there."""
    from ingest.adapters.broker.address import of_settings

    try:
        address = of_settings(settings)
    except SettingError as error:
        return Finding("broker", masked(settings.broker_url), str(error))
    whose = f"for {settings.broker_tenant} alone" if settings.broker_tenant else "for every tenant"
    said = f"{address.host}:{address.port} as {address.client_id}, {whose}"
    if is_listening(address.port, address.host, timeout_s=3.0):
        return Finding("broker", said)
    return Finding("broker", said, f"nobody answers there: start it, or correct {variable('broker_url')}")


def _open_files() -> Finding:
    _, highest = resource.getrlimit(resource.RLIMIT_NOFILE)
    few = (
        f"raise it to {ENOUGH_FILES} or more (ulimit -Hn, /etc/security/limits.conf)" if highest < ENOUGH_FILES else ""
    )
    return Finding("open files", f"at most {highest} a process, one for each connected device", few)


def _data_disk(folder: Path, existing: Path) -> Path:
    engines = folder / "postgres"
    return engines.resolve() if engines.exists() else existing


def database(settings: Settings) -> Iterator[Finding]:
    """PostgreSQL: reached, its version, our roles, the migrations, the journal's readers."""
    if settings.database_url:
        url, knows_all = settings.database_url, False
    elif claims.running_process(settings.data_dir):
        url, knows_all = postgres_of(settings.data_dir).url("superuser"), True
    else:
        return
    try:
        with psycopg.connect(url, connect_timeout=5) as connection:
            yield Finding("postgres", f"answers, version {_dotted(connection.info.server_version)}")
            yield from _roles(connection)
            revision = _revision(connection)
            yield revision
            if knows_all and not revision.remedy:  # other roles see one tenant at a time
                yield from _readers(connection)
    except psycopg.OperationalError as refusal:
        yield Finding("postgres", str(refusal).splitlines()[0], "is it running, and is TIDEGATE_DATABASE_URL right?")


def _dotted(version: int) -> str:
    return f"{version // 10_000}.{version % 10_000}"


def _roles(connection: psycopg.Connection) -> Iterator[Finding]:
    rows = connection.execute(
        "SELECT rolname, rolsuper OR rolbypassrls FROM pg_roles WHERE rolname LIKE 'tidegate\\_%' ORDER BY 1"
    ).fetchall()
    mighty = [name for name, is_mighty in rows if is_mighty]
    if mighty:
        yield Finding(
            "roles", f"{', '.join(mighty)} can step around row-level security", "ALTER ROLE … NOSUPERUSER NOBYPASSRLS"
        )
    elif not rows:
        yield Finding("roles", "none of ours", "run: tidegate up, or make the roles (engine/store/roles.py)")
    else:
        yield Finding("roles", f"{len(rows)}, none superuser, none bypasses row-level security")


def _revision(connection: psycopg.Connection) -> Finding:
    try:
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    except psycopg.errors.InsufficientPrivilege:
        connection.rollback()
        return Finding("migrations", "this role may not see them (only the owner may)")
    except psycopg.errors.UndefinedTable:
        connection.rollback()
        row = None
    at, head = (row[0] if row else "nothing"), migrations.head()
    return Finding("migrations", f"at {at}, newest {head}", "" if at == head else "run: tidegate migrate")


def _readers(connection: psycopg.Connection) -> Iterator[Finding]:
    row = connection.execute(
        "SELECT count(*), coalesce(max(h.pos - r.pos), 0), coalesce(max(extract(epoch FROM now() - r.at)) "
        "FILTER (WHERE r.pos < h.pos), 0)::int FROM readers r JOIN journal_head h USING (tenant_id)"
    ).fetchone()
    readers, behind, for_s = row or (0, 0, 0)
    stuck = for_s > BEHIND_TOO_LONG_S
    yield Finding(
        "journal readers",
        f"{readers}, at most {behind} events behind" + (f", one for {for_s} s" if behind else ""),
        "the worker does not drain: see its log" if stuck else "",
    )


def valkey(settings: Settings) -> Iterator[Finding]:
    """Valkey: reached, and its version."""
    if settings.valkey_url:
        url = settings.valkey_url
    elif claims.running_process(settings.data_dir):
        url = valkey_of(settings.data_dir).url()
    else:
        return
    client = redis.Redis.from_url(url, socket_connect_timeout=3, socket_timeout=3)
    try:
        about = cast(dict[str, str], client.info("server"))
        yield Finding("valkey", f"answers, version {about.get('valkey_version', about.get('redis_version'))}")
    except redis.RedisError as refusal:
        yield Finding("valkey", str(refusal), "is it running, and is TIDEGATE_VALKEY_URL right?")
    finally:
        client.close()


def _reachable(settings: Settings) -> str:
    return "127.0.0.1" if settings.host in ("0.0.0.0", "::") else settings.host  # noqa: S104  # compared, not bound
