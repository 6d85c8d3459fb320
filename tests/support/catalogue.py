"""Walking the database's own catalogue for anything that could let a tenant see another's rows (DESIGN §3.5)."""

import re
from typing import LiteralString

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

GLOBAL_TABLES = {"alembic_version"}
"""Tables without tenant data; nobody but the owner may touch them."""

OWNERSHIP = {
    # its own row, or the one whose key was named before anybody had signed in
    "tenants": r"\(id = \( SELECT app\.tenant\(\) AS tenant\)\)"
    r"|\(key = \( SELECT app\.tenant_key\(\) AS tenant_key\)\)",
    "users": r"\(id IN \( SELECT m\.user_id.*m\.tenant_id = \( SELECT app\.tenant\(\) AS tenant\)\)\)\)"
    r"|\(home_id = \( SELECT app\.tenant\(\) AS tenant\)\)",
}
OF_BATCH_ITSELF = r"\(id = ANY \(\( SELECT \(app\.tenants\(\)\)::uuid\[\] AS tenants\)::uuid\[\]\)\)"
AS_TENANT = r"\(tenant_id = \( SELECT app\.tenant\(\) AS tenant\)\)"
OF_BATCH = r"\(tenant_id = ANY \(\( SELECT \(app\.tenants\(\)\)::uuid\[\] AS tenants\)::uuid\[\]\)\)"
"""The set is parsed once a statement: with the only cast outside, every row would parse it again."""
LIMITED = r"\(?\( SELECT app\.sees_all\(\) AS sees_all\)( OR\s.*\))?"
"""Asked once a statement, so that whoever sees all pays nothing for what others may not."""
ABOUT_THE_TENANT = {
    # what somebody limited to groups may read: words that their devices are described with, and who they are
    *("tenants", "users", "memberships", "roles", "sessions", "api_tokens", "idempotency"),
    *(
        "profiles",
        "profile_versions",
        "rules",
        "rule_versions",
        "rule_notices",
        "rule_pace",
        "authorities",
        "quotas",
        "retention",
    ),
    # what is told to others is written by whoever's deed it tells of
    *("channels", "notification_policies", "deliveries", "silence_watches"),
    # numbers about the tenant, and what only processes read; no right that they have leads there
    *(
        "usage",
        "journal",
        "journal_head",
        "readers",
        "audit_head",
        "audit_checkpoints",
        "spent_logins",
        "rollup_progress",
    ),
}
"""Tables without a device that a grant limited to groups does not narrow; a new one needs a line here or a policy."""
UNRESTRICTED = {"tidegate_door", "tidegate_owner"}
MOST_DOORS = 10

_TABLES = """
SELECT c.oid, c.relname AS name, c.relrowsecurity AS enabled, c.relforcerowsecurity AS forced,
       c.relispartition AS part,
       has_table_privilege('tidegate_app', c.oid, 'TRUNCATE')
         OR has_table_privilege('tidegate_worker', c.oid, 'TRUNCATE')
         OR has_table_privilege('tidegate_ingest', c.oid, 'TRUNCATE') AS truncatable,
       coalesce(c.relacl::text, '') AS acl
FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
"""
_POLICIES = """
SELECT tablename AS name, policyname AS policy, roles, permissive, cmd, coalesce(qual, '') AS qual,
       coalesce(with_check, '') AS checked
FROM pg_policies WHERE schemaname = 'public'
"""
_COLUMNS = """
SELECT DISTINCT c.relname AS name FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
WHERE a.attname = 'device_id' AND c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
"""
_FUNCTIONS = """
SELECT p.proname AS name, r.rolname AS owner, coalesce(array_to_string(p.proconfig, ','), '') AS config,
       has_function_privilege('public', p.oid, 'EXECUTE') AS for_all, pg_get_function_arguments(p.oid) AS arguments,
       p.provolatile = 's' AS only_reads, p.prosrc AS said
FROM pg_proc p JOIN pg_roles r ON r.oid = p.proowner
WHERE p.prosecdef
  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e')  -- an extension's own
  AND p.pronamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
"""
_KEYS = """
SELECT c.conrelid::regclass::text AS name, c.conname AS constraint, c.confrelid::regclass::text AS target,
       (SELECT array_agg(a.attname::text) FROM unnest(c.conkey) k JOIN pg_attribute a
         ON a.attrelid = c.conrelid AND a.attnum = k) AS columns
FROM pg_constraint c WHERE c.contype = 'f' AND c.connamespace = 'public'::regnamespace
"""
_UNIQUE = """
SELECT i.indrelid::regclass::text AS name, c.relname AS index,
       (SELECT array_agg(a.attname::text ORDER BY k.n) FROM unnest(i.indkey::int[]) WITH ORDINALITY k (attnum, n)
         JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum) AS columns
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
WHERE i.indisunique AND c.relnamespace = 'public'::regnamespace
"""
_ROLES = """
SELECT rolname AS name FROM pg_roles
WHERE rolname LIKE 'tidegate%' AND (rolsuper OR rolbypassrls OR rolcreatedb OR rolcreaterole OR rolreplication)
"""
_VIEWS = """
SELECT c.relname AS name, coalesce(c.reloptions::text, '') AS options, pg_get_viewdef(c.oid) AS said
FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('v', 'm')
  AND NOT coalesce(c.reloptions::text LIKE '%security_invoker=true%', false)
"""
STANDS_IN = (
    r"\s*SELECT [\w\s,\"]+ FROM series\.\w+\s+"
    r"WHERE \(\(tenant_id = ANY \(\( SELECT app\.whose\(\) AS whose\)::uuid\[\]\)\) "
    r"AND \(\( SELECT app\.sees_all\(\) AS sees_all\) OR\s.*\)\);"
)
"""A view with its owner's rights that says what policies say of tables: where TimescaleDB is (ADR 50)."""
_SERIES = """
SELECT 'schema ' || n.nspname AS name FROM pg_namespace n CROSS JOIN LATERAL aclexplode(n.nspacl) a
WHERE n.nspname = 'series' AND a.grantee <> n.nspowner
UNION
SELECT 'table ' || c.oid::regclass FROM pg_class c CROSS JOIN LATERAL aclexplode(c.relacl) a
WHERE c.relnamespace IN (to_regnamespace('series'), to_regnamespace('_timescaledb_internal'))
  AND a.grantee <> c.relowner AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')
"""
# global uniqueness is allowed where the value is random (so it tells nothing) or public by design
UNIQUE_ALONE = {
    ("tenants", "id"),
    ("tenants", "key"),
    ("tenants", "is_platform"),  # there is one such tenant, the platform's own
    ("users", "id"),
    ("users", "email"),
    ("users", "home_id"),  # the tenant whose own person it is
    ("alembic_version", "version_num"),
    ("oscore_contexts", "kid"),  # random, and what a message names in the clear
}
SECRET_DIGEST = "secret_sha256"

