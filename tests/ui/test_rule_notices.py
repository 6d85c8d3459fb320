"""What should be known about rules is said on their pages, and nothing while there is nothing."""

from typing import Any

import pytest

from tests.ui.support import Gateway, Visit
from ui.components.rule_notices import SHOWN, NoticeLine, RuleNotices

STORM: dict[str, Any] = {
    "ruleId": "r1",
    "kind": "STORM",
    "message": 'The rule "Flutters" does more than 300 things a minute.',
    "since": "2026-01-01T00:00:00Z",
    "until": "2026-01-01T00:10:00Z",
    "times": 2,
}


@pytest.mark.parametrize(("path", "asked"), [("/rules", None), ("/rules/r1", "r1")])
async def test_the_list_shows_all_notices_and_a_rules_page_its_own(
    gateway: Gateway, visit: Visit, path: str, asked: str | None
) -> None:
    gateway.answers["RuleNotices"] = {"ruleNotices": [STORM, {**STORM, "ruleId": None, "kind": "QUOTA"}]}
    state = visit(RuleNotices, path)
    await state.load()
    assert gateway.variables("RuleNotices") == {"ruleId": asked}
    assert state.lines[0] == NoticeLine("r1", "Too much at once.", STORM["message"], STORM["since"], 2)
    assert [line.rule_id for line in state.lines] == ["r1", ""]
    assert state.is_of_one is (asked is not None)


async def test_of_many_notices_the_first_are_shown_and_the_others_counted(gateway: Gateway, visit: Visit) -> None:
    gateway.answers["RuleNotices"] = {"ruleNotices": [STORM] * (SHOWN + 3)}
    state = visit(RuleNotices, "/rules")
    await state.load()
    assert (len(state.lines), state.more) == (SHOWN, 3)


async def test_of_a_new_rule_nothing_is_asked_and_a_refusal_shows_nothing(gateway: Gateway, visit: Visit) -> None:
    state = visit(RuleNotices, "/rules/new")
    await state.load()
    assert gateway.asked == []
    gateway.refuses("RuleNotices", "You see some groups of devices only.", "LIMITED_TO_GROUPS")
    other = visit(RuleNotices, "/rules")
    await other.load()
    assert other.lines == []
