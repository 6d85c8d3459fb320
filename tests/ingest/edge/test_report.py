"""What goes up for what was read: nothing that a machine said gets lost on the way into messages."""

import json
from dataclasses import replace
from typing import Any

from ingest import aside, decode
from ingest.edge import document, points
from ingest.edge.driver import Sample
from ingest.edge.points import Point
from ingest.edge.report import Report
from ingest.normaliser import ANYTHING, normalise
from schema.wire.payloads import MAX_PAYLOAD_BYTES

AT = 1_769_860_800_000


def point(metric: str, *, on_change: bool = False) -> Point:
    said = {
        "connections": {"plc": {"protocol": "modbus-tcp", "host": "127.0.0.1"}},
        "devices": {
            "d": {
                "connection": "plc",
                "on_change": on_change,
                "points": [{"metric": metric, "address": {"holding": 0}, "type": "int16"}],
            }
        },
    }
    return points.parse(document.of(said, "points")).points[0]


def sent(report: Report, *samples: Sample) -> list[tuple[str, Any]]:
    return [(tail.split("/", 3)[-1], json.loads(payload)) for tail, payload in report.messages(samples, AT, 0.0)]


def test_values_of_one_time_are_one_message_and_two_values_of_one_metric_at_one_time_are_two() -> None:
    speed, level = point("speed"), point("level")
    told = [Sample(speed, 1, source_ms=AT), Sample(level, 5, source_ms=AT), Sample(speed, 2, source_ms=AT)]
    assert sent(Report("plant"), *told) == [
        ("telemetry", {"time": AT, "values": {"speed": 1, "level": 5}}),
        ("telemetry", {"time": AT, "values": {"speed": 2}}),
    ]


def test_more_points_than_one_reading_may_have_go_up_in_several_that_the_platform_takes() -> None:
    speeds = [Sample(point(f"m{n}"), n, quality="uncertain" if n % 2 else "good") for n in range(450)]
    texts = [Sample(point(f"t{n}"), "\N{SNOWMAN}" * 1_024) for n in range(150)]
    found: dict[str, Any] = {}
    for _, payload in Report("plant").messages([*speeds, *texts], AT, 0.0):
        time_ms, _, values, said = decode.reading(decode.load(payload))
        kept = values if said is None else aside.judge(ANYTHING, values, said)[0]
        assert time_ms == AT
        assert len(payload) < MAX_PAYLOAD_BYTES
        assert not found.keys() & kept.keys()
        found |= normalise(ANYTHING, kept)[0]
    assert found == {sample.point.metric: sample.raw for sample in (*speeds, *texts)}


def test_a_value_that_its_scale_makes_too_large_is_an_error_of_this_point_alone() -> None:
    huge, speed = replace(point("huge"), scale=10.0), point("speed")
    (_, reading), (kind, event) = sent(Report("plant"), Sample(huge, 1.7976931348623157e308), Sample(speed, 5))
    assert reading == {"time": AT, "values": {"huge": None, "speed": 5}, "quality": {"huge": "bad"}}
    assert kind == "event/point-failed"
    assert "too large" in event["error"]


def test_a_value_of_long_ago_that_is_no_news_is_told_as_of_yesterday_and_news_with_a_wrong_clock_as_they_are() -> None:
    hour_ms, speed, report = 3_600_000, point("speed"), Report("plant")
    said = ((1, 23), (1, 5_000), (1, 5_000), (2, 5_000), (2, 0))
    told = [sent(report, Sample(speed, value, source_ms=AT - hours * hour_ms)) for value, hours in said]
    assert [(AT - message["time"]) // hour_ms for [(_, message)] in told] == [23, 23, 23, 5_000, 0]
    failed = Sample(speed, error="open loop", quality="bad", source_ms=AT - 5_000 * hour_ms)
    assert sent(report, failed)[0][1]["time"] == AT - 23 * hour_ms


def test_a_value_goes_up_with_its_quality_and_a_change_of_quality_is_a_change() -> None:
    report, speed = Report("plant"), point("speed", on_change=True)
    told = [sent(report, Sample(speed, 1, quality=q)) for q in ("good", "uncertain", "uncertain", "good")]
    good = [("telemetry", {"time": AT, "values": {"speed": 1}})]
    assert told == [
        good,
        [("telemetry", {"time": AT, "values": {"speed": 1}, "quality": {"speed": "uncertain"}})],
        [],
        good,
    ]


def test_what_became_an_error_goes_up_once_as_bad_beside_the_event_that_says_why() -> None:
    report, speed, level = Report("plant"), point("speed"), point("level")
    failed = Sample(speed, error="open loop", quality="bad")
    first, again = (sent(report, failed, Sample(level, 5)) for _ in range(2))
    assert first == [
        ("telemetry", {"time": AT, "values": {"speed": None, "level": 5}, "quality": {"speed": "bad"}}),
        ("event/point-failed", {"time": AT, "metric": "speed", "error": "open loop"}),
    ]
    assert again == [("telemetry", {"time": AT, "values": {"level": 5}})]
    assert [tail for tail, _ in sent(report, Sample(speed, 1))] == ["telemetry", "event/point-recovered"]
