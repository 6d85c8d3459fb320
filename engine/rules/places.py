"""Where something is: positions read from messages, and circles and polygons that they are inside of or not.

Distances are great circles on a sphere of the earth's mean radius (haversine; within 0.6% of the ellipsoid). A
polygon's edges are straight in latitude and longitude, as on a map; it may cross the 180th meridian, an edge always
goes the short way round. A pole inside a polygon is not supported: longitudes mean nothing there.
"""

from collections.abc import Mapping, Sequence
from math import asin, cos, radians, sin, sqrt
from typing import TypeAlias

EARTH_RADIUS_M = 6_371_008.8

Position: TypeAlias = tuple[float, float]
"""(latitude, longitude) in degrees, WGS 84."""


def position(value: object) -> Position | None:
    """The position that a message's object holds, as ``lat``/``lon`` or ``latitude``/``longitude``; else None."""
    if not isinstance(value, Mapping):
        return None
    for lat, lon in (("lat", "lon"), ("latitude", "longitude"), ("lat", "lng")):
        if lat in value and lon in value:
            return _checked(value[lat], value[lon])
    return None


def distance_m(one: Position, other: Position) -> float:
    """How far two positions are apart along the surface, in metres."""
    lat1, lat2 = radians(one[0]), radians(other[0])
    across = sin((lat2 - lat1) / 2) ** 2 + cos(lat1) * cos(lat2) * sin(radians(other[1] - one[1]) / 2) ** 2
    return 2 * EARTH_RADIUS_M * asin(sqrt(min(1.0, across)))


def in_circle(where: Position, center: Position, radius_m: float) -> bool:
    """Whether a position is within the circle; its edge belongs to it."""
    return distance_m(where, center) <= radius_m


def in_polygon(where: Position, corners: Sequence[Position]) -> bool:
    """Whether a position is within the polygon (even-odd; closed by itself). Its edge may count either way."""
    flat = _flat(corners)
    west, east = min(lon for _, lon in flat), max(lon for _, lon in flat)
    lat, lon = where
    lon += 360 * -(-(west - lon) // 360)  # the first of its turns that is not west of the polygon
    return lon <= east and _is_within(lat, lon, flat)


def _is_within(lat: float, lon: float, flat: Sequence[Position]) -> bool:
    is_inside = False
    for place, (lat1, lon1) in enumerate(flat):
        lat2, lon2 = flat[place - 1]
        if (lat1 > lat) != (lat2 > lat):
            is_inside ^= lon1 + (lat - lat1) / (lat2 - lat1) * (lon2 - lon1) > lon
    return is_inside


def _flat(corners: Sequence[Position]) -> list[Position]:
    """The corners on a map that goes on across the 180th meridian: each within half a turn of the one before."""
    flat: list[Position] = []
    for lat, lon in corners:
        flat.append((lat, flat[-1][1] + _turn(lon - flat[-1][1]) if flat else lon))
    return flat


def _turn(degrees: float) -> float:
    """The same direction in [-180, 180)."""
    return (degrees + 180) % 360 - 180


def _checked(lat: object, lon: object) -> Position | None:
    if isinstance(lat, bool) or isinstance(lon, bool):
        return None
    if not isinstance(lat, int | float) or not isinstance(lon, int | float):
        return None
    if not (-90 <= lat <= 90 and -180 <= lon <= 180):  # also refuses what is no number
        return None
    return float(lat), float(lon)
