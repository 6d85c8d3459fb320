"""What the demo tenant holds: its profiles, its devices and its three rules, as plain data."""

from typing import Any

from engine.devices.declared import Argument, Command, ShadowLeaf, ValueType
from engine.devices.model import Declaration, Metric, MetricType

TENANT = "demo"
TENANT_NAME = "Demo"
EMAIL = "owner@demo.example"
SPARE = "my-first-device"
"""The device the simulator leaves alone, for a newcomer's first message."""

NUMBER, BOOLEAN = MetricType.NUMBER, MetricType.BOOLEAN

COOLED_ROOM = (
    Metric("temperature", NUMBER, "Temperature", "°C", -40, 60),
    Metric("humidity", NUMBER, "Humidity", "%", 0, 100),
    Metric("door_open", BOOLEAN, "Door open"),
    Metric("compressor_on", BOOLEAN, "Compressor running"),
)
DEFROSTS = "Melts the ice on the evaporator; the room warms up a little meanwhile."

PROFILES: dict[str, Declaration] = {
    "cold-room": Declaration(
        "Cold room",
        COOLED_ROOM,
        reporting_interval_s=60,
        commands=(
            Command(
                "defrost",
                "Defrost",
                DEFROSTS,
                (Argument("minutes", ValueType.NUMBER, "How long", "min", 5, 45),),
                timeout_s=60,
            ),
            Command("silence-buzzer", "Silence the buzzer", "Stops the door alarm until the door is opened again."),
        ),
        shadow=(
            ShadowLeaf("setpoint", ValueType.NUMBER, "Target temperature", "°C", -30, 12, is_writable=True),
            ShadowLeaf("door_alarm.after_s", ValueType.NUMBER, "Door alarm after", "s", 10, 600, is_writable=True),
            ShadowLeaf("firmware", ValueType.STRING, "Firmware"),
        ),
    ),
    "pump": Declaration(
        "Pump",
        (
            Metric("flow", NUMBER, "Flow", "m³/h", 0, 500),
            Metric("pressure", NUMBER, "Pressure", "bar", 0, 25),
            Metric("vibration", NUMBER, "Vibration", "mm/s", 0, 100),
            Metric("running", BOOLEAN, "Running"),
        ),
        reporting_interval_s=30,
        commands=(
            Command(
                "run",
                "Start the pump",
                "Starts it, or changes how it runs.",
                (
                    Argument("speed", ValueType.NUMBER, "Speed", "%", 20, 100),
                    Argument("mode", ValueType.STRING, "Mode", choices=("eco", "full"), is_required=False),
                ),
            ),
            Command("stop", "Stop the pump", "Runs it down gently within half a minute.", timeout_s=60),
        ),
        shadow=(
            ShadowLeaf("mode", ValueType.STRING, "Mode", choices=("eco", "full"), is_writable=True),
            ShadowLeaf("limits.pressure", ValueType.NUMBER, "Stop above", "bar", 1, 25, is_writable=True),
            ShadowLeaf("hours_run", ValueType.NUMBER, "Hours run", "h", 0),
        ),
    ),
    "energy-meter": Declaration(
        "Energy meter",
        (
            Metric("power", NUMBER, "Power", "kW", 0, 500),
            Metric("voltage", NUMBER, "Voltage", "V", 0, 500),
            Metric("energy", NUMBER, "Energy", "kWh", 0, 1e9),
        ),
        reporting_interval_s=60,
        shadow=(
            ShadowLeaf("tariff", ValueType.STRING, "Tariff", choices=("day", "night"), is_writable=True),
            ShadowLeaf("current_ratio", ValueType.NUMBER, "Current transformer ratio", min=1, max=5_000),
        ),
    ),
}

GATEWAY = "plant-edge"
"""The gateway device of the demo's edge, which speaks for the machines of `plant.py`."""

