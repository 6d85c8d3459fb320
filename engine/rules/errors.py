"""How a rule document is refused: every problem at once, each with its place, plain words and a way out."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from engine.errors import Conflict, Invalid, NotFound, Unavailable


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a rule document.

    ``path`` is a JSON path from the document's root (``$.when.all[1].value``), ``message`` says in plain words what was
    found and what was expected, ``suggestion`` what would mend it, if we can tell.
    """

    path: str
    message: str
    suggestion: str | None = None

    def to_json(self) -> dict[str, str]:
        """The problem as the contract shows it."""
        found = {"path": self.path, "message": self.message}
        return found if self.suggestion is None else {**found, "suggestion": self.suggestion}

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" + (f" {self.suggestion}" if self.suggestion else "")


class RuleInvalid(Invalid):
    """This rule cannot be used as it is."""

    code: ClassVar[str] = "RULE_INVALID"

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        shown = "; ".join(str(problem) for problem in self.problems[:3])
        super().__init__(shown or None, problems=[problem.to_json() for problem in self.problems])


class RuleNotFound(NotFound):
    """There is no such rule."""

    code = "RULE_NOT_FOUND"


class RuleChanged(Conflict):
    """Somebody else has changed this rule meanwhile; look at it as it is now before you change it."""

    code = "RULE_CHANGED"


class TooManyRules(Conflict):
    """A tenant has at most 2,000 rules; delete some that are no longer needed."""

    code = "TOO_MANY_RULES"


class TemplateNotFound(NotFound):
    """There is no such template in the gallery."""

    code = "TEMPLATE_NOT_FOUND"


class TrialMalformed(Invalid):
    """That cannot be tried as it was asked."""

    code = "TRIAL_MALFORMED"


class TrialTooLarge(Invalid):
    """Trying this takes more computing than one request may; give it fewer or shorter windows, or less to play."""

    code = "TRIAL_TOO_LARGE"


class BacktestBusy(Unavailable):
    """Other backtests are running (of each tenant, one at a time); try again in a few seconds."""

    code = "BACKTEST_BUSY"


class TrialBusy(Unavailable):
    """Rules are being tried already (of each tenant, one at a time); try again in a few seconds."""

    code = "TRIAL_BUSY"


class DraftNotFound(NotFound):
    """There is no such draft, or none that you may see."""

    code = "DRAFT_NOT_FOUND"


class DraftChanged(Conflict):
    """Somebody has saved this draft meanwhile; load it again."""

    code = "DRAFT_CHANGED"


class DraftTooLarge(Invalid):
    """A draft is a JSON object of at most 64 KiB."""

    code = "DRAFT_TOO_LARGE"


class TooManyDrafts(Conflict):
    """There are 500 drafts already; publish or delete some first."""

    code = "TOO_MANY_DRAFTS"


class TestsFail(Conflict):
    """A test that is kept with the rule fails; mend the rule or the test."""

    code = "TESTS_FAIL"


class VersionNotFound(NotFound):
    """The rule has no such version."""

    code = "RULE_VERSION_NOT_FOUND"
