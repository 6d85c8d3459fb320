"""Which gateway brought a reading: asked by when it was received, whatever has changed since."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from engine.devices.presence import gateways

WAYS = st.lists(st.tuples(st.integers(0, 50), st.sampled_from(["east", "west", None])), max_size=6)


@given(WAYS, st.integers(-1, 51))
def test_a_reading_is_of_the_gateway_that_came_last_before_it(ways: Sequence[tuple[int, str | None]], at: int) -> None:
    ways = sorted(ways, key=lambda way: way[0])
    before = [gateway for since, gateway in ways if since <= at]
    assert gateways(ways, [at]) == [before[-1] if before else None]
