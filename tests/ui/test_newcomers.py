"""Ways in, the fleet audit and quotas in the console: what is asked, what is shown once, what is said in words."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from engine.provisioning.rule import facts, parse
from tests.ui.support import Gateway, Visit
from ui.components.gate import Gate
from ui.components.new_way import NewWay
from ui.gate_rules import ASKS, THENS, GateLine, document, lines_of
from ui.pages.fleet_audit import FleetAudit, finding_line
from ui.pages.usage import Usage
from ui.pages.ways_in import WaysIn
from ui.quotas import QUOTAS, quota_line, wanted
from ui.ways import claim_line, provision_line, provision_line_mqtt, way_line, way_of

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
    "rule": None,
    "certificate": None,
    "version": 3,
}
DECIDED: dict[str, Any] = {
    "id": "e0",
    "deviceKey": "fan-0",
    "reason": "Not ours",
    "deviceId": None,
    "decidedBy": "ada@example.org",
    "decidedAt": "2026-01-01T00:00:00Z",
    "askedAt": "2026-01-01T00:00:00Z",
}
ASKED: dict[str, Any] = {
    "id": "e1",
    "provisionerId": "w1",
    "deviceKey": "fan-1",
    "name": None,
    "labels": {"site": "7"},
    "profileId": "p1",
    "groupIds": ["g1", "gone"],
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
    "facts": {},
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
    profiles = [{"id": "p1", "key": "fan", "name": "Fan"}]
    gateway.answers["WaysIn"] = {
        "provisioners": {"items": [WAY]},
        "waiting": {"items": [ASKED]},
        "lately": {"items": [{**DECIDED, "status": status} for status in ("PENDING", "REFUSED")]},
        "profiles": {"items": profiles},
        "deviceGroups": {"items": [{"id": "g1", "key": "site-7", "name": "Site 7", "filter": None}]},
        "me": {"tenant": {"id": "t1"}},
    }
    state = visit(WaysIn, "/ways-in")
    await state.load()
    return state


async def test_a_key_is_made_and_shown_until_one_comes_back(ways: WaysIn, visit: Visit, gateway: Gateway) -> None:
    new = visit(NewWay, "/ways-in")
    await new.begin()
    gateway.answers["ProvisioningKeyCreate"] = {"provisioningKeyCreate": {"key": "tgp_once"}}
    await new.make({"name": " May ", "profile": "p1", "group": "g1", "most": "50", "days": "30", "approval": True})
    sent = gateway.variables("ProvisioningKeyCreate")["input"]
    assert (sent["name"], sent["mode"], sent["profileId"], sent["maxUses"]) == ("May", "CREATE", "p1", 50)
    assert sent["needsApproval"] is True
    assert datetime.fromisoformat(sent["expiresAt"]) > datetime.now(UTC) + timedelta(days=29)
    assert sent["groupIds"] == ["g1"]
    assert (new.key, new.command) == ("tgp_once", provision_line("tgp_once"))
    assert new.command_mqtt == provision_line_mqtt(new.tenant_key, "tgp_once")
    await new.load()
    assert (new.key, new.command, new.command_mqtt) == ("", "", "")


async def test_a_claim_is_signed_from_a_request_and_a_private_key_is_never_sent(
    ways: WaysIn, visit: Visit, gateway: Gateway
) -> None:
    new = visit(NewWay, "/ways-in")
    await new.begin()
    new.set_kind("CLAIM")
    await new.make({"name": "Batch", "csr": "-----BEGIN EC PRIVATE KEY-----\nx\n-----END EC PRIVATE KEY-----"})
    assert "private key" in new.form_problem
    assert not any(name == "ClaimCertificateSign" for name, _ in gateway.asked)
    made = {"provisioner": {"certificate": "PEM"}, "authority": "CA"}
    gateway.answers["ClaimCertificateSign"] = {"claimCertificateSign": made}
    request = "-----BEGIN CERTIFICATE REQUEST-----\nx\n-----END CERTIFICATE REQUEST-----"
    await new.make({"name": "Batch", "csr": f"$ cat\n{request}\n"})
    assert gateway.variables("ClaimCertificateSign")["input"]["csr"] == request + "\n"
    assert (new.made_kind, new.certificate) == ("CLAIM", "PEM")
    assert new.command_mqtt == claim_line(new.tenant_key, "batch")


async def test_an_authority_is_registered_with_the_proof_of_its_key(
    ways: WaysIn, visit: Visit, gateway: Gateway
) -> None:
    new = visit(NewWay, "/ways-in")
    await new.begin()
    assert "/CN=tidegate-t1" in new.proof
    new.set_kind("AUTHORITY")
    new.set_mode("PREREGISTERED")
    pem = "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----"
    gateway.answers["AuthorityRegister"] = {"authorityRegister": {"id": "w2", "name": "Plant"}}
    await new.make({"name": "Plant", "certificate": pem.format("a"), "verification": pem.format("b")})
    sent = gateway.variables("AuthorityRegister")["input"]
    assert (sent["mode"], sent["profileId"]) == ("PREREGISTERED", None)
    assert (sent["certificate"], sent["verification"]) == (pem.format("a") + "\n", pem.format("b") + "\n")


async def test_a_rule_is_tried_as_it_stands_on_the_screen_and_saved(
    ways: WaysIn, visit: Visit, gateway: Gateway
) -> None:
    panel = visit(Gate, "/ways-in")
    await panel.open("w1")
    assert (panel.name, panel.most, panel.lines) == ("May", "50", [])
    panel.add()
    panel.put(1, "value", "pump-")
    panel.put(1, "then", "profile")
    assert panel.lines[0].extra == "fan"
    panel.put(0, "then", "refuse")
    panel.put(0, "extra", "Pumps only.")
    said = {"admits": False, "refusal": "Pumps only.", "profile": None, "groups": [], "needsApproval": False}
    gateway.answers["ProvisioningRuleCheck"] = {"provisioningRuleCheck": said}
    panel.set_try_key("fan-1")
    panel.set_try_label("site: 7")
    await panel.try_it()
    tried = gateway.variables("ProvisioningRuleCheck")
    assert (tried["device"], tried["labels"]) == ("fan-1", {"site": "7"})
    assert (panel.verdict.is_in, "Pumps only." in panel.verdict.words) == (False, True)
    panel.put(0, "extra", "Pumps only.")
    assert not panel.verdict.is_old, "whoever only leaves a field has changed nothing"
    panel.put(0, "extra", "Pumps only, please.")
    assert panel.verdict.is_old
    assert "Try it again" in panel.verdict.words, "what stands below must not move up while it is pressed"
    panel.put(0, "extra", "Pumps only.")
    gateway.answers["ProvisionerUpdate"] = {"provisionerUpdate": {"id": "w1", "version": 4}}
    await panel.save({"name": "May", "most": "", "approval": "on"})
    sent = gateway.variables("ProvisionerUpdate")
    assert (sent["version"], sent["input"]["rule"]) == (3, tried["rule"])
    assert panel.uid == ""


async def test_a_rule_that_lines_cannot_show_stays_as_it_is(ways: WaysIn, visit: Visit, gateway: Gateway) -> None:
    panel = visit(Gate, "/ways-in")
    clever = {"cases": [{"when": {"<": [{"length": {"var": "device"}}, 5]}, "then": {}}], "otherwise": {}}
    gateway.answers["WaysIn"]["provisioners"]["items"][0] = {**WAY, "rule": clever}  # type: ignore[index]
    await panel.open("w1")
    assert panel.is_clever
    gateway.answers["ProvisionerUpdate"] = {"provisionerUpdate": {"id": "w1", "version": 4}}
    await panel.save({"name": "June", "most": "60"})
    assert "rule" not in gateway.variables("ProvisionerUpdate")["input"]


@pytest.mark.parametrize("ask", [ask for ask, _, _ in ASKS])
@pytest.mark.parametrize("then", [then for then, _ in THENS])
def test_a_rule_made_of_lines_is_one_that_the_engine_takes_and_comes_back_as_the_same_lines(
    ask: str, then: str
) -> None:
    label = "site" if ask.startswith("label") else ""
    value = "" if ask == "label_missing" else "pump-7"
    line = GateLine(1, ask, label, value, then, "site-7" if then in ("refuse", "profile", "group") else "")
    rule = document([line], GateLine(0, then="in"))
    parse(rule)
    assert lines_of(rule) == ([line], GateLine(0, then="in"))


@pytest.mark.parametrize(
    ("line", "device", "labels", "holds"),
    [
        (GateLine(1, "key_starts", "", "pump-"), "pump-7", {}, True),
        (GateLine(1, "key_ends", "", "-7"), "pump-8", {}, False),
        (GateLine(1, "key_is", "", "a, pump-7"), "pump-7", {}, True),
        (GateLine(1, "label_is", "site.old", "7"), "x", {"site.old": "7"}, True),
        (GateLine(1, "label_is", "site", "7"), "x", {}, False),
        (GateLine(1, "label_missing", "site"), "x", {"floor": "1"}, True),
    ],
)
def test_a_line_asks_what_it_says(line: GateLine, device: str, labels: dict[str, str], holds: bool) -> None:
    rule = parse(document([line], GateLine(0, then="refuse", extra="no")))
    verdict = rule.decide(facts(device, labels))
    assert (verdict.approval, verdict.refusal) == ((True, None) if holds else (False, "no"))


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (GateLine(1, "key_starts"), "fill it in"),
        (GateLine(1, "label_is", "", "7"), "which label"),
        (GateLine(1, "key_starts", "", "x", "refuse"), "what the device is told"),
        (GateLine(1, "key_starts", "", "x", "group"), "which group"),
    ],
)
def test_a_line_that_is_not_filled_in_says_what_is_missing(line: GateLine, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        document([line], GateLine(0, then="in"))


def test_a_key_for_registered_devices_names_no_profile() -> None:
    wanted_key = way_of({"name": "x", "mode": "PREREGISTERED", "profile": "p1"})
    assert (wanted_key["profileId"], wanted_key["maxUses"], wanted_key["expiresAt"]) == (None, None, None)


@pytest.mark.parametrize("form", [{}, {"name": "x", "most": "many"}, {"name": "x", "most": "0"}])
def test_a_key_that_is_unclear_is_not_made(form: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"name|whole number"):
        way_of(form)


async def test_a_waiting_device_is_let_in_or_turned_away_with_a_reason(ways: WaysIn, gateway: Gateway) -> None:
    assert [(each.key, each.way, each.labels) for each in ways.waiting] == [("fan-1", "May", ["site: 7"])]
    gateway.answers["EnrolmentApprove"] = {"enrolmentApprove": {"id": "e1"}}
    await ways.approve("e1")
    assert (gateway.variables("EnrolmentApprove"), "fan-1 may come in" in ways.said) == ({"id": "e1"}, True)
    gateway.answers["EnrolmentRefuse"] = {"enrolmentRefuse": {"id": "e1"}}
    ways.consider("e1")
    await ways.refuse({"reason": " Not ours "})
    assert gateway.variables("EnrolmentRefuse") == {"id": "e1", "reason": "Not ours"}


async def test_a_waiting_device_is_let_in_as_something_else(ways: WaysIn, gateway: Gateway) -> None:
    assert [each.place for each in ways.waiting] == ["Fan, Site 7"]
    gateway.answers["EnrolmentApprove"] = {"enrolmentApprove": {"id": "e1"}}
    ways.consider("e1")
    ways.place("e1")
    assert (ways.placing, ways.refusing) == ("e1", "")
    await ways.approve_placed({"profile": "p1", "group": ""})
    chosen = {"profileId": "p1", "groupIds": None}
    assert gateway.variables("EnrolmentApprove") == {"id": "e1", "input": chosen}
    assert (ways.placing, "fan-1 may come in as chosen" in ways.said) == ("", True)
    ways.place("e1")
    await ways.approve_placed({"profile": "", "group": "g1"})
    assert gateway.variables("EnrolmentApprove")["input"] == {"profileId": None, "groupIds": ["g1"]}


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
    assert [(each.severity, each.name) for each in audit.findings] == [("high", "Fan 1")]


def test_a_finding_about_no_device_is_told_from_the_others_by_the_name_of_its_thing() -> None:
    line = finding_line({**FINDING, "deviceId": None, "facts": {"name": "Works CA"}}, {})
    assert (line.device_id, line.name) == ("", "Works CA")
    assert finding_line({**FINDING, "deviceId": None, "facts": {}}, {}).name == ""


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
