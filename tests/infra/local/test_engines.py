"""The embedded engines: made once, mended when half made, started again after a kill, never run by root."""

import os
import shutil
import signal
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import redis

from engine.store.roles import ROLES
from infra.local.errors import SetupProblem
from infra.local.ground import forsaken, settle, uproot
from infra.local.postgres import Postgres
from infra.local.valkey import Valkey

pytestmark = pytest.mark.engines
SMALL = {"shared_buffers": "16MB", "max_wal_size": "64MB", "fsync": "off"}


@pytest.fixture(scope="module")
def own_postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """A server of this module's own, for it is killed."""
    server = Postgres(tmp_path_factory.mktemp("engines") / "postgres", settings=SMALL)
    server.prepare()
    server.start()
    server.bootstrap()
    yield server
    server.remove()


@pytest.fixture
def unstarted(tmp_path: Path) -> Iterator[Postgres]:
    server = Postgres(tmp_path / "postgres", settings=SMALL)
    yield server
    server.remove()


def test_no_role_of_ours_may_step_around_row_level_security(own_postgres: Postgres) -> None:
    with psycopg.connect(own_postgres.url("superuser")) as connection:
        rows = connection.execute(
            "SELECT rolname, rolsuper, rolbypassrls, rolcreatedb, rolcreaterole, rolreplication, rolcanlogin"
            " FROM pg_roles WHERE rolname LIKE 'tidegate%' ORDER BY rolname"
        ).fetchall()
    can_log_in = {str(row[0]): row[6] for row in rows}
    assert can_log_in == {f"tidegate_{role}": True for role in ROLES} | {"tidegate_door": False}
    assert all(row[1:6] == (False, False, False, False, False) for row in rows)


def test_nobody_connects_without_the_right_password(own_postgres: Postgres) -> None:
    url = own_postgres.url("app")
    password = url.split(":")[2].split("@")[0]
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT current_user").fetchone() == ("tidegate_app",)
    for wrong in (url.replace(password, "guess"), url.replace(f":{password}", "")):
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(wrong)


def test_a_role_may_not_enter_other_databases_or_make_objects(own_postgres: Postgres) -> None:
    with psycopg.connect(own_postgres.url("app")) as connection:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("CREATE TABLE public.mine (x int)")
        connection.rollback()
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("CREATE TEMPORARY TABLE mine (x int)")


def test_bootstrap_may_be_repeated(own_postgres: Postgres) -> None:
    own_postgres.bootstrap()
    with psycopg.connect(own_postgres.url("owner")) as connection:
        assert connection.execute("SELECT current_user").fetchone() == ("tidegate_owner",)


