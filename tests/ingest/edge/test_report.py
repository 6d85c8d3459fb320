"""What goes up for what was read: nothing that a machine said gets lost on the way into messages."""

import json
from typing import Any

from ingest.edge import document, points
from ingest.edge.driver import Sample
from ingest.edge.points import Point
from ingest.edge.report import Report

AT = 1_769_860_800_000


def point(metric: str) -> Point:
    said = {
        "connections": {"plc": {"protocol": "modbus-tcp", "host": "127.0.0.1"}},
        "devices": {
            "d": {"connection": "plc", "points": [{"metric": metric, "address": {"holding": 0}, "type": "int16"}]}
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


def test_that_a_machine_is_not_sure_of_a_value_is_told_when_it_begins_and_when_it_ends() -> None:
    report, speed = Report("plant"), point("speed")
    kinds = [
        [tail for tail, _ in sent(report, Sample(speed, n, quality=quality)) if tail.startswith("event")]
        for n, quality in enumerate(("good", "uncertain", "uncertain", "good"))
    ]
    assert kinds == [[], ["event/point-uncertain"], [], ["event/point-certain"]]
