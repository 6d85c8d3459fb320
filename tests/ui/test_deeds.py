"""The audit log in words: whatever the platform writes into it has words in the console."""

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ui.deed_words import ACTORS, NOUNS, SELF, VERBS, VOUCHED, WHOLE
from ui.deeds import deed_line, split

HOUSE = Path(__file__).parents[2]
WRITERS = ("engine", "resolvers", "ingest", "infra")
ACTION = re.compile(r"[a-z_]+\.[a-z_]+")
ENTRY: dict[str, Any] = {
    "seq": 7,
    "at": "2026-01-01T00:00:00Z",
    "actorKind": "user",
    "actorId": "u1",
    "actorName": "ada@example.org",
    "action": "device.change",
    "targetKind": "device",
    "targetId": "0190e6f2-0000-7000-8000-000000abcdef",
    "result": "DONE",
    "reason": None,
    "before": None,
    "after": None,
    "address": None,
}


def calls() -> Iterator[tuple[str, ast.Call]]:
    """Every call in the source of what may write to the log, with the name of what is called."""
    for folder in WRITERS:
        for path in sorted((HOUSE / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call):
                    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                    yield name, node


def literals(node: ast.AST) -> Iterator[str]:
    for each in ast.walk(node):
        if isinstance(each, ast.Constant) and isinstance(each.value, str):
            yield each.value


@functools.cache
def written() -> tuple[set[str], set[str], set[str]]:
    """The actions, kinds of target and kinds of actor that stand in the source, those in migrations included."""
    actions, targets, actors = set(), set(), set()
    for name, call in calls():
        if name in ("audit", "Deed") and len(call.args) >= 2:
            actions |= {each for each in literals(call.args[0]) if ACTION.fullmatch(each)}
            targets |= set(literals(call.args[1])) - {""}
        elif name in ("_saved", "_change"):  # which pass the action on
            actions |= {each for arg in call.args for each in literals(arg) if ACTION.fullmatch(each)}
        elif name == "Principal" and len(call.args) >= 2:
            actors |= set(literals(call.args[1]))
    for path in sorted((HOUSE / "migrations" / "versions").glob("*.py")):
        text = path.read_text()
        actions |= set(re.findall(r"'action', '([a-z_]+\.[a-z_]+)'", text))
        targets |= set(re.findall(r"'target_kind', '([a-z_]+)'", text))
        actors |= set(re.findall(r"'actor_kind', '([a-z_]+)'", text))
    return actions, targets, actors


def test_the_source_is_read_as_it_is_written() -> None:
    actions, targets, actors = written()
    assert {"device.change", "transfer.offer", "identity_provider.register", "second_factor.reset"} <= actions
    assert {"device", "provisioner", "enrolment", "finding"} <= targets
    assert {"user", "token", "system", "platform", "provisioner", "provider"} <= actors


def test_every_deed_that_the_platform_writes_has_words() -> None:
    actions, targets, actors = written()
    for action in sorted(actions - WHOLE.keys()):
        noun, _, verb = action.partition(".")
        assert noun in NOUNS, f"ui/deed_words.py needs a noun for {action}"
        assert verb in VERBS, f"ui/deed_words.py needs a verb for {action}"
    assert targets - NOUNS.keys() == set()
    assert actors - ACTORS.keys() == set()


def test_every_field_that_may_refuse_has_words() -> None:
    contract = (HOUSE / "schema" / "schema.graphql").read_text()
    mutations = contract[contract.index("type Mutation {") :]
    fields = re.findall(r"^  ([a-z]\w+)[(:]", mutations[: mutations.index("\n}")], re.MULTILINE)
    assert len(fields) > 60
    for field in fields:
        noun, _, verb = split(field)
        assert noun in NOUNS, f"ui/deed_words.py needs a noun for {field}"
        assert verb in VERBS, f"ui/deed_words.py needs a verb for {field}"


def test_words_are_for_deeds_that_exist() -> None:
    actions, _, _ = written()
    assert (WHOLE.keys() | SELF | VOUCHED.keys()) - actions == set()


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        ({"action": "device.erase"}, "ada@example.org began to erase all data of the device"),
        ({"action": "transfer.offer"}, "ada@example.org offered to hand over the device"),
        ({"action": "provisioner.revoke"}, "ada@example.org revoked the way in"),
        (
            {"action": "silence.create", "targetKind": "silence", "after": {"reason": "Cleaning", "key": "x"}},
            "ada@example.org made the silence Cleaning",
        ),
        (
            {"action": "authority.renew", "after": {"name": "CN=x"}},
            "ada@example.org renewed the certificate authority, which is now CN=x",
        ),
        ({"action": "authority.retire"}, "ada@example.org took out of use the former certificate authority"),
        (
            {"action": "authorityRenew", "targetKind": "", "targetId": "", "result": "DENIED", "reason": "FORBIDDEN"},
            "ada@example.org was not allowed to renew a certificate authority",
        ),
        (
            {"action": "device.login", "actorKind": "system", "actorName": "system", "result": "REFUSED"},
            "Tidegate refused a login of the device",
        ),
        (
            {"action": "device.login", "actorKind": "system", "actorName": "system", "targetKind": "tenant"},
            "Tidegate refused logins of unknown devices",
        ),
        (
            {"action": "credential.issue", "after": {"kind": "x509"}},
            "ada@example.org signed a certificate for the device",
        ),
        ({"action": "credential.issue", "after": {"kind": "token"}}, "ada@example.org issued a token for the device"),
        (
            {"action": "credential.revoke", "after": {"kind": "jwt"}},
            "ada@example.org revoked a public key of the device",
        ),
        (
            {"action": "platformTenants.read", "result": "DENIED", "reason": "FORBIDDEN"},
            "ada@example.org was not allowed to see the organisations of the platform",
        ),
        (
            {"action": "deviceTransferOffer", "result": "DENIED", "reason": "FORBIDDEN"},
            "ada@example.org was not allowed to offer a transfer of a device",
        ),
        (
            {"action": "sessionsRevokeOthers", "result": "DENIED", "reason": "FORBIDDEN"},
            "ada@example.org was not allowed to end sessions elsewhere",
        ),
        (
            {"action": "memberSessions.read", "result": "DENIED", "reason": "FORBIDDEN"},
            "ada@example.org was not allowed to see where a member is signed in",
        ),
        (
            {"action": "deviceStatus.follow", "result": "DENIED", "reason": "FORBIDDEN"},
            "ada@example.org was not allowed to follow device status",
        ),
        (
            {"action": "device.provision", "actorKind": "provisioner", "actorName": "key: Fans of May"},
            "The way in “Fans of May” added the device",
        ),
        (
            {"action": "member.join", "actorKind": "provider", "actorName": "Okta", "after": {"email": "bo@x.org"}},
            "The identity provider “Okta” brought in bo@x.org",
        ),
        ({"action": "device.erased", "actorKind": "system", "actorName": "system"}, "Tidegate erased all data of"),
    ],
)
def test_a_deed_reads_as_a_sentence(entry: dict[str, Any], sentence: str) -> None:
    line = deed_line({**ENTRY, **entry}, {})
    assert f"{line.who} {line.said} {line.target}".startswith(sentence)


