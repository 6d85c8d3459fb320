"""Settings are read from the environment, and a bad one is refused by name."""

import io
import json
import logging
from pathlib import Path

import pytest

from engine import logs
from engine.settings import SettingError, Settings, masked, unknown_variables


def test_an_empty_environment_gives_the_documented_defaults() -> None:
    settings = Settings.from_env({})
    assert (settings.http_port, settings.mqtt_port, settings.ingest_http_port) == (8000, 1883, 8001)
    assert settings.host == "127.0.0.1"
    assert settings.origin == "http://127.0.0.1:8000"


def test_an_empty_variable_counts_as_not_set() -> None:
    assert Settings.from_env({"TIDEGATE_HTTP_PORT": " "}).http_port == 8000


def test_values_are_parsed_to_their_types() -> None:
    settings = Settings.from_env(
        {
            "TIDEGATE_HTTP_PORT": "9000",
            "TIDEGATE_DATA_DIR": "/srv/gate",
            "TIDEGATE_LOG_LEVEL": "debug",
            "TIDEGATE_ALLOWED_HOSTS": "a.example, b.example",
            "TIDEGATE_PUBLIC_URL": "https://gate.example/",
        }
    )
    assert settings.http_port == 9000
    assert settings.data_dir == Path("/srv/gate")
    assert settings.log_level == "DEBUG"
    assert settings.allowed_hosts == ("a.example", "b.example")
    assert settings.origin == "https://gate.example"


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        ("TIDEGATE_HTTP_PORT", "70000", "port number"),
        ("TIDEGATE_MQTT_PORT", "mqtt", "port number"),
        ("TIDEGATE_WORKERS", "0", "from 1 upwards"),
        ("TIDEGATE_LOG_LEVEL", "loud", "DEBUG, INFO"),
        ("TIDEGATE_PUBLIC_URL", "gate.example", "http://"),
        ("TIDEGATE_DATABASE_URL", "mysql://h/d", "postgresql://"),
    ],
)
def test_a_value_that_cannot_be_used_is_refused_by_the_name_of_its_variable(
    variable: str, value: str, says: str
) -> None:
    with pytest.raises(SettingError) as refusal:
        Settings.from_env({variable: value})
    assert variable in str(refusal.value)
    assert says in str(refusal.value)


def test_passwords_are_shown_to_nobody() -> None:
    url = "postgresql://tidegate_app:hunter2@db.example:5432/tidegate"
    assert masked(url) == "postgresql://tidegate_app:********@db.example:5432/tidegate"
    table = str(list(Settings.from_env({"TIDEGATE_DATABASE_URL": url}).rows({})))
    assert "db.example" in table
    assert "hunter2" not in table
    with pytest.raises(SettingError) as refusal:
        Settings.from_env({"TIDEGATE_VALKEY_URL": "http://:hunter2@db.example"})
    assert "hunter2" not in str(refusal.value)


def test_a_secret_that_is_no_address_is_shown_to_nobody_either() -> None:
    shown = str(list(Settings.from_env({"TIDEGATE_AUTHORIZE_SECRET": "between-broker-and-gate"}).rows({})))
    assert "between" not in shown
    with pytest.raises(SettingError, match="at least 16 characters") as refusal:
        Settings.from_env({"TIDEGATE_AUTHORIZE_SECRET": "too-short"})
    assert "too-short" not in str(refusal.value)


def test_the_account_of_aws_iot_is_named_in_full() -> None:
    arn = "arn:aws:iot:eu-central-1:123456789012"
    assert Settings.from_env({"TIDEGATE_AWS_IOT_ARN": arn}).aws_iot_arn == arn
    for wrong in ("arn:aws:iot:*:*", f"{arn}:client/x", "eu-central-1"):
        with pytest.raises(SettingError, match="arn:aws:iot:REGION:ACCOUNT"):
            Settings.from_env({"TIDEGATE_AWS_IOT_ARN": wrong})


def test_every_setting_is_in_the_table_with_its_meaning_and_origin() -> None:
    rows = {
        name: (value, source, meaning) for name, value, source, meaning in Settings().rows({"TIDEGATE_HOST": "::1"})
    }
    assert rows["TIDEGATE_HOST"][1] == "environment"
    assert rows["TIDEGATE_COAP_PORT"] == ("5683", "default", "devices over CoAP (UDP)")
    assert all(meaning for _, _, meaning in rows.values())


def test_a_mistyped_variable_is_noticed() -> None:
    assert unknown_variables({"TIDEGATE_HTPP_PORT": "1", "TIDEGATE_HOST": "x", "PATH": "/"}) == ["TIDEGATE_HTPP_PORT"]


def test_a_log_line_is_one_json_object_with_the_event_and_its_fields() -> None:
    out = io.StringIO()
    before = logging.getLogger().handlers[:], logging.getLogger().level
    try:
        logs.configure("INFO", "ingest", out)
        logging.getLogger("ingest.service").info("device.connected", extra={"device": "pump-7"})
        try:
            raise RuntimeError("two\nlines")
        except RuntimeError:
            logging.getLogger("ingest.service").exception("batch.failed")
    finally:
        logging.getLogger().handlers[:], _ = before
        logging.getLogger().setLevel(before[1])
    first, second = (json.loads(line) for line in out.getvalue().splitlines())
    assert first["event"] == "device.connected"
    assert first["device"] == "pump-7"
    assert first["process"] == "ingest"
    assert first["at"].endswith("Z")
    assert "two\nlines" in second["error"]
