"""Units: what can be converted is, exactly enough to compare; what cannot, or what pint misreads, is left alone."""

import pytest

from engine.units import conversion, is_known, siblings


@pytest.mark.parametrize(
    ("number", "source", "target", "converted"),
    [
        (46.4, "degF", "degC", 8),
        (32, "degF", "degC", 0),
        (-40, "degC", "degF", -40),
        (0, "degC", "K", 273.15),
        (8, "°C", "degC", 8),
        (1, "m3/h", "l/min", 16.6666666667),
        (60, "rpm", "Hz", 1),
        (36, "km/h", "m/s", 10),
        (1, "percent", "ppm", 10_000),
        (0.5, "%", "percent", 0.5),
        (1, "kWh", "MWh", 0.001),
        (100, "ug/m3", "mg/m3", 0.1),
        (1, "bar", "kPa", 100),
        (90, "min", "h", 1.5),
        (2, "h", "h", 2),
        (71.6, "[degF]", "degC", 22),
        (4, "Cel", "°C", 4),
        (55, "%RH", "percent", 55),
        (760, "mm[Hg]", "kPa", 101.3250144354),
        (60, "L/min", "m3/h", 3.6),
        (1, "[gal_us]/min", "l/s", 0.0630901964),
        (1_500, "/min", "rpm", 1_500),
    ],
)
def test_numbers_are_converted_along_straight_lines(number: float, source: str, target: str, converted: float) -> None:
    found = conversion(source, target)
    assert found is not None
    assert found(number) == pytest.approx(converted, rel=1e-9)


def test_a_difference_of_temperatures_is_not_a_temperature() -> None:
    difference = conversion("degC", "degF", is_difference=True)
    assert difference is not None
    assert difference(10) == 18
    slope = conversion("degC/min", "degF/h")
    assert slope is not None
    assert slope(1) == 108


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("degC", "bar"),
        ("percent", "degC"),
        ("deg", "percent"),
        ("count", "percent"),
        ("pH", "H"),
        ("dB", "percent"),
        ("dBm", "W"),
        ("NTU", "FNU"),
        (None, "degC"),
        ("degC", None),
        ("m**2", "m2"),
        ("__class__", "m"),
    ],
)
def test_what_cannot_be_converted_is_left_alone(source: str | None, target: str | None) -> None:
    assert conversion(source, target) is None


def test_an_unknown_unit_is_equal_to_itself_and_offers_only_itself() -> None:
    assert conversion("NTU", "NTU") == (1, 0)
    assert not is_known("NTU")
    assert siblings("NTU") == ("NTU",)
    assert siblings(None) == ()
    assert siblings("degC") == ("degC", "degF", "K")
