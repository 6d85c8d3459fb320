"""The units that OPC-UA servers name, spelled as profiles spell them.

A server names a unit by UNECE's Common Code, as a number made of its letters (Part 8, 5.6.4), and by a name to show.
"""

from collections.abc import Mapping

from asyncua import ua

_OURS: Mapping[str, str] = {
    **{"CEL": "degC", "FAH": "degF", "KEL": "K"},
    **{"BAR": "bar", "MBR": "mbar", "PAL": "Pa", "A97": "hPa", "KPA": "kPa", "MPA": "MPa"},
    **{"WTT": "W", "KWT": "kW", "MAW": "MW", "WHR": "Wh", "KWH": "kWh", "MWH": "MWh", "JOU": "J", "KJO": "kJ"},
    **{"AMP": "A", "4K": "mA", "VLT": "V", "2Z": "mV", "KVT": "kV", "HTZ": "Hz", "KHZ": "kHz", "OHM": "ohm"},
    **{"MTR": "m", "CMT": "cm", "MMT": "mm", "KMT": "km", "MTK": "m2", "MTQ": "m3", "LTR": "L", "MLT": "mL"},
    **{"GRM": "g", "KGM": "kg", "NEW": "N", "NU": "N*m"},
    **{"MTS": "m/s", "KMH": "km/h", "RPM": "rpm", "DD": "deg", "C81": "rad"},
    **{"MQH": "m3/h", "MQS": "m3/s", "L2": "L/min", "G51": "L/s", "KGS": "kg/s", "E93": "kg/h"},
    **{"SEC": "s", "C26": "ms", "MIN": "min", "HUR": "h", "DAY": "d"},
    **{"P1": "percent", "59": "ppm", "LUX": "lx", "GL": "g/L", "GP": "mg/m3"},
}
_SHOWN: Mapping[str, str] = {
    **{"°C": "degC", "°F": "degF", "%": "percent", "l": "L", "l/min": "L/min", "l/s": "L/s", "m³": "m3"},
    **{"m³/h": "m3/h", "m²": "m2", "1/min": "rpm", "r/min": "rpm", "Ω": "ohm"},
}
_UNECE = "http://www.opcfoundation.org/UA/units/un/cefact"


def unit_of(information: object) -> str | None:
    """The unit of an EngineeringUnits property: our name of it, else the name it shows, None without one."""
    if not isinstance(information, ua.EUInformation):
        return None
    if information.NamespaceUri in (_UNECE, None) and (known := _OURS.get(_code(information.UnitId))):
        return known
    shown = (information.DisplayName.Text or "").strip() if information.DisplayName is not None else ""
    return _SHOWN.get(shown, shown[:32]) or None


def _code(unit_id: int) -> str:
    """UNECE's letters: 4408652 is 0x43454C, "CEL"."""
    if not 0 < unit_id < 2**31:
        return ""
    return unit_id.to_bytes(4, "big").lstrip(b"\0").decode("ascii", "replace").strip()