def test_a_refused_login_is_told_in_plainer_words_than_it_was_noted_with() -> None:
    noted = {"sentence": "Tried 3 times: what it showed is none of the device's.", "tries": 3}
    line = deed_line({**ENTRY, "action": "device.login", "result": "REFUSED", "before": None, "after": noted}, {})
    assert line.summary == "Tried 3 times: what it showed is not a credential of this device."


def test_what_was_done_to_a_rule_is_said_in_sentences() -> None:
    old = {"name": "Warm", "sentence": "When it is above 8, an alert is raised.", "document": {"when": {"value": 8}}}
    new = {**old, "sentence": "When it is above 9, an alert is raised.", "document": {"when": {"value": 9}}}
    changed = {**new, "changes": ["The threshold went from 8 to 9.", "It now waits 10 minutes."]}
    entry = {**ENTRY, "action": "rule.change", "targetKind": "rule", "before": old, "after": changed}
    line = deed_line(entry, {})
    assert (line.said, line.target) == ("changed the rule", "Warm")
    assert line.summary == "The threshold went from 8 to 9. It now waits 10 minutes."
    assert [(each.name, each.after) for each in line.changes] == [
        ("sentence", new["sentence"]),
        ("document.when.value", "9"),
    ]
    made = deed_line({**entry, "action": "rule.create", "before": None, "after": old}, {})
    gone = deed_line({**entry, "action": "rule.delete", "before": old, "after": None}, {})
    assert made.summary == gone.summary == old["sentence"]
    plain = deed_line({**ENTRY, "before": {"name": "Pump"}, "after": {"name": "Main pump"}}, {})
    assert plain.summary == "name Pump → Main pump"


def test_rights_that_come_and_go_are_named_and_not_counted() -> None:
    before, after = {"scopes": ["alerts:read", "alerts:write"]}, {"scopes": ["alerts:read", "rules:read"]}
    role = {"name": "Night shift"}
    entry = {**ENTRY, "action": "role.change", "targetKind": "role", "before": role | before, "after": role | after}
    line = deed_line(entry, {})
    assert (line.said, line.target) == ("changed the role", "Night shift")
    assert line.summary == "Added: See rules. Removed: Acknowledge alerts."
    assert [each.name for each in line.changes] == ["rights"]
    renamed = deed_line({**entry, "after": {"name": "Day shift"} | after}, {})
    assert renamed.summary == f"{line.summary} Also: name Night shift → Day shift."


def test_only_hours_of_the_platforms_own_are_said_by_the_readers_clock() -> None:
    entry = {**ENTRY, "action": "rule.change", "targetKind": "rule"}
    until = {"name": "Warm", "muted_until": "2026-01-02T06:00:00+00:00"}
    line = deed_line({**entry, "before": until, "after": {**until, "muted_until": "2026-01-02T08:00:00Z"}}, {})
    assert (line.is_timed, [each.is_moment for each in line.changes]) == (True, [True])
    noted = {"name": "Warm", "description": "Ask Bo before 06:00 UTC"}
    line = deed_line({**entry, "before": noted, "after": {**noted, "description": "Ask Bo before 14:00 UTC"}}, {})
    assert (line.is_timed, [each.is_moment for each in line.changes]) == (False, [False])
    assert line.summary == "description Ask Bo before 06:00 UTC → Ask Bo before 14:00 UTC"
    said = {"sentence": "Silence is noticed from 06:00 UTC."}
    assert deed_line({**entry, "before": None, "after": said}, {}).is_timed
    made = {**said, "changes": ["It is called “Before 06:00 UTC” now."]}
    assert not deed_line({**entry, "before": said, "after": made}, {}).is_timed


def test_a_deed_of_a_kind_of_actor_newer_than_the_console_names_it() -> None:
    line = deed_line({**ENTRY, "actorKind": "robot", "actorName": ""}, {})
    assert (line.who, line.foot) == ("Robot", "Entry 7 · device.change · by robot")
