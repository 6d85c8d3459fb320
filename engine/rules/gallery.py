"""The gallery: what people most often want to be told of, each a rule with a few things to choose."""

from typing import Any

from engine.rules.model import MetricType
from engine.rules.templates import HOLE, Hole, HoleKind, Template


def _hole(key: str) -> dict[str, str]:
    return {HOLE: key}


def _metric(key: str, label: str, unit: str | None, *words: str, type: MetricType = MetricType.NUMBER) -> Hole:
    return Hole(key, HoleKind.METRIC, label, unit=unit, type=type, words=words)


def _number(key: str, label: str, default: float, unit: str | None = None, follows: str | None = None) -> Hole:
    return Hole(key, HoleKind.NUMBER, label, default, unit, follows=follows)


def _time(key: str, label: str, default: str) -> Hole:
    return Hole(key, HoleKind.DURATION, label, default)


def _is(metric: str, op: str, value: Any, unit: str | None = None, **how: Any) -> dict[str, Any]:
    leaf = {"metric": _hole(metric), **how, "op": op, "value": value}
    return leaf if unit is None else {**leaf, "unit": unit}


_TEMPERATURE = _metric("metric", "Temperature", "degC", "temperature", "temp")

GALLERY: tuple[Template, ...] = (
    Template(
        "freezer-too-warm",
        "Freezer too warm",
        "The freezer has been too warm for some minutes. Opening its door for a moment does not count.",
        "snowflake",
        "critical",
        (
            _TEMPERATURE,
            _number("limit", "Too warm above", -15, "degC"),
            _number("safe", "Well again below", -17, "degC", follows="limit"),
            _time("wait", "For at least", "10m"),
        ),
        {
            "when": _is("metric", ">", _hole("limit"), "degC"),
            "for": _hole("wait"),
            "clear": {"when": _is("metric", "<", _hole("safe"), "degC"), "for": "2m"},
        },
    ),
    Template(
        "fridge-out-of-range",
        "Fridge out of its range",
        "The average temperature has left the range that medicine and food are kept in.",
        "thermometer-snowflake",
        "major",
        (
            _TEMPERATURE,
            _number("low", "Too cold below", 2, "degC"),
            _number("high", "Too warm above", 8, "degC"),
            _time("window", "Average over", "30m"),
        ),
        {
            "when": {
                "any": [
                    _is("metric", "<", _hole("low"), "degC", agg={"fn": "avg", "over": _hole("window")}),
                    _is("metric", ">", _hole("high"), "degC", agg={"fn": "avg", "over": _hole("window")}),
                ]
            },
            "for": "5m",
        },
    ),
    Template(
        "device-silent",
        "Nothing heard of a device",
        "A device or gateway has sent nothing for too long. It need not know that it is broken.",
        "radio-tower",
        "major",
        (_time("wait", "Silent for", "1h"),),
        {"when": {"silence": _hole("wait")}},
    ),
    Template(
        "gateway-offline",
        "Gateway offline",
        "The connection is gone and has not come back. A short break while it reconnects does not count.",
        "wifi-off",
        "major",
        (_time("wait", "Offline for", "5m"),),
        {"when": {"presence": "offline"}, "for": _hole("wait"), "clear": {"when": {"presence": "online"}, "for": "1m"}},
    ),
    Template(
        "battery-low",
        "Battery low",
        "The battery should be charged or changed before the device falls silent.",
        "battery-low",
        "minor",
        (
            _metric("metric", "Battery", "percent", "battery", "charge"),
            _number("limit", "Low below", 20, "percent"),
            _number("safe", "Well again above", 30, "percent", follows="limit"),
        ),
        {
            "when": _is("metric", "<", _hole("limit"), "percent"),
            "clear": {"when": _is("metric", ">", _hole("safe"), "percent")},
            "limits": {"cooldown": "1d"},
        },
    ),
    Template(
        "area-left",
        "It has left its area",
        "A vehicle, container or machine is outside the area where it belongs.",
        "map-pin-off",
        "major",
        (
            _metric("metric", "Position", None, "position", "location", "gps", type=MetricType.OBJECT),
            Hole("area", HoleKind.CIRCLE, "Where it belongs"),
            _time("wait", "Outside for", "2m"),
        ),
        {
            "when": {"place": {"metric": _hole("metric"), "is": "outside", "of": {"circle": _hole("area")}}},
            "for": _hole("wait"),
        },
    ),
    Template(
        "pump-runs-dry",
        "Pump runs dry",
        "The pump draws current but moves no water: it overheats within minutes.",
        "droplet-off",
        "critical",
        (
            _metric("current", "Current of the motor", "A", "current", "amp"),
            _metric("flow", "Flow", "l/min", "flow"),
            _number("running", "It runs above", 0.5, "A"),
            _number("dry", "Dry below", 1, "l/min"),
            _time("wait", "For at least", "1m"),
        ),
        {
            "when": {
                "all": [
                    _is("current", ">", _hole("running"), "A"),
                    _is("flow", "<", _hole("dry"), "l/min"),
                ]
            },
            "for": _hole("wait"),
        },
    ),
    Template(
        "mould",
        "Damp enough for mould",
        "Where the air stays this damp for hours, mould grows. One shower does not count.",
        "droplets",
        "minor",
        (
            _metric("metric", "Humidity", "percent", "humidity", "rh"),
            _number("limit", "Damp above", 70, "percent"),
            _time("window", "Average over", "6h"),
        ),
        {
            "when": _is("metric", ">", _hole("limit"), "percent", agg={"fn": "avg", "over": _hole("window")}),
            "for": "30m",
        },
    ),
    Template(
        "door-left-open",
        "Door left open",
        "Somebody has forgotten to close a door, a lid or a window.",
        "door-open",
        "minor",
        (
            _metric("metric", "Door", None, "door", "open", "window", type=MetricType.BOOLEAN),
            _time("wait", "Open for", "10m"),
        ),
        {"when": _is("metric", "==", True), "for": _hole("wait")},
    ),
    Template(
        "power-spike",
        "Power spike",
        "It suddenly draws much more power than just before.",
        "zap",
        "minor",
        (
            _metric("metric", "Power", "kW", "power", "load"),
            _number("jump", "Rises by more than", 2, "kW"),
            _time("window", "Within", "15m"),
        ),
        {
            "when": _is("metric", ">", _hole("jump"), "kW", delta={"over": _hole("window")}),
            "limits": {"cooldown": "15m"},
        },
    ),
    Template(
        "value-stuck",
        "Value stands still",
        "A sensor that always reports the very same value is often broken or frozen.",
        "pause",
        "minor",
        (
            _metric("metric", "Value", None),
            _time("wait", "Unmoved for", "12h"),
        ),
        {"when": {"metric": _hole("metric"), "stuck": {"for": _hole("wait")}}},
    ),
    Template(
        "rising-fast",
        "Temperature rises fast",
        "It warms up faster than it should: a failing bearing, a fire, a door left open.",
        "trending-up",
        "major",
        (
            _TEMPERATURE,
            _number("slope", "Faster than, each minute", 1, "degC"),
            _time("window", "Seen over", "15m"),
        ),
        {
            "when": _is("metric", ">", _hole("slope"), "degC", rate={"per": "1m", "over": _hole("window")}),
            "for": "1m",
        },
    ),
    Template(
        "out-of-hours-motion",
        "Motion out of hours",
        "Something moves where nobody should be at this time.",
        "footprints",
        "major",
        (
            _metric("metric", "Motion", None, "motion", "presence", "pir", type=MetricType.BOOLEAN),
            Hole("from", HoleKind.CLOCK, "From", "20:00"),
            Hole("to", HoleKind.CLOCK, "Until", "06:00"),
        ),
        {
            "when": {
                "all": [
                    _is("metric", "==", True),
                    {"time": {"from": _hole("from"), "to": _hole("to"), "tz": "site"}},
                ]
            },
            "limits": {"cooldown": "10m"},
        },
    ),
    Template(
        "tank-level-low",
        "Tank nearly empty",
        "The tank is low, or it is getting low and empties fast.",
        "container",
        "major",
        (
            _metric("metric", "Level", "percent", "level", "fill", "tank"),
            _number("limit", "Low below", 15, "percent"),
            _number("soon", "Getting low below", 40, "percent"),
            _number("slope", "Empties fast: its change each hour is below", -10, "percent"),
        ),
        {
            "when": {
                "any": [
                    _is("metric", "<", _hole("limit"), "percent"),
                    {
                        "all": [
                            _is("metric", "<", _hole("soon"), "percent"),
                            _is("metric", "<", _hole("slope"), "percent", rate={"per": "1h", "over": "2h"}),
                        ]
                    },
                ]
            },
            "for": "5m",
        },
    ),
    Template(
        "co2-too-high",
        "Bad air",
        "Carbon dioxide has risen so far that people get tired: open a window.",
        "wind",
        "minor",
        (
            _metric("metric", "CO₂", "ppm", "co2", "carbon"),
            _number("limit", "Bad above", 1200, "ppm"),
            _number("safe", "Good again below", 900, "ppm", follows="limit"),
        ),
        {
            "when": _is("metric", ">", _hole("limit"), "ppm"),
            "for": "10m",
            "clear": {"when": _is("metric", "<", _hole("safe"), "ppm")},
        },
    ),
    Template(
        "no-data-from-sensor",
        "One sensor sends nothing",
        "The device still reports, but one of its values has stopped coming.",
        "unplug",
        "minor",
        (
            _metric("metric", "Value", None),
            _time("window", "No value for", "2h"),
        ),
        {"when": _is("metric", "==", 0, agg={"fn": "count", "over": _hole("window")}), "for": "1m"},
    ),
    Template(
        "filter-change",
        "Time for a new filter",
        "It has run for as many hours as a filter lasts. The counter begins anew after the change.",
        "filter",
        "info",
        (
            _metric("metric", "Running hours", "h", "hours", "runtime", "running"),
            _number("limit", "A filter lasts", 500, "h"),
        ),
        {
            "when": _is("metric", ">=", _hole("limit"), "h"),
            "clear": {"when": _is("metric", "<", 24, "h")},
        },
    ),
    Template(
        "frost",
        "Frost is coming",
        "It is near freezing and still getting colder: pipes and plants are in danger.",
        "thermometer-sun",
        "major",
        (
            _TEMPERATURE,
            _number("limit", "Near freezing below", 3, "degC"),
            _time("window", "Colder than so long ago", "1h"),
        ),
        {
            "when": {
                "all": [
                    _is("metric", "<", _hole("limit"), "degC"),
                    _is("metric", "<", {"metric": _hole("metric"), "ago": _hole("window")}),
                ]
            },
            "for": "5m",
        },
    ),
    Template(
        "leak",
        "Water leak",
        "The leak sensor is wet.",
        "waves",
        "critical",
        (_metric("metric", "Leak", None, "leak", "wet", "flood", "water", type=MetricType.BOOLEAN),),
        {"when": _is("metric", "==", True), "clear": {"when": _is("metric", "==", False), "for": "10m"}},
    ),
    Template(
        "off-its-setpoint",
        "Far from its set value",
        "The heating or cooling does not reach what it is set to.",
        "target",
        "minor",
        (
            _metric("metric", "Measured", "degC", "temperature", "actual", "measured"),
            _metric("setpoint", "Set value", "degC", "setpoint", "target", "set"),
            _number("above", "Off by more than", 3, "degC"),
            _time("wait", "For at least", "30m"),
        ),
        {
            "when": _is("metric", ">", {"metric": _hole("setpoint"), "plus": _hole("above")}, "degC"),
            "for": _hole("wait"),
        },
    ),
)


def template(key: str) -> Template | None:
    """The template of this name."""
    return next((each for each in GALLERY if each.key == key), None)
