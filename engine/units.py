"""Units: which can be turned into which, and how. Ours are short texts (degC, percent, m3/h), the knowledge is pint's.

Devices may also write them as UCUM does ([degF], Cel, mm[Hg]) or as SenML (RFC 8798: %RH, m3/s); rules and the door of
ingest ask the same function.

A difference of temperatures is not a temperature: 1 degC more is 1.8 degF more, while 1 degC is 33.8 degF. So rates and
differences are converted as ``delta_``.
"""

from __future__ import annotations

import math
import re
from functools import cache, lru_cache
from typing import Any, NamedTuple

import pint

_OURS = {
    "": "dimensionless",
    "percent": "percent",
    "%": "percent",
    "deg": "degree",
    "°": "degree",
    "°C": "degC",
    "°F": "degF",
    "K": "kelvin",
    "h": "hour",
    "min": "minute",
    "d": "day",
    "rpm": "1/minute",  # a count, as Hz is; pint's own revolution is an angle and makes 60 rpm 6.28 Hz
    "ppm": "ppm",
    "ohm": "ohm",
    "Ω": "ohm",
    "cm": "centimeter",
    "ug": "microgram",
    "kWh": "kilowatt_hour",
    "Wh": "watt_hour",
    "MWh": "megawatt_hour",
    "Ah": "ampere_hour",
    "mAh": "milliampere_hour",
    "VAr": "volt_ampere",
}
_UCUM = {
    "Cel": "degC",
    "[degF]": "degF",
    "%RH": "percent",
    "Ohm": "ohm",
    "L": "liter",
    "mL": "milliliter",
    "L/s": "liter/second",
    "L/min": "liter/minute",
    "L/h": "liter/hour",
    "m/s2": "m/s**2",
    "[g]": "standard_gravity",
    "[psi]": "psi",
    "mm[Hg]": "mmHg",
    "m[Hg]": "meter_Hg",
    "[in_i]": "inch",
    "[ft_i]": "foot",
    "[yd_i]": "yard",
    "[mi_i]": "mile",
    "[nmi_i]": "nautical_mile",
    "[kn_i]": "knot",
    "[mi_i]/h": "mile/hour",
    "[lb_av]": "pound",
    "[oz_av]": "ounce",
    "[gal_us]": "gallon",
    "[gal_us]/min": "gallon/minute",
    "[cft_i]": "foot**3",
    "[cft_i]/min": "foot**3/minute",
    "[Btu_IT]": "Btu",
    "[HP]": "horsepower",
    "kW.h": "kilowatt_hour",
    "W.h": "watt_hour",
    "MW.h": "megawatt_hour",
    "A.h": "ampere_hour",
    "V.A": "volt_ampere",
    "kV.A": "kilovolt_ampere",
    "[ppm]": "ppm",
    "{rpm}": "1/minute",
    "/min": "1/minute",
    "1/min": "1/minute",
    "/s": "1/second",
    "1/s": "1/second",
}
"""Units of UCUM and SenML that are written otherwise than ours; the rest (bar, kPa, m3/h, mol/l) are the same."""
_SPELLED = _OURS | _UCUM
_DIFFERENCES = {"degC": "delta_degC", "degF": "delta_degF"}
_ABSOLUTE = {"degC", "degF"}
_STRANGERS = frozenset({"pH", "dB", "dBm", "dBA"})
"""What pint would read as something else, or as a number on a logarithmic scale: only equal to itself."""
_PURE = ("percent", "%", "%RH", "ppm", "[ppm]"), ("deg", "°", "rad")
"""Units without a dimension that mean the same kind of thing; any others without one are only equal to themselves."""
_PREFIXES = (
    "",
    "k",
    "M",
    "G",
    "m",
    "u",
    "µ",
    "n",
    "p",
    "c",
    "d",
    "h",
    "kilo",
    "mega",
    "giga",
    "milli",
    "micro",
    "nano",
    "centi",
)
_PART = re.compile(r"([A-Za-zµ°Ω%_]+)([23])?")
_NAME = re.compile(r"[A-Za-zµ°Ω_]+")
_UNIT = re.compile(r"[A-Za-zµ°Ω%_]+[23]?([*/·.][A-Za-zµ°Ω%_]+[23]?){0,3}")


class Conversion(NamedTuple):
    """How a number in one unit becomes one in another: ``number * factor + offset``."""

    factor: float
    offset: float

    def __call__(self, number: float) -> float:
        """``number`` converted; as it is where nothing has to be done."""
        return number if self == SAME else _tidy(number * self.factor, self.offset)


SAME = Conversion(1.0, 0.0)


