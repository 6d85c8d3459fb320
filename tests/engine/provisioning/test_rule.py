"""A tenant's rule at the gate: the first case that holds decides, and what cannot be told lets nobody in."""

from typing import Any

import pytest

from engine.provisioning.errors import RuleMalformed
from engine.provisioning.rule import Verdict, parse

FACTS = {"device": "pump-7", "name": "Pump 7", "labels": {"site": "7"}, "way": "key", "subject": ""}
SITE_7 = {"===": [{"var": "labels.site"}, "7"]}


def decided(document: object, **facts: Any) -> Verdict:
    return parse(document).decide({**FACTS, **facts})


def test_the_first_case_that_holds_decides() -> None:
    document = {
        "cases": [
            {"when": {"===": [{"var": "labels.site"}, "8"]}, "then": {"refuse": "Not here."}},
            {"when": SITE_7, "then": {"profile": "pump", "groups": ["site-7"], "approval": True}},
            {"when": True, "then": {"refuse": "Never reached."}},
        ],
        "otherwise": {"refuse": "Nobody."},
    }
    assert decided(document) == Verdict(None, "pump", ("site-7",), True)


def test_otherwise_is_for_whom_no_case_holds() -> None:
    document = {"cases": [{"when": SITE_7, "then": {}}], "otherwise": {"refuse": "Site 7 only."}}
    assert decided(document, labels={"site": "9"}).refusal == "Site 7 only."


@pytest.mark.parametrize(
    "when",
    [
        {"!==": [{"var": "labels.plant"}, "x"]},
        {"<": [{"var": "labels.floor"}, 3]},
        {"===": [{"val": ["labels", "plant"]}, "x"]},
        {"or": [{"===": [{"var": "labels.plant"}, "x"]}, True]},
        {"cat": ["a", "b"]},
        {"val": ["labels"]},
    ],
    ids=str,
)
def test_what_cannot_be_told_turns_away_even_where_the_case_would_refuse(when: Any) -> None:
    """A case that was meant to refuse must not let in whoever leaves out what it asks for."""
    verdict = decided({"cases": [{"when": when, "then": {"refuse": "No."}}], "otherwise": {}})
    assert verdict.refusal is not None
    assert "Case 1" in verdict.refusal


def test_a_rule_may_ask_whether_something_was_said() -> None:
    document = {
        "cases": [{"when": {"!": [{"exists": ["labels", "plant"]}]}, "then": {"approval": True}}],
        "otherwise": {},
    }
    assert decided(document).approval
    assert not decided(document, labels={"plant": "x"}).approval


def _nested(depth: int) -> object:
    return True if depth == 0 else {"!": [_nested(depth - 1)]}


@pytest.mark.parametrize(
    "document",
    [
        [],
        {},
        {"cases": []},
        {"cases": {}, "otherwise": {}},
        {"cases": [], "otherwise": {}, "more": 1},
        {"cases": [{"when": True}], "otherwise": {}},
        {"cases": [{"when": 5, "then": {}}], "otherwise": {}},
        {"cases": [{"when": {"frobnicate": []}, "then": {}}], "otherwise": {}},
        {"cases": [{"when": {"map": [[1], 1]}, "then": {}}], "otherwise": {}},
        {"cases": [{"when": {"and": [], "or": []}, "then": {}}], "otherwise": {}},
        {"cases": [{"when": _nested(20), "then": {}}], "otherwise": {}},
        {"cases": [{"when": {"in": [1, [0] * 300]}, "then": {}}], "otherwise": {}},
        {"cases": [{"when": True, "then": {"refuse": ""}}], "otherwise": {}},
        {"cases": [{"when": True, "then": {"refuse": "x", "profile": "y"}}], "otherwise": {}},
        {"cases": [{"when": True, "then": {"profile": "not a key!"}}], "otherwise": {}},
        {"cases": [{"when": True, "then": {"groups": "site"}}], "otherwise": {}},
        {"cases": [{"when": True, "then": {"approval": "yes"}}], "otherwise": {}},
        {"cases": [{"when": True, "then": {}}] * 21, "otherwise": {}},
        {"cases": [], "otherwise": "refuse"},
    ],
    ids=lambda document: str(document)[:60],
)
def test_a_malformed_rule_is_refused_in_words(document: object) -> None:
    with pytest.raises(RuleMalformed) as refusal:
        parse(document)
    assert len(refusal.value.message) > 15


def test_what_a_rule_may_choose_is_told() -> None:
    document = {
        "cases": [{"when": SITE_7, "then": {"profile": "a", "groups": ["g"]}}],
        "otherwise": {"profile": "b"},
    }
    assert parse(document).named() == ({"a", "b"}, {"g"})