def test_passwords_and_configuration_are_private(own_postgres: Postgres) -> None:
    for path in (own_postgres.ground.path / "passwords.json", own_postgres.cluster / "tidegate.conf"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(own_postgres.cluster.stat().st_mode) == 0o700


def test_the_server_never_runs_as_root(own_postgres: Postgres) -> None:
    owners = {os.stat(f"/proc/{process}").st_uid for process in own_postgres.processes()}
    assert owners
    assert 0 not in owners


def test_a_backend_keeps_the_memory_that_its_statements_need_again_and_again(own_postgres: Postgres) -> None:
    megabytes = "SELECT length(array_agg(n)::text) FROM generate_series(1, 100000) AS n"
    with psycopg.connect(own_postgres.url("app")) as connection:
        backend = connection.info.backend_pid
        for _ in range(3):
            connection.execute(megabytes)
        before = _page_faults(backend)
        connection.execute(megabytes)
    assert _page_faults(backend) - before < 100


def test_a_killed_server_starts_again_with_what_was_committed(own_postgres: Postgres) -> None:
    with psycopg.connect(own_postgres.url("superuser")) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS kept (x int)")
        connection.execute("INSERT INTO kept VALUES (1)")
    postmaster = int((own_postgres.cluster / "postmaster.pid").read_text().split()[0])
    os.kill(postmaster, signal.SIGKILL)
    own_postgres.start()  # at once: the dead server's lock and its last children are still there
    with psycopg.connect(own_postgres.url("superuser")) as connection:
        assert connection.execute("SELECT count(*) FROM kept").fetchone() == (1,)


def test_a_lock_whose_process_number_went_to_another_program_is_no_obstacle(own_postgres: Postgres) -> None:
    own_postgres.stop()
    lock = own_postgres.cluster / "postmaster.pid"
    lock.write_text(f"{os.getpid()}\n{own_postgres.cluster}\n")
    own_postgres.ground.give(lock)
    own_postgres.start()
    assert own_postgres.is_ready()


def test_a_first_start_that_was_cut_off_is_done_again(unstarted: Postgres) -> None:
    unfinished = unstarted.ground.path / "cluster.new"
    unfinished.mkdir()
    (unfinished / "PG_VERSION").write_text("18\n")
    (unfinished / "base").mkdir()
    unstarted.prepare()
    unstarted.start()
    assert unstarted.is_ready()
    assert not unfinished.exists()


def test_data_of_another_postgresql_is_left_alone_and_named(unstarted: Postgres) -> None:
    unstarted.cluster.mkdir()
    (unstarted.cluster / "PG_VERSION").write_text("17\n")
    with pytest.raises(SetupProblem, match=r"made by PostgreSQL 17, and this is PostgreSQL 18"):
        unstarted.prepare()
    assert [path.name for path in unstarted.cluster.iterdir()] == ["PG_VERSION"]


def test_preparing_again_keeps_the_data_the_port_and_the_passwords(unstarted: Postgres) -> None:
    unstarted.prepare()
    url, made = unstarted.url("app"), (unstarted.cluster / "PG_VERSION").stat().st_mtime_ns
    again = Postgres(unstarted._data_dir, settings=SMALL)
    again.prepare()
    assert again.url("app") == url
    assert (again.cluster / "PG_VERSION").stat().st_mtime_ns == made


def test_roots_data_lies_outside_the_project_where_the_engines_user_can_reach_it(tmp_path: Path) -> None:
    ground = settle(tmp_path / "closed" / "engine")
    try:
        if os.geteuid() == 0:
            assert ground.is_another_user
            assert (tmp_path / "closed" / "engine").is_symlink()
            assert all(folder.stat().st_mode & stat.S_IXOTH for folder in (ground.path, *ground.path.parents))
            assert settle(tmp_path / "closed" / "engine") == ground
        else:
            assert ground.path == tmp_path / "closed" / "engine"
            assert stat.S_IMODE(ground.path.stat().st_mode) == 0o700
    finally:
        uproot(tmp_path / "closed" / "engine")


def test_roots_data_of_a_removed_project_is_found_and_that_of_a_present_one_is_not(tmp_path: Path) -> None:
    project = tmp_path / "project"
    ground = settle(project / "engine")
    (ground.path / "kept").write_text("yes")
    try:
        assert ground.path.parent not in forsaken()
        shutil.rmtree(project)
        assert (ground.path.parent in forsaken()) == (os.geteuid() == 0)
    finally:
        shutil.rmtree(ground.path.parent, ignore_errors=True)


def test_an_engines_data_is_removed_without_a_trace(tmp_path: Path) -> None:
    ground = settle(tmp_path / "engine")
    (ground.path / "kept").write_text("yes")
    uproot(tmp_path / "engine")
    assert not ground.path.exists()
    assert not (tmp_path / "engine").exists()
    assert ground.path.parent.exists() == (os.geteuid() != 0)


def test_who_removes_the_data_folder_begins_anew_and_roots_old_data_is_set_aside(tmp_path: Path) -> None:
    first = settle(tmp_path / "closed" / "engine")
    (first.path / "kept").write_text("yes")
    shutil.rmtree(tmp_path / "closed")
    second = settle(tmp_path / "closed" / "engine")
    try:
        assert not any(second.path.iterdir())
        left = [(folder / "kept").read_text() for folder in second.path.parent.glob("engine.left-*")]
        assert left == (["yes"] if os.geteuid() == 0 else [])
    finally:
        shutil.rmtree(second.path.parent)


def test_valkey_wants_its_password_and_keeps_its_data_over_a_kill(tmp_path: Path) -> None:
    server = Valkey(tmp_path / "valkey")
    server.prepare()
    try:
        server.start()
        with pytest.raises(redis.AuthenticationError):
            redis.Redis(port=server.port).ping()
        client = redis.Redis.from_url(server.url())
        client.set("kept", "yes")
        time.sleep(1.2)  # the append-only file is written every second
        assert server._process is not None
        server._process.kill()
        server._process.wait()
        server.start()
        assert client.get("kept") == b"yes"
        configuration = server.ground.path / "valkey.conf"
        assert stat.S_IMODE(configuration.stat().st_mode) == 0o600
        client.close()
    finally:
        server.remove()


def test_what_was_never_made_is_removed_without_a_word(tmp_path: Path) -> None:
    uproot(tmp_path / "engine")
    (tmp_path / "dangling").symlink_to(tmp_path / "gone" / "engine")
    (tmp_path / "gone").mkdir()
    uproot(tmp_path / "dangling")
    assert not (tmp_path / "dangling").is_symlink()


def _page_faults(process: int) -> int:
    """How often a page of memory had to be made for it (proc(5), minflt)."""
    return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[7])
