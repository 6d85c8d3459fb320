"""Moving telemetry that is stored already into TimescaleDB, day by day, while everything else goes on.

From the moment a day is begun, a trigger on its partition has the hypertable follow whatever is written or deleted
there; then what lay in it before is copied in short steps, in the order of its key, and how far that has come is kept.
So a move that was cut off goes on where it stood. When every day is there and counted, the view takes the place of the
partitions in one short transaction.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import psycopg
from psycopg import sql

from engine.store import timescale
from engine.store.errors import TimescaleUnusable
from engine.store.timescale import Connection, execute, one

STEP_ROWS = 20_000
"""Copied at a time; for as long as that takes, whoever writes to that day waits: some tenths of a second."""

_LOCK = "SELECT pg_advisory_lock(hashtext('tidegate.migrate'))"

_BEGIN = """
CREATE TABLE series.moves (
    part text PRIMARY KEY,
    tenant_id uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
    device_id uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
    time timestamptz NOT NULL DEFAULT '-infinity',
    seq bigint NOT NULL DEFAULT 0,
    copied bigint NOT NULL DEFAULT 0,
    finished_at timestamptz
);
CREATE FUNCTION series.follow() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO series.telemetry SELECT NEW.* ON CONFLICT DO NOTHING;
    ELSE
        DELETE FROM series.telemetry t
        WHERE t.tenant_id = OLD.tenant_id AND t.device_id = OLD.device_id AND t.time = OLD.time AND t.seq = OLD.seq;
    END IF;
    RETURN NULL;
END $$;
"""

_PARTS = """
SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
WHERE i.inhparent = 'public.telemetry'::regclass AND NOT EXISTS (
    SELECT FROM series.moves m WHERE m.part = c.relname AND m.finished_at IS NOT NULL)
ORDER BY c.relname
"""

_FOLLOW = """
CREATE TRIGGER follow AFTER INSERT OR DELETE ON public.{} FOR EACH ROW EXECUTE FUNCTION series.follow()
"""

# Nobody is in the middle of writing to that day while its rows are read: what is deleted later, the trigger sees.
_STEP = """
WITH next AS MATERIALIZED (
    SELECT * FROM public.telemetry
    WHERE time >= %(start)s AND time < %(end)s
      AND (tenant_id, device_id, time, seq) > (%(tenant)s, %(device)s, %(at)s, %(seq)s)
    ORDER BY tenant_id, device_id, time, seq LIMIT %(rows)s
), copied AS (
    INSERT INTO series.telemetry SELECT * FROM next ON CONFLICT DO NOTHING
), last AS (
    SELECT tenant_id, device_id, time, seq, count(*) OVER () AS n FROM next
    ORDER BY tenant_id DESC, device_id DESC, time DESC, seq DESC LIMIT 1
)
UPDATE series.moves m
SET tenant_id = l.tenant_id, device_id = l.device_id, time = l.time, seq = l.seq, copied = m.copied + l.n
FROM last l WHERE m.part = %(part)s
RETURNING l.n
"""

# One statement sees both as of one moment, and what follows is written together with what it follows.
_COUNTED = """
SELECT (SELECT count(*) FROM public.telemetry WHERE time >= %(start)s AND time < %(end)s),
       (SELECT count(*) FROM series.telemetry WHERE time >= %(start)s AND time < %(end)s)
"""


@dataclass(frozen=True, slots=True)
class Moved:
    """One day is there: its partition's name, how many readings it holds, and how many days are left."""

    part: str
    readings: int
    left: int


def move(owner_url: str, told: Callable[[Moved], None], step_rows: int = STEP_ROWS) -> int | None:
    """Move what is stored, or go on with that; how many readings there were. None where all is moved already.

    ``told`` hears of each day. Raises TimescaleUnusable; a lock that is not given within seconds is psycopg's
    LockNotAvailable: what was moved stays moved.
    """
    with psycopg.connect(owner_url, autocommit=True) as connection:
        execute(connection, _LOCK)
        execute(connection, "SET lock_timeout = '10s'")
        execute(connection, "SET timezone = 'UTC'")
        api = timescale.extension(connection)
        if api is None:
            raise TimescaleUnusable("This database has no TimescaleDB: have a superuser CREATE EXTENSION timescaledb.")
        if timescale.is_settled(connection):
            return None
        if not timescale.is_prepared(connection):
            with connection.transaction():
                timescale.let_owner_read(connection)
                timescale.prepare(connection, api)
                execute(connection, _BEGIN)
        while True:
            while parts := _parts(connection):
                told(Moved(parts[0], _move_day(connection, parts[0], step_rows), len(parts) - 1))
            moved = _settle(connection, api)
            if moved is not None:
                return moved


def _parts(connection: Connection) -> list[str]:
    return [str(row[0]) for row in connection.execute(_PARTS)]


def _move_day(connection: Connection, part: str, step_rows: int) -> int:
    with connection.transaction():
        begun = "INSERT INTO series.moves (part) VALUES (%s) ON CONFLICT DO NOTHING RETURNING part"
        if one(connection, begun, (part,)) is not None:
            connection.execute(sql.SQL(_FOLLOW).format(sql.Identifier(part)))
    while _step(connection, part, step_rows) == step_rows:
        pass
    before, after = _counted(connection, part)
    if before != after:
        raise TimescaleUnusable(f"{part} holds {before} readings, the hypertable {after} of that day.")
    connection.execute("UPDATE series.moves SET finished_at = now() WHERE part = %s", (part,))
    return after


def _step(connection: Connection, part: str, rows: int) -> int:
    start, end = _day(part)
    with connection.transaction():
        connection.execute(sql.SQL("LOCK TABLE public.{} IN SHARE MODE").format(sql.Identifier(part)))
        reached = connection.execute(
            "SELECT tenant_id, device_id, time::text, seq FROM series.moves WHERE part = %s", (part,)
        ).fetchone()
        assert reached is not None
        asked = dict(zip(("tenant", "device", "at", "seq"), reached, strict=True))
        asked |= {"start": start, "end": end, "rows": rows, "part": part}
        found = connection.execute(_STEP, asked).fetchone()
    return 0 if found is None else int(str(found[0]))


def _counted(connection: Connection, part: str) -> tuple[int, int]:
    start, end = _day(part)
    found = connection.execute(_COUNTED, {"start": start, "end": end}).fetchone()
    assert found is not None
    return int(str(found[0])), int(str(found[1]))


def _day(part: str) -> tuple[datetime, datetime]:
    """From when to when the readings of a partition are."""
    start = datetime.strptime(part.removeprefix("telemetry_"), "%Y%m%d").replace(tzinfo=UTC)
    return start, start + timedelta(days=1)


def _settle(connection: Connection, api: str) -> int | None:
    """Nobody writes or reads for a moment. None when a day has begun meanwhile, whose partition is to be moved too."""
    with connection.transaction():
        execute(connection, "LOCK TABLE public.telemetry IN ACCESS EXCLUSIVE MODE")
        if _parts(connection):
            return None
        moved = int(str(one(connection, "SELECT coalesce(sum(copied), 0) FROM series.moves")))
        timescale.take_the_place(connection, api)
        execute(connection, "DROP TABLE series.moves; DROP FUNCTION series.follow()")
    return moved
