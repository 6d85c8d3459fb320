"""Rules as the contract shows them: a typed document, and the sentence it says."""

from datetime import datetime
from typing import TYPE_CHECKING, Self
from uuid import UUID

import strawberry

from engine.rules.errors import Problem as ProblemModel
from engine.rules.model import Severity
from schema.context import Info, loaded
from schema.directives import Cost, Example
from schema.scalars import Json

if TYPE_CHECKING:
    from schema.context import Checked
    from schema.context import Rule as RuleModel

EXAMPLE = Example(
    json='{"v":1,"name":"Too warm","severity":"major","scope":{"profile":null},'
    '"when":{"metric":"temperature","op":">","value":8},"for":"10m","then":[{"do":"alert"}]}'
)

strawberry.enum(Severity, description="How bad it is, from a note to an emergency.")


@strawberry.type(description="A rule: when something counts as wrong, for how long, and what follows.")
class Rule:
    """A rule as it is in force."""

    id: UUID = strawberry.field(description="The rule's id.")
    name: str = strawberry.field(description="The name shown to people.")
    is_enabled: bool = strawberry.field(description="Whether the rule is evaluated.")
    severity: Severity = strawberry.field(description="How bad it is when the rule fires.")
    document: Json = strawberry.field(description="The rule itself, a typed JSON document of version 1.")
    sentence: str = strawberry.field(description="The document in plain words.")
    version: int = strawberry.field(description="Rises with every change; send it back to change safely.")
    created_at: datetime = strawberry.field(description="When the rule was made.")
    updated_at: datetime = strawberry.field(description="When it last changed.")

    @classmethod
    def of(cls, rule: "RuleModel") -> Self:
        """The contract's view of ``rule``."""
        return cls(
            id=rule.id,
            name=rule.name,
            is_enabled=rule.is_enabled,
            severity=Severity(rule.severity),
            document=Json(rule.document),
            sentence=rule.sentence,
            version=rule.version,
            created_at=rule.created_at,
            updated_at=rule.updated_at,
        )

    @strawberry.field(description="How many of the rule's alerts are not cleared.", directives=[Cost(weight=1)])
    def open_alerts(self, info: Info) -> int:
        """The rule's alerts that are not cleared."""
        return loaded(info.context.open_alerts, self.id, lambda count: count)


@strawberry.type(description="Something that is wrong with a rule's document.")
class RuleProblem:
    """One problem, its place and a way out."""

    path: str = strawberry.field(description="Where in the document, as a JSON path: $.when.all[1].value.")
    message: str = strawberry.field(description="What is wrong, in plain words.")
    suggestion: str | None = strawberry.field(description="What would mend it, where that can be told.")

    @classmethod
    def of(cls, problem: ProblemModel) -> Self:
        """The contract's view of ``problem``."""
        return cls(path=problem.path, message=problem.message, suggestion=problem.suggestion)


@strawberry.type(description="What a document would be as a rule. Nothing is stored.")
class RuleCheck:
    """A document, read and judged."""

    problems: list[RuleProblem] = strawberry.field(description="Everything that is wrong; empty if it can be used.")
    sentence: str | None = strawberry.field(description="The document in plain words, if it can be used.")
    applies_to: int = strawberry.field(description="How many devices it would watch.")

    @classmethod
    def of(cls, checked: "Checked") -> Self:
        """The contract's view of ``checked``."""
        problems = [RuleProblem.of(problem) for problem in checked.problems]
        return cls(problems=problems, sentence=checked.sentence, applies_to=checked.applies_to)


@strawberry.input(description="A new rule.")
class RuleCreate:
    """Input of ruleCreate."""

    document: Json = strawberry.field(description="The rule's document, version 1.", directives=[EXAMPLE])
    is_enabled: bool = strawberry.field(description="Whether it is evaluated at once.", default=True)


@strawberry.input(description="A rule's new document.")
class RuleUpdate:
    """Input of ruleUpdate."""

    document: Json = strawberry.field(description="The whole document; it replaces the old one.", directives=[EXAMPLE])
