"""A PostgreSQL of a bench's own in a temporary folder, for what needs no other process; gone when the bench is done."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import migrations
from infra.local.embedded import postgres_of
from infra.local.postgres import Postgres


@contextmanager
def database() -> Iterator[tuple[Postgres, Path]]:
    """The running, migrated server and the data folder that it lies in."""
    with server() as (postgres, folder):
        migrations.upgrade(postgres.url("owner"))
        yield postgres, folder


@contextmanager
def server() -> Iterator[tuple[Postgres, Path]]:
    """The same with roles and an empty database."""
    folder = Path(tempfile.mkdtemp(prefix="tidegate-bench-"))
    postgres = postgres_of(folder)
    try:
        postgres.prepare()
        postgres.start()
        postgres.bootstrap()
        yield postgres, folder
    finally:
        postgres.remove()
        shutil.rmtree(folder, ignore_errors=True)
