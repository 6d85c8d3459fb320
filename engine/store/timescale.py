"""Where the server has TimescaleDB, telemetry is a hypertable behind a view of the same name (ADR 50).

A hypertable with a columnstore takes no row-level security, and its chunks can be read by themselves: so it stands in a
schema of its own, `series`, in which nobody but the owner has any right. What the policies said of the table, the view
says; and a trigger refuses a foreign row before its key is looked up, as a policy would.
"""

import re

import psycopg
from psycopg import sql
from psycopg.abc import Query

from engine.store.errors import TimescaleUnusable

SCHEMA = "series"
OLDEST = (2, 18)
"""The first version that calls it a columnstore."""

Connection = psycopg.Connection[tuple[object, ...]]

_FOUND = """
SELECT e.extversion, n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
WHERE e.extname = 'timescaledb'
"""

# In a function that runs with its owner's rights `current_user` is the owner, who acts for one tenant too.
_WHOSE = """
CREATE OR REPLACE FUNCTION app.whose() RETURNS uuid[] LANGUAGE sql STABLE AS $$
    SELECT CASE current_user WHEN 'tidegate_ingest' THEN nullif(current_setting('app.tenants', true), '')::uuid[]
           ELSE ARRAY[nullif(current_setting('app.tenant_id', true), '')::uuid] END
$$;
GRANT EXECUTE ON FUNCTION app.whose() TO tidegate_app, tidegate_worker, tidegate_ingest;
-- Whoever asks a view must be allowed the functions it names, though only the role app is ever limited (ADR 30).
GRANT EXECUTE ON FUNCTION app.sees_all(), app.reads_many(), app.seen(), app.sees(uuid)
    TO tidegate_worker, tidegate_ingest;
"""

_TABLE = """
CREATE SCHEMA IF NOT EXISTS series;
CREATE TABLE series.telemetry (LIKE public.telemetry INCLUDING DEFAULTS INCLUDING STORAGE INCLUDING INDEXES);
CREATE FUNCTION series.refuse() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'new row violates row-level security policy for table "telemetry"' USING ERRCODE = '42501';
END $$;
CREATE TRIGGER refuse BEFORE INSERT ON series.telemetry FOR EACH ROW
    WHEN (current_user <> 'tidegate_owner' AND NEW.tenant_id <> ALL (app.whose())) EXECUTE FUNCTION series.refuse();
"""

_HYPERTABLE = """
SELECT {api}.create_hypertable('series.telemetry', {api}.by_range('time', interval '1 day'),
                               create_default_indexes => false)
"""
# Two days are written to all the time; later rows find their way into the columnstore too, at a higher price.
_COLUMNSTORE = (
    "ALTER TABLE series.telemetry SET (timescaledb.enable_columnstore, timescaledb.segmentby = 'tenant_id, device_id', "
    "timescaledb.orderby = 'time, seq')",
    "CALL {api}.add_columnstore_policy('series.telemetry', after => interval '2 days')",
    "SELECT {api}.add_retention_policy('series.telemetry', drop_after => interval '90 days')",
)

_IS_EMPTY = "SELECT NOT EXISTS (SELECT FROM public.telemetry)"

_VIEW = """
CREATE VIEW public.telemetry WITH (security_barrier) AS
SELECT * FROM series.telemetry
WHERE tenant_id = ANY ((SELECT app.whose())::uuid[])
  AND ((SELECT app.sees_all())
       OR CASE WHEN (SELECT app.reads_many()) THEN device_id IN (SELECT app.seen()) ELSE app.sees(device_id) END)
WITH CASCADED CHECK OPTION
"""

# A question's LIMIT does not pass a view that stands guard: all there is of a device would be read and sorted for its
# last reading. This reads one device's, of the tenant that asks and no other. Whoever is limited to groups gets nothing
# here, and asks the view. Without p_after the moment p_from is included. With p_is_marked_enough a metric counts also
# where only its quality is known: it was bad, and has no value.
_READINGS = """
CREATE FUNCTION app.readings(
    p_device uuid, p_from timestamptz, p_after bigint, p_to timestamptz, p_metrics text[], p_newest_first boolean,
    p_most bigint, p_is_marked_enough boolean DEFAULT false
) RETURNS TABLE ("time" timestamptz, seq bigint, received_at timestamptz, "values" jsonb, quality jsonb,
                 source smallint)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    after constant bigint := coalesce(p_after, -9223372036854775808);
BEGIN
    IF p_newest_first THEN
        RETURN QUERY SELECT t.time, t.seq, t.received_at, t.values, t.quality, t.source FROM series.telemetry t
        WHERE t.tenant_id = (SELECT app.tenant()) AND (SELECT app.sees_all())
          AND t.device_id = p_device AND t.time >= p_from AND (t.time, t.seq) > (p_from, after) AND t.time < p_to
          AND (p_metrics IS NULL OR t.values ?| p_metrics OR (p_is_marked_enough AND t.quality ?| p_metrics))
        ORDER BY t.time DESC, t.seq DESC LIMIT p_most;
    ELSE
        RETURN QUERY SELECT t.time, t.seq, t.received_at, t.values, t.quality, t.source FROM series.telemetry t
        WHERE t.tenant_id = (SELECT app.tenant()) AND (SELECT app.sees_all())
          AND t.device_id = p_device AND t.time >= p_from AND (t.time, t.seq) > (p_from, after) AND t.time < p_to
          AND (p_metrics IS NULL OR t.values ?| p_metrics OR (p_is_marked_enough AND t.quality ?| p_metrics))
        ORDER BY t.time, t.seq LIMIT p_most;
    END IF;
END $$;
GRANT EXECUTE ON FUNCTION app.readings TO tidegate_app, tidegate_worker;
"""