_OF_TENANT: dict[str, LiteralString] = {
    "tenants": "id = %s",
    "users": "id IN (SELECT user_id FROM memberships WHERE tenant_id = %s)",
}

_OF_TENANTS = """
SELECT c.relname FROM pg_class c
WHERE c.relnamespace = 'public'::regnamespace AND NOT c.relispartition
  AND (c.relkind IN ('r', 'p') OR c.relkind = 'v' AND to_regclass('series.' || c.relname) IS NOT NULL) ORDER BY 1
"""
_PART = """
SELECT c.oid::regclass::text FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
WHERE i.inhparent = coalesce(to_regclass('series.telemetry'), to_regclass('public.telemetry')) ORDER BY 1 LIMIT 1
"""


def part_of_telemetry(connection: psycopg.Connection) -> str:
    """A partition or chunk of telemetry, by the name under which it could be asked."""
    return str(connection.execute(_PART).fetchone()[0])  # type: ignore[index]


def tables_of_tenants(connection: psycopg.Connection) -> list[str]:
    """Every table with rows of tenants, as the database knows them."""
    found = [str(row[0]) for row in connection.execute(_OF_TENANTS)]
    return [table for table in found if table not in GLOBAL_TABLES]


def of_tenant(table: str) -> sql.SQL:
    """The condition that a row of ``table`` is one tenant's; its only parameter is the tenant's id."""
    return sql.SQL(_OF_TENANT.get(table, "tenant_id = %s"))


def faults(url: str) -> list[str]:
    """Everything in the catalogue that breaks isolation, one line each; empty when it holds. ``url``: a superuser's."""
    with psycopg.connect(url, row_factory=dict_row) as connection:

        def ask(query: str) -> list[dict[str, object]]:
            return connection.execute(query).fetchall()

        return [
            *_table_faults(ask(_TABLES), ask(_POLICIES)),
            *_policy_faults(ask(_POLICIES)),
            *_limit_faults(ask(_TABLES), ask(_COLUMNS), ask(_POLICIES)),
            *_function_faults(ask(_FUNCTIONS)),
            *_key_faults(ask(_KEYS)),
            *_unique_faults(ask(_UNIQUE)),
            *(f"role {row['name']} has rights that step around row-level security" for row in ask(_ROLES)),
            *_view_faults(ask(_VIEWS)),
            *(f"{row['name']} is granted beside the view before it" for row in ask(_SERIES)),
        ]


def _table_faults(tables: list[dict[str, object]], policies: list[dict[str, object]]) -> list[str]:
    governed = {row["name"] for row in policies}
    found = []
    for table in tables:
        name = table["name"]
        if name in GLOBAL_TABLES:
            if re.search(r"tidegate_(app|worker|ingest)=|^\{?=", str(table["acl"])):
                found.append(f"table {name} belongs to nobody but the owner, yet it is granted")
            continue
        if not (table["enabled"] and table["forced"]):
            found.append(f"table {name} lacks row-level security, enabled and forced")
        if table["part"] and (name in governed or "tidegate_app" in str(table["acl"]) or "ingest" in str(table["acl"])):
            found.append(f"partition {name} can be read around its parent")
        if not table["part"] and name not in governed:
            found.append(f"table {name} has no policy")
        if table["truncatable"]:
            found.append(f"table {name} can be truncated by a process")
    return found


