"""Ways in, the fleet audit and quotas in the console: what is asked, what is shown once, what is said in words."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.ui.support import Gateway, Visit
from ui.pages.fleet_audit import FleetAudit
from ui.pages.usage import Usage
from ui.pages.ways_in import WaysIn, curl, key_of, way_line
from ui.quotas import QUOTAS, quota_line, wanted

NOW = datetime(2026, 5, 1, tzinfo=UTC)
WAY: dict[str, Any] = {
    "id": "w1",
    "kind": "KEY",
    "name": "May",
    "mode": "CREATE",
    "profileId": "p1",
    "needsApproval": True,
    "maxUses": 50,
    "uses": 3,
    "createdBy": "ada@example.org",
    "createdAt": "2026-01-01T00:00:00Z",
    "expiresAt": "2026-06-01T00:00:00Z",
    "revokedAt": None,
}
ASKED: dict[str, Any] = {
    "id": "e1",
    "provisionerId": "w1",
    "deviceKey": "fan-1",
    "name": None,
    "labels": {"site": "7"},
    "address": "10.0.0.7",
    "askedAt": "2026-01-01T00:00:00Z",
    "expiresAt": "2026-01-08T00:00:00Z",
}
FINDING: dict[str, Any] = {
    "id": "f1",
    "severity": "HIGH",
    "title": "It cannot log in any more",
    "wrong": "All its secrets have ended.",
    "mend": "Issue a token.",
    "deviceId": "d1",
    "firstSeenAt": "2026-01-01T00:00:00Z",
    "resolvedAt": None,
    "suppressedReason": None,
    "suppressedBy": None,
    "suppressedUntil": None,
}
QUOTA: dict[str, Any] = {"name": "DEVICES", "limit": 1000, "used": 990.0, "isOwn": True}


async def run(handler: Any) -> None:
    """Let a handler that shows its steps run to its end."""
    async for _ in handler:
        pass


@pytest.fixture
async def ways(gateway: Gateway, visit: Visit) -> WaysIn:
    profiles = [{"id": "p1", "name": "Fan"}]
    gateway.answers["WaysIn"] = {
        "provisioners": {"items": [WAY]},
        "enrolments": {"items": [ASKED]},
        "profiles": {"items": profiles},
    }
    state = visit(WaysIn, "/ways-in")
    await run(state.load())
    return state


async def test_a_key_is_made_and_shown_until_one_comes_back(ways: WaysIn, gateway: Gateway) -> None:
    gateway.answers["ProvisioningKeyCreate"] = {"provisioningKeyCreate": {"key": "tgp_once"}}
    await ways.make({"name": " May ", "mode": "CREATE", "profile": "p1", "most": "50", "days": "30", "approval": True})
    sent = gateway.variables("ProvisioningKeyCreate")["input"]
    assert (sent["name"], sent["mode"], sent["profileId"], sent["maxUses"]) == ("May", "CREATE", "p1", 50)
    assert sent["needsApproval"] is True
    assert datetime.fromisoformat(sent["expiresAt"]) > datetime.now(UTC) + timedelta(days=29)
    assert (ways.key, ways.command) == ("tgp_once", curl("tgp_once"))
    await run(ways.load())
    assert (ways.key, ways.command) == ("", "")


def test_a_key_for_registered_devices_names_no_profile() -> None:
    wanted_key = key_of({"name": "x", "mode": "PREREGISTERED", "profile": "p1"})
    assert (wanted_key["profileId"], wanted_key["maxUses"], wanted_key["expiresAt"]) == (None, None, None)


@pytest.mark.parametrize("form", [{}, {"name": "x", "most": "many"}, {"name": "x", "most": "0"}])
def test_a_key_that_is_unclear_is_not_made(form: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"name|whole number"):
        key_of(form)


async def test_a_waiting_device_is_let_in_or_turned_away_with_a_reason(ways: WaysIn, gateway: Gateway) -> None:
    assert [(each.key, each.way, each.labels) for each in ways.waiting] == [("fan-1", "May", ["site: 7"])]
    gateway.answers["EnrolmentApprove"] = {"enrolmentApprove": {"id": "e1"}}
    await ways.approve("e1")
    assert (gateway.variables("EnrolmentApprove"), "fan-1 may come in" in ways.said) == ({"id": "e1"}, True)
    gateway.answers["EnrolmentRefuse"] = {"enrolmentRefuse": {"id": "e1"}}
    ways.consider("e1")
    await ways.refuse({"reason": " Not ours "})
    assert gateway.variables("EnrolmentRefuse") == {"id": "e1", "reason": "Not ours"}


def test_a_way_in_says_what_it_does_and_how_it_ended() -> None:
    line = way_line(WAY, {"p1": "Fan"}, NOW)
    assert line.words == "makes devices of Fan, each after somebody's yes"
    assert (line.uses, line.ended_at) == ("3 of at most 50 came in", "")
    assert way_line(WAY, {}, NOW + timedelta(days=60)).ended_how == "ended"
    assert way_line({**WAY, "revokedAt": "2026-02-01T00:00:00Z"}, {}, NOW).ended_how == "revoked"


@pytest.fixture
async def audit(gateway: Gateway, visit: Visit) -> FleetAudit:
    gateway.refuses("FleetAudit", "The fleet was not audited yet.", "NOT_AUDITED")
    gateway.answers["FleetFindings"] = {
        "fleetFindings": {"items": [FINDING], "pageInfo": {"hasNextPage": False, "endCursor": None}}
    }
    gateway.answers["DeviceName"] = {"device": {"id": "d1", "key": "fan-1", "name": "Fan 1"}}
    state = visit(FleetAudit, "/fleet-audit")
    await state.load()
    return state


async def test_before_the_first_audit_nothing_is_wrong_with_the_page(audit: FleetAudit) -> None:
    assert (audit.problem, audit.audited_at, audit.ready) == ("", "", True)
    assert [(each.severity, each.device) for each in audit.findings] == [("high", "Fan 1")]


async def test_the_fleet_is_audited_and_a_finding_put_aside_with_a_reason(audit: FleetAudit, gateway: Gateway) -> None:
    figures = [{"kind": "k", "severity": "LOW", "title": "x", "found": 2}, {**FINDING, "kind": "l", "found": 0}]
    gateway.answers["FleetAudit"] = {"fleetAudit": {"finishedAt": "2026-01-01", "devices": 9, "figures": figures}}
    gateway.answers["FleetAuditRun"] = {"fleetAuditRun": {"id": "a1"}}
    await run(audit.run())
    assert (audit.devices, audit.found, len(audit.checks), audit.is_busy) == (9, 1, 2, False)
    gateway.answers["FleetFindingSuppress"] = {"fleetFindingSuppress": {"id": "f1"}}
    audit.consider("f1")
    await audit.put_aside({"reason": " Known ", "days": ""})
    assert gateway.variables("FleetFindingSuppress") == {"id": "f1", "reason": "Known", "until": None}
    await audit.show("SUPPRESSED")
    assert gateway.variables("FleetFindings")["status"] == "SUPPRESSED"


@pytest.mark.parametrize(
    ("used", "level"), [(0.0, "ok"), (790.0, "ok"), (800.0, "warn"), (1000.0, "bad"), (1200.0, "bad")]
)
def test_a_quota_warns_before_it_is_used_up(used: float, level: str) -> None:
    line = quota_line({**QUOTA, "used": used})
    assert (line.level, line.percent <= 100) == (level, True)


def test_history_that_is_as_old_as_it_may_be_is_no_warning() -> None:
    assert quota_line({**QUOTA, "name": "STORAGE_DAYS", "limit": 90, "used": 90.0}).level == "ok"


def test_only_changed_quotas_are_sent_and_an_empty_field_means_the_default() -> None:
    quotas = [quota_line({**QUOTA, "name": name}) for name in QUOTAS]
    form = dict.fromkeys(QUOTAS, "1000") | {"DEVICES": "5,000", "VALUES_PER_S": ""}
    assert wanted(form, quotas) == [{"name": "DEVICES", "limit": 5000}, {"name": "VALUES_PER_S", "limit": None}]
    with pytest.raises(ValueError, match="Devices"):
        wanted({"DEVICES": "-1"}, quotas)


async def test_the_busiest_hour_fills_its_bar(gateway: Gateway, visit: Visit) -> None:
    hour = {"hour": "h1", "messages": 50, "values": 9, "refused": 1, "apiRefused": 2, "streamsPeak": 3, "apiCost": 4}
    gateway.answers["Usage"] = {"usage": {"quotas": [QUOTA], "hours": [hour, {**hour, "hour": "h2", "messages": 200}]}}
    state = visit(Usage, "/usage")
    await state.load()
    assert [(each.hour, each.percent, each.refused) for each in state.hours] == [("h2", 100, "3"), ("h1", 25, "3")]