@lru_cache(maxsize=4_096)
def conversion(source: str | None, target: str | None, *, is_difference: bool = False) -> Conversion | None:
    """How numbers in ``source`` become numbers in ``target``; None if they cannot (or a unit is not known to us)."""
    if source == target:
        return SAME
    if not source or not target:
        return None
    one, other = _known(source, is_difference), _known(target, is_difference)
    if one is None or other is None or not _are_alike(source, target, one):
        return None
    try:
        zero = float(_registry().Quantity(0.0, one).to(other).magnitude)
        unit = float(_registry().Quantity(1.0, one).to(other).magnitude)
        ten_thousand = float(_registry().Quantity(10_000.0, one).to(other).magnitude)
    except (pint.errors.PintError, ArithmeticError, ValueError):
        return None
    factor = (ten_thousand - zero) / 10_000  # better rounded than the step from 0 to 1
    if not math.isfinite(factor) or factor == 0 or not math.isclose(unit - zero, factor, rel_tol=1e-6):
        return None  # not a straight line, as dB is not
    return Conversion(float(f"{factor:.15g}"), float(f"{zero:.15g}"))


def _are_alike(source: str, target: str, unit: pint.Unit) -> bool:
    return not unit.dimensionless or any(source in kind and target in kind for kind in _PURE)


def is_known(unit: str) -> bool:
    """Whether numbers in ``unit`` can be converted at all."""
    return _known(unit, False) is not None


@lru_cache(maxsize=1_024)
def siblings(unit: str | None) -> tuple[str, ...]:
    """Common units into which ``unit`` can be turned, itself first: what a form offers."""
    if unit is None or not is_known(unit):
        return () if unit is None else (unit,)
    return (unit, *(other for other in _COMMON if other != unit and conversion(unit, other) is not None))


_COMMON = (
    "degC", "degF", "K", "percent", "V", "mV", "A", "mA", "W", "kW", "MW", "Wh", "kWh", "MWh", "Hz", "kHz", "rpm",
    "Pa", "hPa", "kPa", "bar", "mbar", "psi", "mm", "cm", "m", "km", "ft", "mi", "l", "m3", "l/s", "l/min", "m3/h",
    "m/s", "km/h", "mph", "g", "kg", "t", "s", "min", "h", "d", "lx", "ppm", "ug/m3", "mg/m3",
)  # fmt: skip


@cache
def _registry() -> pint.UnitRegistry[Any]:
    registry: pint.UnitRegistry[Any] = pint.UnitRegistry(cache_folder=None)
    return registry


@lru_cache(maxsize=4_096)
def _known(unit: str, is_difference: bool) -> pint.Unit | None:
    """``unit`` as pint's, None if it is unknown. Never lets pint read a text that is more than a short unit."""
    if len(unit) > 40 or unit in _STRANGERS or not (unit in _SPELLED or _UNIT.fullmatch(unit)):
        return None
    spelled = _SPELLED[unit] if unit in _SPELLED else _spelled(unit)
    if is_difference:
        spelled = _DIFFERENCES.get(spelled, spelled)
    if not all(_is_name(name) for name in _NAME.findall(spelled)):
        return None  # pint itself takes long to find out that there is no such unit
    try:
        return _registry().Unit(spelled)
    except (pint.errors.PintError, ValueError, AttributeError, TypeError, KeyError, SyntaxError, AssertionError):
        return None


def _is_name(name: str) -> bool:
    return any(name.startswith(prefix) and name[len(prefix) :] in _names() for prefix in _PREFIXES)


@cache
def _names() -> frozenset[str]:
    return frozenset(_registry())


def _spelled(unit: str) -> str:
    """Our short way to write a unit as pint's: m3/h is m**3/h; within a quotient a temperature is a difference."""
    pieces = re.split(r"([*/·.])", unit)
    read = []
    for piece in pieces:
        match = _PART.fullmatch(piece)
        if match is None:
            read.append({"·": "*", ".": "*"}.get(piece, piece))
            continue
        name = _SPELLED.get(match[1], match[1])
        if len(pieces) > 1 and name in _ABSOLUTE:
            name = _DIFFERENCES[name]
        read.append(name + (f"**{match[2]}" if match[2] else ""))
    return "".join(read)


def _tidy(product: float, offset: float) -> float:
    """The sum without the dust of floating point: 46.4, not 46.39999999999998; and 32 degF is 0 degC, not 1e-15."""
    largest = max(abs(product), abs(offset))
    if not math.isfinite(largest) or largest < 1e-290:
        return product + offset
    return round(product + offset, 11 - math.floor(math.log10(largest)))