def _policy_faults(policies: list[dict[str, object]]) -> list[str]:
    found = []
    for policy in policies:
        name, roles = f"policy {policy['policy']} on {policy['name']}", set(policy["roles"])  # type: ignore[call-overload]
        if "public" in roles:
            found.append(f"{name} names no role")
        if roles <= UNRESTRICTED or policy["permissive"] == "RESTRICTIVE":  # which only ever takes away
            continue
        wanted = OWNERSHIP.get(str(policy["name"]), AS_TENANT)
        of_batch = OF_BATCH_ITSELF if policy["name"] == "tenants" else OF_BATCH
        allowed = f"{wanted}|{of_batch}" if roles == {"tidegate_ingest"} else wanted
        for said in (str(policy["qual"]), str(policy["checked"])):
            if said and not re.fullmatch(allowed, said, re.DOTALL):
                found.append(f"{name} lets through more than the tenant's rows: {said}")
        if policy["cmd"] in ("ALL", "INSERT") and not policy["checked"]:
            found.append(f"{name} does not check what is written")
    return found


def _limit_faults(
    tables: list[dict[str, object]], columns: list[dict[str, object]], policies: list[dict[str, object]]
) -> list[str]:
    """Whatever is about a device must be limited to groups where a grant is (ADR 30); the rest says why it is not."""
    limits = {
        str(policy["name"]): str(policy["qual"])
        for policy in policies
        if policy["permissive"] == "RESTRICTIVE"
        and policy["roles"] == ["tidegate_app"]
        and policy["policy"] == "limits"
    }
    of_devices = {str(row["name"]) for row in columns}
    found = []
    for table in tables:
        name = str(table["name"])
        if table["part"] or "tidegate_app=" not in str(table["acl"]) or name in GLOBAL_TABLES:
            continue
        if name not in limits and (name in of_devices or name not in ABOUT_THE_TENANT):
            found.append(f"table {name} shows somebody limited to groups all that it holds: it needs a policy `limits`")
        elif name in limits and not re.fullmatch(LIMITED, limits[name], re.DOTALL):
            found.append(f"policy limits on {name} does not ask first whether somebody sees all: {limits[name]}")
    return found


def _function_faults(functions: list[dict[str, object]]) -> list[str]:
    found = []
    for function in functions:
        name = f"function {function['name']}"
        if "search_path=" not in str(function["config"]):
            found.append(f"{name} runs with its owner's rights and no fixed search_path")
        if function["for_all"]:
            found.append(f"{name} runs with its owner's rights and anybody may call it")
        if function["owner"] != "tidegate_door" and function["arguments"] and not _asks_as_the_view(function):
            found.append(f"{name} runs with the rights of {function['owner']} and takes arguments")
    doors = [function for function in functions if function["owner"] == "tidegate_door"]
    if len(doors) > MOST_DOORS:
        found.append(f"there are {len(doors)} doors, at most {MOST_DOORS} are allowed")
    return found


def _view_faults(views: list[dict[str, object]]) -> list[str]:
    safe = ("security_barrier=true", "check_option=cascaded")
    return [
        f"view {view['name']} runs with its owner's rights"
        for view in views
        if not (all(each in str(view["options"]) for each in safe) and re.fullmatch(STANDS_IN, str(view["said"]), re.S))
    ]


def _asks_as_the_view(function: dict[str, object]) -> bool:
    """Whether a function behind the views (ADR 50) changes nothing, and asks each table there for one tenant's rows."""
    asked = re.split(r"\b(?:FROM|JOIN)\s+(?=\w+\.)", str(function["said"]))[1:]
    mine = r"series\.\w+ t\s+WHERE t\.tenant_id = \(SELECT app\.tenant\(\)\) AND \(SELECT app\.sees_all\(\)\)\s+AND "
    return bool(asked) and bool(function["only_reads"]) and all(re.match(mine, each) for each in asked)


def _key_faults(keys: list[dict[str, object]]) -> list[str]:
    return [
        f"foreign key {key['constraint']} of {key['name']} does not carry the tenant"
        for key in keys
        if key["target"] not in ("tenants", "users") and "tenant_id" not in key["columns"]  # type: ignore[operator]
    ]


def _unique_faults(indexes: list[dict[str, object]]) -> list[str]:
    found = []
    for index in indexes:
        columns: list[str] = index["columns"]  # type: ignore[assignment]
        if columns[0] != "tenant_id" and columns != [SECRET_DIGEST] and (index["name"], columns[0]) not in UNIQUE_ALONE:
            found.append(f"unique index {index['index']} on {index['name']} tells one tenant what another has")
    return found
