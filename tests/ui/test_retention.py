"""The card of usage that says for how long telemetry is kept."""

from typing import Any

import pytest

from tests.ui.support import Gateway, Visit
from ui.components.retention import Retention

KEPT = {"days": 20, "rollupDays": 730, "ownDays": None, "ownRollupDays": None, "mostDays": 20, "mostRollupDays": 730}


async def test_what_is_kept_is_shown_and_changed(gateway: Gateway, visit: Visit) -> None:
    gateway.answers["Retention"] = {"retention": KEPT}
    gateway.answers["RetentionSet"] = {"retentionSet": {**KEPT, "days": 7, "ownDays": 7}}
    state: Any = visit(Retention, "/usage")
    await state.load()
    assert (state.ready, state.days, state.own, state.rollup_most) == (True, 20, "", 730)
    await state.save({"days": " 7 ", "rollup_days": ""})
    assert gateway.variables("RetentionSet") == {"days": 7, "rollupDays": 0}
    assert (state.days, state.own, state.wrong) == (7, "7", "")
    assert "two hours" in state.said


@pytest.mark.parametrize("days", ["0", "21", "a week", "-1"])
async def test_days_that_are_not_possible_are_said_to_be_so(gateway: Gateway, visit: Visit, days: str) -> None:
    gateway.answers["Retention"] = {"retention": KEPT}
    state: Any = visit(Retention, "/usage")
    await state.load()
    await state.save({"days": days, "rollup_days": ""})
    assert state.wrong == "Days are a whole number from 1 to 20, or nothing for as long as possible."
    assert state.said == ""
