"""An area as people write it, by the designer's own code under bun: read as it was meant, or said what is wrong."""

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

BUN = Path(sys.executable).with_name("bun")
LAW = Path(__file__).with_name("rule_area_law.js")
TEXTS = (
    "52.52, 13.405\n52.6,13.5\n 52.5   13.6 \n",
    "52.52, 13.405\nthe harbour\n52.5, 13.6\n52.4, 13.3",
    "91, 13\n52, 181\n52, 13",
    "52, 13\n53, 14",
    "",
)
RNG = random.Random(7)
AREAS = [
    [[round(RNG.uniform(-89, 89), 6), round(RNG.uniform(-179, 179), 6)] for _ in range(RNG.randint(3, 9))]
    for _ in range(300)
]
CIRCLES = [{"lat": 52.5, "lon": 13.4, "radius_m": 500}, {"lat": -33.9, "lon": 151.2, "radius_m": 20_000}]
BARS = [(20, 66.7), (1000, 58.8), (200_000, 48.8)]
LATEST = [
    {"metric": "speed", "value": 5},
    {"metric": "seen", "value": {"lat": 52.123456789, "lon": 13.4}},
    {"metric": "spot", "value": {"lat": 1, "lng": 2}},
]
VALUES: list[Any] = [{"lat": 1, "lon": 2}, {"latitude": 1, "longitude": 2}, {"lat": 1, "lng": 2}, {"lat": "1"}, 5, None]


@pytest.fixture(scope="module")
def said() -> dict[str, Any]:
    asked = json.dumps({"texts": TEXTS, "areas": AREAS, "circles": CIRCLES, "values": VALUES, "latest": LATEST})
    done = subprocess.run([str(BUN), str(LAW)], input=asked, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_corners_are_read_however_they_are_set_apart(said: dict[str, Any]) -> None:
    assert said["read"][0] == {"corners": [[52.52, 13.405], [52.6, 13.5], [52.5, 13.6]], "problems": []}
    assert said["back"] == AREAS


def test_what_is_no_corner_is_said_by_its_line_and_holds_the_rule_back(said: dict[str, Any]) -> None:
    _, harbour, beyond, short, nothing = said["read"]
    assert harbour["problems"] == ["Line 2: “the harbour” is not a latitude and a longitude, like 52.52, 13.405."]
    assert harbour["corners"][1] == [None, None]
    assert [each.partition(":")[0] for each in beyond["problems"]] == ["Line 1", "Line 2"]
    assert "between -90 and 90" in beyond["problems"][0]
    assert "between -180 and 180" in beyond["problems"][1]
    assert short["problems"] == ["An area has at least three corners."]
    assert nothing == {"corners": [[None, None]] * 3, "problems": []}


def test_a_circle_made_an_area_and_a_circle_again_holds_what_it_held(said: dict[str, Any]) -> None:
    for circle, again in zip(CIRCLES, said["around"], strict=True):
        assert (again["lat"], again["lon"]) == pytest.approx((circle["lat"], circle["lon"]), abs=1e-5)
        assert circle["radius_m"] <= again["radius_m"] <= circle["radius_m"] * 1.43


def test_what_is_drawn_lies_in_the_drawing_and_nothing_known_is_not_drawn(said: dict[str, Any]) -> None:
    assert all(said["drawn"])
    assert said["nothing"] is None


def test_a_device_far_away_does_not_make_a_speck_of_the_area(said: dict[str, Any]) -> None:
    near, far = said["far"]
    assert far is None
    assert near is not None


def test_the_scale_is_a_round_distance_and_names_lie_beside_their_dots_not_on_each_other(said: dict[str, Any]) -> None:
    assert [(each["metres"], round(each["px"], 1)) for each in said["bars"]] == [
        (20, 66.7),
        (1000, 58.8),
        (200_000, 48.8),
    ]
    assert said["names"] == [[108, 53.5, "start"], None, [302, 93.5, "end"], None]


def test_a_spot_of_the_drawing_is_the_place_that_is_drawn_there(said: dict[str, Any]) -> None:
    for area, places in zip(AREAS, said["moved"], strict=True):
        assert places == [pytest.approx(corner, abs=2e-5) for corner in area]


def test_a_device_is_where_its_value_says_in_any_of_the_usual_words(said: dict[str, Any]) -> None:
    assert said["positions"] == [[1, 2], [1, 2], [1, 2], None, None, None]


def test_a_place_is_taken_from_where_a_device_stands_and_is_the_next_corner(said: dict[str, Any]) -> None:
    assert said["standing"] == [[52.123457, 13.4], [1, 2], None, None]
    assert said["grown"] == [[[1, 2], [None, None], [None, None]], [*AREAS[0], [1, 2]]]
