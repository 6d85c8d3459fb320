"""A tenant's rule at the gate: cases tried in order, each a JSONLogic condition with what follows from it.

    {"cases": [{"when": {"===": [{"var": "labels.site"}, "7"]}, "then": {"profile": "pump", "groups": ["site-7"]}},
               {"when": {"starts_with": [{"var": "device"}, "test-"]}, "then": {"approval": true}}],
     "otherwise": {"refuse": "Devices of site 7 only."}}

A condition is three-valued as in the rules engine: only exactly true and exactly false count. Whatever else, above all
something the device did not say, is unknown, and an unknown condition turns the device away: nobody comes in because
the platform could not tell. ``{"exists": ["labels", "site"]}`` asks whether something was said.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import datalogic_py

from engine.devices.model import KEY
from engine.provisioning.errors import RuleMalformed

MAX_CASES = 20
MAX_NODES = 200
MAX_DEPTH = 12
OPERATORS = frozenset(
    {"and", "or", "!", "if", "==", "===", "!=", "!==", "<", "<=", ">", ">=", "in", "var", "val", "exists"}
    | {"cat", "substr", "length", "starts_with", "ends_with", "upper", "lower"}
)
_ENGINE = datalogic_py.Engine(
    config={"preset": "strict", "missing_var": "error", "loose_equality_errors": True, "ops_budget": 10_000},
    families=["ExtString", "ExtControl"],
    strict_operator_names=True,
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a rule says: ``refusal`` (the words for the device), or which profile and groups by key, and approval."""

    refusal: str | None = None
    profile: str | None = None
    groups: tuple[str, ...] = ()
    approval: bool = False


@dataclass(frozen=True, slots=True)
class Case:
    """One condition and what follows."""

    when: datalogic_py.Rule
    then: Verdict


@dataclass(frozen=True, slots=True)
class Rule:
    """A checked rule."""

    cases: tuple[Case, ...]
    otherwise: Verdict

    def decide(self, facts: Mapping[str, Any]) -> Verdict:
        """The first case that holds decides; one of which nobody can say whether it holds turns away."""
        handle = datalogic_py.DataHandle(dict(facts))
        for number, case in enumerate(self.cases, 1):
            try:
                holds = case.when.evaluate_data(handle)
            except datalogic_py.DataLogicError as error:
                return Verdict(f"Case {number} of the tenant's rule cannot be told: {_said(error)}")
            if holds is True:
                return case.then
            if holds is not False:
                return Verdict(f"Case {number} of the tenant's rule is neither true nor false.")
        return self.otherwise

    def named(self) -> tuple[set[str], set[str]]:
        """The keys of all profiles and groups that it may choose."""
        verdicts = [*(case.then for case in self.cases), self.otherwise]
        return {each.profile for each in verdicts if each.profile}, {key for each in verdicts for key in each.groups}


def facts(
    device: str,
    labels: Mapping[str, str],
    *,
    name: str = "",
    way: str = "key",
    provisioner: str = "",
    proof: str = "token",
    subject: str = "",
    address: str = "",
) -> dict[str, Any]:
    """What a rule may ask about; ``subject`` is the CN of the certificate or CSR."""
    about = {"device": device, "name": name or device, "labels": dict(labels), "subject": subject, "address": address}
    return {**about, "way": way, "provisioner": provisioner, "proof": proof}


def parse(document: object) -> Rule:
    """The rule a document describes; raises RuleMalformed, whose message says what is wrong where."""
    if not isinstance(document, Mapping) or not set(document) <= {"cases", "otherwise"}:
        raise RuleMalformed
    cases, otherwise = document.get("cases"), document.get("otherwise")
    if not isinstance(cases, list) or len(cases) > MAX_CASES:
        raise RuleMalformed(f"cases is a list of at most {MAX_CASES}.")
    if otherwise is None:
        raise RuleMalformed('Say what happens otherwise: {"refuse": "…"}, or {} to let everybody else in.')
    return Rule(tuple(_case(each, number) for number, each in enumerate(cases, 1)), _verdict(otherwise, "otherwise"))


def _case(part: object, number: int) -> Case:
    if not isinstance(part, Mapping) or set(part) != {"when", "then"}:
        raise RuleMalformed(f"Case {number} is an object with when and then.")
    nodes = _walk(part["when"], f"case {number}", 0)
    if nodes > MAX_NODES:
        raise RuleMalformed(f"Case {number} is longer than {MAX_NODES} parts.")
    if not isinstance(part["when"], Mapping | bool):
        raise RuleMalformed(f"The condition of case {number} is an operation, or true.")
    try:
        compiled = _ENGINE.compile(part["when"])
    except datalogic_py.DataLogicError as error:
        raise RuleMalformed(f"Case {number}: {_said(error)}") from error
    return Case(compiled, _verdict(part["then"], f"then of case {number}"))


def _walk(part: object, where: str, depth: int) -> int:
    """How many parts a condition has; every operator must be known."""
    if depth > MAX_DEPTH:
        raise RuleMalformed(f"The condition of {where} is nested deeper than {MAX_DEPTH}.")
    if isinstance(part, Mapping):
        if len(part) != 1:
            raise RuleMalformed(f"An operation in {where} is an object with one operator.")
        [(operator, inner)] = part.items()
        if operator not in OPERATORS:
            raise RuleMalformed(f"{str(operator)[:40]!r} in {where} is no operator here; known are {_known()}.")
        return 1 + _walk(inner, where, depth + 1)
    if isinstance(part, list):
        return 1 + sum(_walk(each, where, depth + 1) for each in part)
    return 1


def _known() -> str:
    return " ".join(sorted(OPERATORS))


def _verdict(part: object, where: str) -> Verdict:
    if not isinstance(part, Mapping) or not set(part) <= {"refuse", "profile", "groups", "approval"}:
        raise RuleMalformed(f"{where} is an object with refuse, or with some of profile, groups, approval.")
    if "refuse" in part:
        if len(part) > 1 or not _is_text(part["refuse"], 200):
            raise RuleMalformed(f"refuse in {where} stands alone, with the words (1 to 200) the device is told.")
        return Verdict(part["refuse"])
    profile, groups, approval = part.get("profile"), part.get("groups", []), part.get("approval", False)
    if profile is not None and not _is_key(profile):
        raise RuleMalformed(f"profile in {where} is a profile's key.")
    if not isinstance(groups, list) or len(groups) > 10 or not all(map(_is_key, groups)):
        raise RuleMalformed(f"groups in {where} is a list of at most 10 keys of groups.")
    if not isinstance(approval, bool):
        raise RuleMalformed(f"approval in {where} is true or false.")
    return Verdict(None, profile, tuple(groups), approval)


def _is_text(value: object, longest: int) -> bool:
    return isinstance(value, str) and 1 <= len(value.strip()) <= longest and "\0" not in value


def _is_key(value: object) -> bool:
    return isinstance(value, str) and KEY.fullmatch(value) is not None


def _said(error: Exception) -> str:
    return str(error)[:160]
