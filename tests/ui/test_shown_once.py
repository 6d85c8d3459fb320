"""What is shown once: it is gone before a page that is loaded anew, or come back to, can show it again."""

from typing import Any

import pytest

from tests.ui.support import Gateway, Visit
from ui.components.new_way import NewWay
from ui.components.oscore_contexts import OscoreContexts
from ui.components.second_factor import SecondFactor
from ui.console import Console
from ui.pages.account import Account
from ui.pages.add_device import AddDevice
from ui.pages.device import Device
from ui.pages.notifications import Notifications
from ui.pages.people import People
from ui.pages.platform import Platform
from ui.pages.tokens import Tokens
from ui.pages.transfers import Transfers

SECRETS = [
    (AddDevice, "token"),
    (Device, "token"),
    (Notifications, "secret"),
    (OscoreContexts, "secret"),
    (People, "link"),
    (Platform, "link"),
    (SecondFactor, "secret"),
    (Tokens, "secret"),
    (Transfers, "code"),
    (NewWay, "key"),
    (NewWay, "command_mqtt"),
]


@pytest.mark.parametrize(("page", "name"), SECRETS)
def test_what_a_browser_is_sent_when_it_loads_a_page_anew_holds_no_secret(
    page: type[Console], name: str, visit: Visit, gateway: Gateway
) -> None:
    state = visit(page)
    setattr(state, name, "tg_once")
    root: Any = state._get_root_state()
    assert "tg_once" in str(root.dict())
    root._reset_client_storage()  # the first thing that Reflex does on hydration; the snapshot follows
    assert "tg_once" not in str(root.dict())


async def test_recovery_codes_stay_while_the_page_looks_which_sessions_are_left(visit: Visit, gateway: Gateway) -> None:
    """The page does so once they are shown: they would be gone before anybody had read them."""
    gateway.answers["Account"] = {"me": {"role": "VIEWER", "roleName": None}, "sessions": []}
    factor = visit(SecondFactor, "/account")
    parent = factor.parent_state
    assert parent is not None
    account = parent.substates[Account.get_name()]
    assert isinstance(account, Account)
    assert await account.load() is None
    factor.codes = ["aaaa-bbbb"]
    assert await account.look_again() is None
    assert factor.codes == ["aaaa-bbbb"]
    assert await account.load() is None
    assert factor.codes == []


async def test_whoever_goes_to_another_page_finds_no_secret_when_coming_back(visit: Visit, gateway: Gateway) -> None:
    tokens = visit(Tokens, "/access/tokens")
    tokens.secret, tokens.command = "tg_once", "curl tg_once"
    parent = tokens.parent_state
    assert parent is not None
    people = parent.substates[People.get_name()]
    assert isinstance(people, People)
    await people.enter()
    assert (tokens.secret, tokens.command) == ("", "")
