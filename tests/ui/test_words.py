"""What the contract answers, in words people read."""

import pytest

from ui.first_message import coap_client, curl, example, mosquitto_pub
from ui.naming import propose_key
from ui.pages.alerts import worst_first
from ui.pages.device.words import all_readings, drawable, labels_of, labels_text
from ui.pages.profiles import limits
from ui.pages.sign_in import inside, plain
from ui.words import AlertLine, lasting, unit, words

TEMPERATURE = {"key": "temperature", "type": "NUMBER", "unit": "degC", "label": "", "min": -30, "max": 40}
DOOR = {"key": "door", "type": "BOOLEAN", "unit": None, "label": "Door open", "min": None, "max": None}


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("Cold room north", "cold-room-north"),
        ("  Kühlraum Nord #2 ", "kuhlraum-nord-2"),
        ("x" * 60, "x" * 40),
        ("---", ""),
        ("冷蔵庫", ""),
    ],
)
def test_a_key_is_proposed_that_the_contract_accepts(name: str, key: str) -> None:
    assert propose_key(name) == key


def test_a_key_reads_as_words_and_a_unit_as_its_sign() -> None:
    assert words("supply_temperature") == "Supply temperature"
    assert (unit("degC"), unit("bar"), unit(None)) == ("°C", "bar", "")


def test_the_line_to_paste_signs_in_as_the_device_and_sends_believable_values() -> None:
    line = mosquitto_pub("demo", "cold-1", "tgd_secret", [TEMPERATURE, DOOR])
    assert "-u 'demo/d/cold-1' -P 'tgd_secret' -t 't/demo/d/cold-1/up/telemetry'" in line
    assert line.endswith("""-m '{"values":{"temperature":5,"door":true}}'""")


def test_the_lines_for_http_and_coap_say_the_same_and_show_the_token() -> None:
    over_http, over_coap = (make("cold-1", "tgd_secret", [TEMPERATURE]) for make in (curl, coap_client))
    assert "-H 'Authorization: Bearer tgd_secret'" in over_http
    assert over_http.endswith(":8001/ingest/v1/cold-1/telemetry")
    assert over_coap.endswith(":5683/ingest/v1/cold-1/telemetry?token=tgd_secret'")
    assert all("""'{"values":{"temperature":5}}'""" in line for line in (over_http, over_coap))


def test_a_profile_without_metrics_still_gets_an_example() -> None:
    assert example([]) == {"temperature": 21.5}


def test_a_value_above_a_lower_limit_only_is_believable() -> None:
    assert example([{**TEMPERATURE, "max": None, "min": 2.5}]) == {"temperature": 2.5}


@pytest.mark.parametrize(
    ("low", "high", "said"), [(-30, 40, "-30 to 40 °C"), (0, None, "0 °C or more"), (None, 9.5, "up to 9.5 °C")]
)
def test_limits_are_said_in_words(low: float | None, high: float | None, said: str) -> None:
    assert limits({**TEMPERATURE, "min": low, "max": high}) == said


def test_large_limits_are_written_out() -> None:
    assert limits({**TEMPERATURE, "unit": None, "min": 0, "max": 1e9}) == "0 to 1,000,000,000"


def test_labels_survive_editing() -> None:
    labels = {"site": "Hamburg", "note": "door: left"}
    assert labels_of(labels_text(labels)) == labels


def test_a_label_line_without_a_colon_is_explained() -> None:
    with pytest.raises(ValueError, match="needs a colon"):
        labels_of("site Hamburg")


@pytest.mark.parametrize("path", ["//evil.example", "https://evil.example", "/\\evil.example", "", "/sign-in?next=/"])
def test_signing_in_never_leads_to_another_host_or_in_a_circle(path: str) -> None:
    assert inside(path) == "/"


def test_signing_in_leads_back_to_where_one_wanted_to_go() -> None:
    assert inside("/devices/7") == "/devices/7"


def test_every_error_of_signing_in_says_something() -> None:
    assert plain("") == ""
    assert "do not belong together" in plain("bad-credentials")
    assert plain("something-new") != ""


def test_a_device_shows_its_profiles_metrics_before_they_have_values_and_what_else_it_sends() -> None:
    extra = {"metric": "rssi", "label": None, "unit": None, "value": -70, "time": "2026-01-01T00:00:00Z"}
    device = {"id": "d", "profile": {"metrics": [TEMPERATURE, DOOR]}, "latest": [extra]}
    assert [(each.metric, each.label, each.value) for each in all_readings(device)] == [
        ("temperature", "Temperature", None),
        ("door", "Door open", None),
        ("rssi", "Rssi", -70),
    ]
    assert [(each.key, each.type) for each in drawable(device)] == [
        ("temperature", "NUMBER"),
        ("door", "BOOLEAN"),
        ("rssi", "NUMBER"),
    ]


def test_texts_are_not_drawn() -> None:
    text = {"metric": "mode", "label": None, "unit": None, "value": "auto", "time": "2026-01-01T00:00:00Z"}
    assert drawable({"id": "d", "profile": {"metrics": []}, "latest": [text]}) == []


@pytest.mark.parametrize(
    ("end", "said"),
    [
        (None, ""),
        ("2026-01-01T12:00:00.200Z", "1 second"),
        ("2026-01-01T12:00:59Z", "59 seconds"),
        ("2026-01-01T12:01:20Z", "1 minute"),
        ("2026-01-01T15:00:00Z", "3 hours"),
        ("2026-01-04T12:00:00Z", "3 days"),
    ],
)
def test_how_long_something_went_on_is_said_in_words(end: str | None, said: str) -> None:
    assert lasting("2026-01-01T12:00:00Z", end) == said


def _alert(severity: str, raised_at: str) -> AlertLine:
    return AlertLine("a", severity, "ACTIVE", "", raised_at, "", "", "", "", "", "r", "", "d", "")


def test_the_worst_alerts_come_first_and_among_equals_the_newest() -> None:
    alerts = [_alert("minor", "03"), _alert("critical", "01"), _alert("odd", "04"), _alert("critical", "02")]
    order = [(each.severity, each.raised_at) for each in worst_first(alerts)]
    assert order == [("critical", "02"), ("critical", "01"), ("minor", "03"), ("odd", "04")]