EDGE_PROFILES: dict[str, Declaration] = {
    "edge": Declaration(
        "Edge",
        (
            Metric("edge_waiting", NUMBER, "Messages waiting", min=0),
            Metric("edge_dropped", NUMBER, "Messages dropped", min=0),
            Metric("edge_refused", NUMBER, "Messages refused", min=0),
            Metric("edge_points_failing", NUMBER, "Points failing", min=0),
        ),
        commands=(
            Command(
                "edge-read",
                "Read a point now",
                "Asks the machine itself, whenever the next reading is due.",
                (
                    Argument("device", ValueType.STRING, "Device"),
                    Argument("metric", ValueType.STRING, "Metric"),
                ),
            ),
            Command(
                "edge-discover",
                "Look for registers",
                "Proposes the registers of one table that the machine knows.",
                (
                    Argument("connection", ValueType.STRING, "Connection"),
                    Argument("unit", ValueType.NUMBER, "Unit", min=0, max=255, is_required=False),
                    Argument(
                        "table",
                        ValueType.STRING,
                        "Table",
                        choices=("coil", "discrete", "holding", "input"),
                        is_required=False,
                    ),
                    Argument("from", ValueType.NUMBER, "From", min=0, max=65_535, is_required=False),
                    Argument("to", ValueType.NUMBER, "To", min=0, max=65_535, is_required=False),
                ),
                timeout_s=120,
            ),
        ),
    ),
    "walk-in-cooler": Declaration(
        "Walk-in cooler (Modbus)",
        COOLED_ROOM,
        reporting_interval_s=60,
        commands=(
            Command(
                "defrost",
                "Defrost",
                DEFROSTS,
                (Argument("defrost_min", ValueType.NUMBER, "How long", "min", 5, 45),),
            ),
        ),
    ),
    "boiler-feed": Declaration(
        "Feed pump (Modbus)",
        (
            Metric("flow", NUMBER, "Flow", "m³/h", 0, 500),
            Metric("pressure", NUMBER, "Pressure", "bar", 0, 25),
            Metric("vibration", NUMBER, "Vibration", "mm/s", 0, 100),
            Metric("running", BOOLEAN, "Running"),
            Metric("speed", NUMBER, "Speed", "%", 0, 100),
        ),
        reporting_interval_s=60,
        commands=(
            Command(
                "run", "Set the speed", "Stops at 0.", (Argument("speed", ValueType.NUMBER, "Speed", "%", 0, 100),)
            ),
        ),
    ),
}

EDGE_DEVICES: dict[str, tuple[str, str, str]] = {
    GATEWAY: ("Edge of the plant", "edge", "Basel"),
    "cooler-1": ("Walk-in cooler 1", "walk-in-cooler", "Basel"),
    "boiler-feed": ("Feed pump", "boiler-feed", "Basel"),
}
"""Key → name, profile, site; all but the gateway are its children."""

DEVICES: dict[str, tuple[str, str, str]] = {
    "cold-room-1": ("Cold room 1, dairy", "cold-room", "Basel"),
    "cold-room-2": ("Cold room 2, meat", "cold-room", "Basel"),
    "cold-room-3": ("Cold room 3, flowers", "cold-room", "Basel"),
    "cold-room-4": ("Cold room 4, vaccines", "cold-room", "Zurich"),
    "cold-room-5": ("Cold room 5, returns", "cold-room", "Zurich"),
    "pump-1": ("Feed pump 1", "pump", "Basel"),
    "pump-2": ("Feed pump 2", "pump", "Basel"),
    "pump-3": ("Circulation pump", "pump", "Zurich"),
    "pump-4": ("Fire pump", "pump", "Zurich"),
    "meter-1": ("Main meter Basel", "energy-meter", "Basel"),
    "meter-2": ("Main meter Zurich", "energy-meter", "Zurich"),
    "meter-3": ("Compressor room meter", "energy-meter", "Basel"),
}
"""Key → name, profile, site."""


def _rule(name: str, severity: str, profile: str, when: Any, clear: Any, description: str, held_for: str) -> Any:
    return {
        "v": 1,
        "name": name,
        "description": description,
        "severity": severity,
        "scope": {"profile": profile},
        "when": when,
        "for": held_for,
        "clear": {"when": clear, "for": "30s"},
        "then": [{"do": "alert"}],
    }


RULES: tuple[Any, ...] = (
    _rule(
        "Cold room too warm",
        "major",
        "cold-room",
        {"metric": "temperature", "op": ">", "value": 8, "unit": "°C"},
        {"metric": "temperature", "op": "<", "value": 6.5, "unit": "°C"},
        "Above 8 °C the cold chain is broken; a door left open is the usual cause.",
        "1m",
    ),
    _rule(
        "Pump vibrates",
        "critical",
        "pump",
        {
            "all": [
                {"metric": "running", "op": "==", "value": True},
                {"metric": "vibration", "op": ">", "value": 7.1, "unit": "mm/s"},
            ]
        },
        {"metric": "vibration", "op": "<", "value": 4.5, "unit": "mm/s"},
        "Above 7.1 mm/s a bearing is failing (ISO 10816-3, zone D).",
        "30s",
    ),
    _rule(
        "Voltage out of tolerance",
        "minor",
        "energy-meter",
        {"metric": "voltage", "op": "outside", "value": [207, 253], "unit": "V"},
        {"metric": "voltage", "op": "between", "value": [210, 250], "unit": "V"},
        "230 V may vary by 10 % (EN 50160).",
        "20s",
    ),
)
