"""BACnet's engineering units, spelled as profiles spell them."""

from collections.abc import Mapping

_OURS: Mapping[str, str] = {
    **{"degrees-celsius": "degC", "degrees-fahrenheit": "degF", "degrees-kelvin": "K"},
    **{"bars": "bar", "millibars": "mbar", "pascals": "Pa", "hectopascals": "hPa", "kilopascals": "kPa"},
    **{"watts": "W", "kilowatts": "kW", "megawatts": "MW", "joules": "J", "kilojoules": "kJ"},
    **{"watt-hours": "Wh", "kilowatt-hours": "kWh", "megawatt-hours": "MWh"},
    **{"amperes": "A", "milliamperes": "mA", "volts": "V", "millivolts": "mV", "kilovolts": "kV", "ohms": "ohm"},
    **{"hertz": "Hz", "kilohertz": "kHz", "revolutions-per-minute": "rpm"},
    **{"meters": "m", "centimeters": "cm", "millimeters": "mm", "kilometers": "km"},
    **{"square-meters": "m2", "cubic-meters": "m3", "liters": "L", "milliliters": "mL"},
    **{"grams": "g", "kilograms": "kg", "newton": "N", "newton-meters": "N*m"},
    **{"meters-per-second": "m/s", "kilometers-per-hour": "km/h"},
    **{"cubic-meters-per-hour": "m3/h", "cubic-meters-per-second": "m3/s"},
    **{"liters-per-minute": "L/min", "liters-per-second": "L/s", "liters-per-hour": "L/h"},
    **{"kilograms-per-second": "kg/s", "kilograms-per-hour": "kg/h"},
    **{"seconds": "s", "milliseconds": "ms", "minutes": "min", "hours": "h", "days": "d"},
    **{"percent": "percent", "percent-relative-humidity": "percent", "parts-per-million": "ppm"},
    **{"luxes": "lx", "degrees-angular": "deg", "radians": "rad"},
}


def unit_of(said: object) -> str | None:
    """Our name of a unit, else BACnet's, None without one."""
    name = "" if said is None else str(said)
    return None if name in ("", "no-units") else _OURS.get(name, name[:32])
