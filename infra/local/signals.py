"""Believable measurements: a cold room, a pump and an energy meter, each a small model with a seeded chance of its own.

The same seed and the same steps give the same values. Each model now and then does what its rule watches for: a door
left open, a failing bearing, a sagging grid.
"""

import math
from collections.abc import Callable, Mapping
from random import Random
from typing import Any, Protocol

Values = dict[str, float | bool]
OBEYS_S = 600.0
"""How long a pump runs as it was told before it goes its own way again."""


class Unwilling(Exception):
    """A device will not do what it is asked; the words are for the one who asked."""


class Signal(Protocol):
    """One simulated device."""

    def step(self, seconds: float) -> Values:
        """Let time pass and measure."""
        ...

    def obey(self, command: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Begin to do what is asked; what there is to report of it. Raises Unwilling."""
        ...


class ColdRoom:
    """Cooled between 2 and 5 °C by a compressor that starts and stops; doors open, and some stay open."""

    OUTSIDE_C = 22.0

    def __init__(self, chance: Random) -> None:
        self._chance = chance
        self._temperature = chance.uniform(2.5, 4.5)
        self._is_cooling = chance.random() < 0.5
        self._door_s = 0.0
        self._defrost_s = 0.0

    def step(self, seconds: float) -> Values:
        chance = self._chance
        self._door_s = max(0.0, self._door_s - seconds)
        if self._door_s == 0.0 and chance.random() < 1 - math.exp(-seconds / 400):
            # one door in twenty is forgotten for some minutes
            self._door_s = chance.uniform(240, 420) if chance.random() < 0.05 else chance.uniform(5, 40)
        is_open = self._door_s > 0
        if self._temperature > 5.0:
            self._is_cooling = True
        elif self._temperature < 2.0:
            self._is_cooling = False
        is_defrosting = self._defrost_s > 0
        if is_defrosting:
            self._is_cooling = False
        self._defrost_s = max(0.0, self._defrost_s - seconds)
        leak = (self.OUTSIDE_C - self._temperature) / (400 if is_open else 4_000)
        warmth = 0.012 if is_defrosting and self._temperature < 7.0 else 0.0
        self._temperature += seconds * (leak + warmth - (0.03 if self._is_cooling else 0.0))
        humidity = 78 + (9 if is_open else 0) - (6 if self._is_cooling else 0) + chance.gauss(0, 0.8)
        return {
            "temperature": round(self._temperature + chance.gauss(0, 0.05), 2),
            "humidity": round(min(100.0, max(0.0, humidity)), 1),
            "door_open": is_open,
            "compressor_on": self._is_cooling,
        }

    def obey(self, command: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        if command == "defrost":
            if self._door_s > 0:
                raise Unwilling("The door is open.")
            self._defrost_s = 60.0 * float(arguments["minutes"])
            return {"temperature": round(self._temperature, 1)}
        if command == "silence-buzzer":
            return {"was_sounding": self._door_s > 30}
        raise Unwilling(f"A cold room does not know “{command}”.")


class Pump:
    """Flow and pressure follow the speed; a bearing wears, fails for a while, and is replaced."""

    def __init__(self, chance: Random) -> None:
        self._chance = chance
        self._is_running = True
        self._speed = 1.0
        self._wear = chance.uniform(0.0, 0.5)
        self._rated_flow = chance.uniform(60, 120)
        self._wanted = 1.0
        self._told_s = 0.0

    def step(self, seconds: float) -> Values:
        chance = self._chance
        is_moody = chance.random() < 1 - math.exp(-seconds / (1_800 if self._is_running else 60))
        self._told_s = max(0.0, self._told_s - seconds)
        if self._told_s == 0.0 and is_moody:
            self._is_running, self._wanted = not self._is_running, 1.0
        wanted = self._wanted if self._is_running else 0.0
        self._speed += (wanted - self._speed) * min(1.0, seconds / 8)
        if self._is_running:
            self._wear += seconds / 1_500
        if self._wear > 1.15:
            self._wear = 0.0
        shaking = 1.6 + 7.5 * max(0.0, self._wear - 0.85) / 0.15
        return {
            "flow": round(max(0.0, self._rated_flow * self._speed + chance.gauss(0, 0.6) * self._speed), 1),
            "pressure": round(max(0.0, 6.2 * self._speed**2 + chance.gauss(0, 0.04)), 2),
            "vibration": round(max(0.0, shaking * self._speed + chance.gauss(0, 0.12)), 2),
            "running": self._is_running,
        }

    def obey(self, command: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        if command not in ("run", "stop"):
            raise Unwilling(f"A pump does not know “{command}”.")
        self._is_running, self._told_s = command == "run", OBEYS_S
        if self._is_running:
            self._wanted = float(arguments["speed"]) / 100 * (0.9 if arguments.get("mode") == "eco" else 1.0)
        return {"speed": round(100 * self._wanted) if self._is_running else 0}


class EnergyMeter:
    """Power over a working day, voltage around 230 V with a sag now and then, energy that only rises."""

    def __init__(self, chance: Random) -> None:
        self._chance = chance
        self._second = chance.uniform(0, 86_400)
        self._energy_kwh = chance.uniform(1_000, 90_000)
        self._peak_kw = chance.uniform(30, 120)
        self._sag_s = 0.0

    def step(self, seconds: float) -> Values:
        chance = self._chance
        self._second = (self._second + seconds) % 86_400
        self._sag_s = max(0.0, self._sag_s - seconds)
        if self._sag_s == 0.0 and chance.random() < 1 - math.exp(-seconds / 1_200):
            self._sag_s = chance.uniform(30, 90)
        load = 0.25 + 0.75 * max(0.0, math.sin((self._second / 86_400 - 0.25) * 2 * math.pi))
        power = max(0.0, self._peak_kw * load * (1 + chance.gauss(0, 0.02)))
        self._energy_kwh += power * seconds / 3_600
        voltage = (203.0 if self._sag_s > 0 else 231.0 - 3 * load) + chance.gauss(0, 0.6)
        return {
            "power": round(power, 2),
            "voltage": round(voltage, 1),
            "energy": round(self._energy_kwh, 3),
        }

    def obey(self, command: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        raise Unwilling("An energy meter only measures.")


MODELS: Mapping[str, Callable[[Random], Signal]] = {"cold-room": ColdRoom, "pump": Pump, "energy-meter": EnergyMeter}
"""Profile key → model."""


def signal(profile: str, key: str, seed: int) -> Signal:
    """The model of one device; its chance depends on the seed and its own key only."""
    return MODELS[profile](Random(f"{seed}/{key}"))  # noqa: S311  # a simulation, not a secret