_GRANTED = """
SELECT a.grantee::regrole::text, string_agg(a.privilege_type, ', ')
FROM pg_class c CROSS JOIN LATERAL aclexplode(c.relacl) a
WHERE c.oid = 'public.telemetry'::regclass AND a.grantee <> c.relowner GROUP BY a.grantee
"""

# function, what it says, and what it says on such a server
_NO_PARTITIONS = (
    "app.partition(text, timestamptz, timestamptz, text)",
    "IF to_regclass(child) IS NOT NULL THEN",
    "IF to_regclass(child) IS NOT NULL OR p_parent = 'telemetry' THEN  -- its chunks are made by whoever writes",
)
_OLD_CHUNKS = (
    "app.maintain()",
    "    -- A journal partition lives",
    "    PERFORM {api}.drop_chunks('series.telemetry', older_than => now() - retention);\n"
    "    -- A journal partition lives",
)


def settle(owner_url: str) -> None:
    """After a migration: have new telemetry lie in a hypertable where the server can and nothing is stored yet.

    What is stored already stays where it is, until `timescale_move` is asked for. Raises TimescaleUnusable.
    """
    with psycopg.connect(owner_url) as connection:
        api = extension(connection)
        if api is None:
            return
        if not is_settled(connection):
            execute(connection, "LOCK TABLE public.telemetry IN ACCESS EXCLUSIVE MODE")
            let_owner_read(connection)
            if not one(connection, _IS_EMPTY) or is_prepared(connection):
                connection.rollback()
                return
            prepare(connection, api)
            take_the_place(connection, api)


def extension(connection: Connection) -> str | None:
    """The schema of TimescaleDB's functions in this database, or None without it. Raises TimescaleUnusable."""
    found = connection.execute(_FOUND).fetchone()
    if found is None:
        return None
    version, schema = map(str, found)
    numbers = re.match(r"(\d+)\.(\d+)", version)
    if numbers is None or (int(numbers[1]), int(numbers[2])) < OLDEST:
        raise TimescaleUnusable(f"This database has TimescaleDB {version}; it takes {OLDEST[0]}.{OLDEST[1]} or newer.")
    return schema


def is_settled(connection: Connection) -> bool:
    """Whether telemetry is the view over the hypertable."""
    return bool(one(connection, "SELECT relkind = 'v' FROM pg_class WHERE oid = 'public.telemetry'::regclass"))


def is_prepared(connection: Connection) -> bool:
    """Whether the hypertable is there, settled or not."""
    return bool(one(connection, "SELECT to_regclass('series.telemetry') IS NOT NULL"))


def let_owner_read(connection: Connection) -> None:
    """The owner sees what lies in the partitioned table: no policy lets it, as long as they are forced on it."""
    execute(connection, "ALTER TABLE public.telemetry NO FORCE ROW LEVEL SECURITY")


def prepare(connection: Connection, api: str) -> None:
    """Make the hypertable, in the form that the migrations gave to telemetry."""
    execute(connection, _WHOSE)
    execute(connection, _TABLE)
    execute(connection, _HYPERTABLE, api)
    if _has_policies(connection):
        for statement in _COLUMNSTORE:
            execute(connection, statement, api)


def take_the_place(connection: Connection, api: str) -> None:
    """The partitioned table goes, and the view stands where it stood, with the same rights."""
    granted = connection.execute(_GRANTED).fetchall()
    execute(connection, "DROP TABLE public.telemetry")
    execute(connection, _VIEW)
    execute(connection, _READINGS)
    for role, rights in granted:
        execute(connection, f"GRANT {rights} ON public.telemetry TO {role}")
    _amend(connection, *_NO_PARTITIONS)
    if not _has_policies(connection):
        drop_in_maintenance(connection, api)


def drop_in_maintenance(connection: Connection, api: str) -> None:
    """Have old chunks dropped where old partitions are: for editions whose server has no policies for it."""
    function, old, new = _OLD_CHUNKS
    _amend(connection, function, old, new.replace("{api}", api))


def execute(connection: Connection, statement: str, api: str = "") -> None:
    """Run a statement of ours; ``{api}`` in it is the schema of TimescaleDB's functions."""
    said: Query = sql.SQL(statement.replace("{api}", '"' + api.replace('"', '""') + '"') if api else statement)
    connection.execute(said)


def one(connection: Connection, statement: str, parameters: tuple[object, ...] = ()) -> object:
    """The first column of the first row, or None."""
    row = connection.execute(sql.SQL(statement), parameters or None).fetchone()
    return None if row is None else row[0]


def _has_policies(connection: Connection) -> bool:
    """Whether this edition has the columnstore and jobs: the Apache one has neither."""
    return one(connection, "SELECT current_setting('timescaledb.license', true)") == "timescale"


def _amend(connection: Connection, function: str, old: str, new: str) -> None:
    said = str(one(connection, "SELECT pg_get_functiondef(CAST(%s AS regprocedure))", (function,)))
    if said.count(old) != 1:
        raise RuntimeError(f"{function} does not say {old!r} once")
    execute(connection, said.replace(old, new))
