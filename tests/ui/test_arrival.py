"""Coming to a page, and coming back to it where only the connection was lost."""

from typing import Any

import pytest

from tests.ui.support import ME, SECRET, Gateway, Visit
from ui.console import LOADS, Console
from ui.pages.tokens import Tokens

ADA = str(ME["me"]["name"])
ROUTE = "/access/tokens"
COMPLETE = [Tokens.load, Console.arrived]


@pytest.fixture(autouse=True)
def loads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(LOADS, ROUTE, (Tokens.load,))


async def come(tokens: Tokens, arrival: str) -> list[Any] | None:
    """What the platform does when a browser connects with this mark."""
    root: Any = tokens._get_root_state()
    root._reset_client_storage()
    console: Any = tokens.parent_state
    console.arrival = arrival
    loads: list[Any] | None = await console.come(ROUTE)
    return loads


async def shown(visit: Visit, arrival: str = "100.5", cookie: str = f"tidegate_session={SECRET}") -> Tokens:
    """The page, complete, with a secret that is shown once and a form that somebody has opened."""
    tokens = visit(Tokens, ROUTE, cookie)
    assert await come(tokens, arrival) == COMPLETE
    await tokens.enter()
    console: Any = tokens.parent_state
    console.arrived()
    tokens.secret, tokens.is_issuing = "tg_once", True
    return tokens


async def test_a_page_stays_as_it_was_left_where_only_the_connection_was_lost(visit: Visit, gateway: Gateway) -> None:
    tokens = await shown(visit)
    for _ in range(2):
        assert await come(tokens, "100.5") is None
        assert (tokens.secret, tokens.is_issuing, tokens.is_here) == ("tg_once", True, True)


async def test_a_page_that_is_opened_anew_is_loaded_and_shows_no_secret(visit: Visit, gateway: Gateway) -> None:
    tokens = await shown(visit)
    assert await come(tokens, "200.5") == COMPLETE
    assert (tokens.secret, tokens.is_here) == ("", False)
    assert await come(tokens, "200.5") == COMPLETE, "the connection was lost again, before the page was complete"


async def test_a_page_that_one_comes_to_by_a_link_is_loaded(visit: Visit, gateway: Gateway) -> None:
    tokens = await shown(visit)
    console: Any = tokens.parent_state
    assert await console.come(ROUTE) == COMPLETE


async def test_a_connection_that_comes_back_at_another_page_loads_that_one(visit: Visit, gateway: Gateway) -> None:
    """One may go on by a link while the connection is away."""
    tokens = await shown(visit)
    console: Any = tokens.parent_state
    console._place = console._place.replace(ROUTE, "/access/people")
    assert await come(tokens, "100.5") == COMPLETE
    assert tokens.secret == ""


async def test_somebody_else_who_signed_in_meanwhile_gets_a_page_of_their_own(visit: Visit, gateway: Gateway) -> None:
    tokens = await shown(visit)
    root: Any = tokens._get_root_state()
    other: Any = visit(Tokens, ROUTE, "tidegate_session=tgs_somebody_else")._get_root_state()
    root.router = other.router
    assert await come(tokens, "100.5") == COMPLETE
    assert (tokens.secret, tokens.is_issuing) == ("", False)
    tokens.is_issuing = True
    await tokens.enter()
    assert tokens.is_issuing, "what is set while a page is loaded was emptied as the first one's"


async def test_where_the_browser_keeps_nothing_every_connection_is_an_arrival(visit: Visit, gateway: Gateway) -> None:
    tokens = await shown(visit, arrival="")
    assert await come(tokens, "") == COMPLETE
    assert tokens.secret == ""


@pytest.mark.parametrize("cookie", ["", "tidegate_session=tgs_somebody_else"])
async def test_nothing_of_whoever_signed_out_is_sent_to_the_browser_they_sat_at(
    cookie: str, visit: Visit, gateway: Gateway
) -> None:
    tokens = await shown(visit)
    root: Any = tokens._get_root_state()
    assert ADA in str(root.dict())
    other: Any = visit(Tokens, ROUTE, cookie)._get_root_state()
    root.router = other.router
    root._reset_client_storage()  # the first thing that Reflex does; what it knows is sent next
    assert ADA not in str(root.dict())
    assert "tg_once" not in str(root.dict())
