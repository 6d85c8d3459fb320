"""Circles and polygons on a round earth."""

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from engine.rules.inputs import left
from engine.rules.model import Place, Polygon, Whereabouts
from engine.rules.places import distance_m, in_circle, in_polygon, position

BERLIN, PARIS = (52.52, 13.405), (48.8566, 2.3522)
lats, lons = st.floats(-80, 80), st.floats(-180, 180)


def test_berlin_is_878_kilometres_from_paris() -> None:
    assert distance_m(BERLIN, PARIS) == pytest.approx(877_500, rel=0.002)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"lat": 1, "lon": 2.5}, (1.0, 2.5)),
        ({"latitude": -90, "longitude": 180, "alt": 3}, (-90.0, 180.0)),
        ({"lat": 91, "lon": 0}, None),
        ({"lat": math.nan, "lon": 0}, None),
        ({"lat": True, "lon": 0}, None),
        ({"lat": "1", "lon": 0}, None),
        ({"lat": 1}, None),
        ([1, 2], None),
        (None, None),
    ],
)
def test_a_position_is_read_from_an_object(value: object, expected: object) -> None:
    assert position(value) == expected


@given(lats, lons, st.floats(1, 1e6))
def test_a_circle_holds_its_center_and_not_the_other_side_of_the_earth(lat: float, lon: float, radius: float) -> None:
    assert in_circle((lat, lon), (lat, lon), radius)
    assert not in_circle((-lat, lon - 180 if lon > 0 else lon + 180), (lat, lon), radius)


@given(lats, lons, st.floats(-179, 179), st.floats(0.1, 9))
def test_a_square_holds_what_is_within_wherever_it_lies_even_across_the_180th_meridian(
    lat: float, lon: float, aside: float, half: float
) -> None:
    def turned(degrees: float) -> float:
        return (degrees + 180) % 360 - 180

    assume(abs(abs(aside) - half) > 1e-9)  # what lies on its very side is inside or not as rounding has it
    square = [(lat + a * half, turned(lon + b * half)) for a, b in ((1, 1), (1, -1), (-1, -1), (-1, 1))]
    assert in_polygon((lat, turned(lon)), square)
    assert in_polygon((lat + half * 0.9, turned(lon - half * 0.9)), square)
    assert in_polygon((lat, turned(lon + aside)), square) is (abs(aside) < half)
    assert not in_polygon((lat + half * 1.1, turned(lon)), square)


def test_a_hollow_corner_is_outside() -> None:
    hook = [(0.0, 0.0), (0.0, 10.0), (10.0, 10.0), (10.0, 5.0), (5.0, 5.0), (5.0, 0.0)]
    assert in_polygon((7.0, 7.0), hook)
    assert in_polygon((2.0, 2.0), hook)
    assert not in_polygon((7.0, 2.0), hook)


def test_the_same_area_has_one_name_however_its_numbers_are_written() -> None:
    areas = [((0, 0), (0, 1), (1, 1)), ((-0.0, 0), (0, 1.0), (1.0, 1))]
    one, other = (left(Place("position", Whereabouts.INSIDE, Polygon(corners))).name for corners in areas)
    assert one == other == "\tplace:inside:0.0,0.0;0.0,1.0;1.0,1.0:position"
