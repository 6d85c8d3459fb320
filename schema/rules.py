"""Rules as the contract shows them: a typed document, and the sentence it says."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING, Self
from uuid import UUID

import strawberry

from engine.rules.errors import Problem as ProblemModel
from engine.rules.lint import Finding, Weight
from engine.rules.mends import EditKind, Mend
from engine.rules.model import MetricType, Mode, RuleOrder
from engine.rules.phrases import place
from engine.rules.templates import HoleKind
from schema.context import Info, loaded
from schema.directives import Cost, Example, Needs
from schema.enums import shown
from schema.scalars import Json
from schema.severities import Severity

if TYPE_CHECKING:
    from engine.rules.templates import Hole
    from schema.context import Checked, RuleBeginning, RuleOffer
    from schema.context import Filled as FilledModel
    from schema.context import Rule as RuleModel

EXAMPLE = Example(
    json='{"v":1,"name":"Too warm","severity":"major","scope":{"profile":null},'
    '"when":{"metric":"temperature","op":">","value":8},"for":"10m","then":[{"do":"alert"}]}'
)

shown(
    Mode,
    "What a rule does.",
    name="RuleMode",
    OFF="Nothing: it is not evaluated.",
    SHADOW="It is evaluated and notes what it would do, and does nothing.",
    ON="It is evaluated and acts.",
)
shown(
    RuleOrder,
    "How rules are listed.",
    MADE="As they were made, the oldest first.",
    CHANGED="The newest change first.",
    NAME="By name, without regard to capitals.",
    FIRED="What fired last comes first; what never fired comes last.",
)
shown(
    Weight,
    "How much a warning matters.",
    name="RuleWarningWeight",
    PROBLEM="The rule cannot work so.",
    WARNING="The rule may surprise whoever wrote it.",
    HINT="The rule works, and something would make it better.",
)
shown(
    HoleKind,
    "What is to be chosen.",
    name="RuleHoleKind",
    METRIC="A metric of the profile, by its name.",
    NUMBER="A number, in the hole's unit.",
    DURATION="A length of time, such as 90s, 10m or 2h.",
    CLOCK="A time of day, such as 06:00.",
    TEXT="Text of any kind.",
    CIRCLE="A circle on the map: lat and lon in degrees, radius_m in metres.",
)
shown(
    MetricType,
    "What kind of value a rule reads.",
    name="RuleMetricType",
    NUMBER="A finite number, whole or not.",
    BOOLEAN="True or false.",
    STRING="Text of any kind.",
    OBJECT="A JSON object, such as a place with lat and lon.",
)


def actions_of(document: Mapping[str, object]) -> list[str]:
    """The kinds of a document's actions; of one that no longer parses, those that can be made out."""
    then = document.get("then")
    acts = then if isinstance(then, list) else []
    return [str(each["do"]) for each in acts if isinstance(each, dict) and "do" in each]


@strawberry.type(description="Something that is wrong with a rule's document.")
class RuleProblem:
    """One problem, its place and a way out."""

    path: str = strawberry.field(description="Where in the document, as a JSON path: $.when.all[1].value.")
    place: str = strawberry.field(description="The same in plain words: in its condition, part 2, “value”.")
    message: str = strawberry.field(description="What is wrong, in plain words.")
    suggestion: str | None = strawberry.field(description="What would mend it, where that can be told.")

    @classmethod
    def of(cls, problem: ProblemModel) -> Self:
        """The contract's view of ``problem``."""
        return cls(path=problem.path, place=place(problem.path), message=problem.message, suggestion=problem.suggestion)


@strawberry.type(description="A rule: when something counts as wrong, for how long, and what follows.")
class Rule:
    """A rule as it is in force."""

    id: UUID = strawberry.field(description="The rule's id.")
    name: str = strawberry.field(description="The name shown to people.")
    is_enabled: bool = strawberry.field(description="Whether the rule is evaluated.")
    mode: Mode = strawberry.field(description="Whether the rule acts, only watches, or is off.")
    severity: Severity = strawberry.field(description="How bad it is when the rule fires.")
    actions: list[str] = strawberry.field(description="What it does when it fires, such as alert or notify, in order.")
    document: Json = strawberry.field(description="The rule itself, a typed JSON document of version 1.")
    sentence: str = strawberry.field(description="The document in plain words.")
    is_readable: bool = strawberry.field(
        description="Whether the document can be understood. A rule that is not does nothing; its sentence says why."
    )
    problems: list[RuleProblem] = strawberry.field(
        description="What of the document can no longer be understood, by the grammar or by what its profile measures."
    )
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
            mode=rule.mode,
            severity=Severity(rule.severity),
            actions=actions_of(rule.document),
            document=Json(rule.document),
            sentence=rule.sentence,
            is_readable=rule.is_readable,
            problems=[RuleProblem.of(problem) for problem in rule.problems],
            version=rule.version,
            created_at=rule.created_at,
            updated_at=rule.updated_at,
        )

    @strawberry.field(
        description="How many of the rule's alerts are not cleared.",
        directives=[Needs(scope="alerts:read"), Cost(weight=1)],
    )
    def open_alerts(self, info: Info) -> int:
        """The rule's alerts that are not cleared."""
        return loaded(info.context.open_alerts, self.id, lambda count: count)

    @strawberry.field(
        description="When it last fired on any device, in force or only watching; null: never yet.",
        directives=[Cost(weight=1)],
    )
    def last_fired_at(self, info: Info) -> datetime | None:
        """When it last fired."""
        return loaded(info.context.last_firings, self.id, lambda at: at)


@strawberry.enum(description="What should be known about a rule.")
class RuleNoticeKind(Enum):
    """What a notice is about."""

    STORM = strawberry.enum_value("storm", description="It did too much in a minute and is muted.")
    QUOTA = strawberry.enum_value("quota", description="Too many rules look at a message or event; some are left out.")
    LOOP = strawberry.enum_value("loop", description="Rules follow from each other's values without end.")
    REFUSED = strawberry.enum_value("refused", description="Something that it should do could not be done.")


@strawberry.type(description="Something that should be known about a rule, or about all rules together, for a while.")
class RuleNotice:
    """A notice that holds."""

    rule_id: UUID | None = strawberry.field(description="The rule that it is about; null: all of them together.")
    kind: RuleNoticeKind = strawberry.field(description="What it is about.")
    message: str = strawberry.field(description="What happened and what follows, in plain words.")
    since: datetime = strawberry.field(description="When it was said first.")
    until: datetime = strawberry.field(description="Until when it holds.")
    times: int = strawberry.field(description="How often it has come about since then.")


shown(
    EditKind,
    "What an edit does at its place.",
    name="RuleEditKind",
    SET="Puts the value there, in place of what stands there.",
    REMOVE="Takes out what stands there.",
)


@strawberry.type(description="One edit of a rule's document.")
class RuleEdit:
    """One step of a fix."""

    kind: EditKind = strawberry.field(description="What it does.")
    path: str = strawberry.field(description="Where in the document, as a JSON path: $.clear.when.")
    value: Json | None = strawberry.field(description="What is put there; null where something is taken out.")


@strawberry.type(description="The one obvious way to mend what is odd about a rule; whoever likes it makes its edits.")
class RuleFix:
    """A finding's mend."""

    words: str = strawberry.field(description="What it does, in plain words: clear only below 7.6 °C.")
    edits: list[RuleEdit] = strawberry.field(description="The edits of the document, to be made in this order.")

    @classmethod
    def of(cls, mend: Mend) -> Self:
        """The contract's view of ``mend``."""
        edits = [
            RuleEdit(kind=edit.kind, path=edit.path, value=None if edit.value is None else Json(edit.value))
            for edit in mend.edits
        ]
        return cls(words=mend.words, edits=edits)


@strawberry.type(description="Something about a rule that can be used which is probably not meant so.")
class RuleWarning:
    """One finding of the linter."""

    weight: Weight = strawberry.field(description="How much it matters.")
    path: str = strawberry.field(description="Where in the document, as a JSON path: $.when.all[1].value.")
    message: str = strawberry.field(description="What is odd, in plain words.")
    suggestion: str | None = strawberry.field(description="What would mend it, where that can be told.")
    fix: RuleFix | None = strawberry.field(description="What mends it at once; null where there is no one obvious way.")

    @classmethod
    def of(cls, finding: Finding) -> Self:
        """The contract's view of ``finding``."""
        return cls(
            weight=finding.weight,
            path=finding.path,
            message=finding.message,
            suggestion=finding.suggestion,
            fix=None if finding.mend is None else RuleFix.of(finding.mend),
        )


@strawberry.type(description="What a document would be as a rule. Nothing is stored.")
class RuleCheck:
    """A document, read and judged."""

    problems: list[RuleProblem] = strawberry.field(description="Everything that is wrong; empty if it can be used.")
    warnings: list[RuleWarning] = strawberry.field(description="What is odd about it, the gravest first.")
    sentence: str | None = strawberry.field(description="The document in plain words, if it can be used.")
    applies_to: int = strawberry.field(description="How many devices it would watch.")

    @classmethod
    def of(cls, checked: "Checked") -> Self:
        """The contract's view of ``checked``."""
        return cls(
            problems=[RuleProblem.of(problem) for problem in checked.problems],
            warnings=[RuleWarning.of(finding) for finding in checked.warnings],
            sentence=checked.sentence,
            applies_to=checked.applies_to,
        )


@strawberry.type(description="What changed from one document to another.")
class RuleDifference:
    """Changes in words."""

    changes: list[str] = strawberry.field(
        description="A sentence for each change, in the document's order; none where both mean the same."
    )


@strawberry.type(description="One thing to choose in a template.")
class RuleHole:
    """A hole of a template, with what fits."""

    key: str = strawberry.field(description="The name under which it is chosen.")
    kind: HoleKind = strawberry.field(description="What is to be chosen.")
    label: str = strawberry.field(description="What it is called.")
    default: Json | None = strawberry.field(description="What is taken where nothing is chosen; null: it has to be.")
    unit: str | None = strawberry.field(description="The unit a number is given in, or that a metric has to fit.")
    type: MetricType | None = strawberry.field(description="Of which type a metric has to be.")
    follows: str | None = strawberry.field(
        description="The hole that this number stays as far from as the defaults are, where nothing else is chosen."
    )
    fitting: list[str] = strawberry.field(
        description="The profile's metrics that fit, the likeliest first.", directives=[Needs(scope="devices:read")]
    )

    @classmethod
    def of(cls, hole: "Hole", fitting: Sequence[str]) -> Self:
        """The contract's view of ``hole``."""
        return cls(
            key=hole.key,
            kind=hole.kind,
            label=hole.label,
            default=None if hole.default is None else Json(hole.default),
            unit=hole.unit,
            type=hole.type if hole.kind is HoleKind.METRIC else None,
            follows=hole.follows,
            fitting=list(fitting),
        )


@strawberry.type(description="A rule to begin with: a document with a few things to choose.")
class RuleTemplate:
    """A template of the gallery."""

    key: str = strawberry.field(description="Its name in requests.")
    title: str = strawberry.field(description="What it is called.")
    description: str = strawberry.field(description="When it helps.")
    icon: str = strawberry.field(description="The name of a Lucide icon.")
    severity: Severity = strawberry.field(description="How bad it is when it fires.")
    is_fitting: bool = strawberry.field(description="Whether the profile has the metrics it needs.")
    lack: str | None = strawberry.field(description="What the profile lacks, in plain words; null where it fits.")
    holes: list[RuleHole] = strawberry.field(description="What is to be chosen.")

    @classmethod
    def of(cls, offer: "RuleOffer") -> Self:
        """The contract's view of ``offer``."""
        template = offer.template
        return cls(
            key=template.key,
            title=template.title,
            description=template.description,
            icon=template.icon,
            severity=Severity(template.severity),
            is_fitting=offer.is_fitting,
            lack=offer.lack,
            holes=[RuleHole.of(hole, offer.fitting.get(hole.key, ())) for hole in template.holes],
        )


@strawberry.type(description="A device profile that a new rule may be for.")
class RuleProfile:
    """A profile to begin with."""

    key: str = strawberry.field(description="The profile's short name.")
    name: str = strawberry.field(description="The name shown to people.")
    device_count: int = strawberry.field(
        description="How many devices it has, decommissioned ones left out.", directives=[Needs(scope="devices:read")]
    )
    template_count: int = strawberry.field(description="How many templates of the gallery fit it.")

    @classmethod
    def of(cls, beginning: "RuleBeginning") -> Self:
        """The contract's view of ``beginning``."""
        return cls(
            key=beginning.key,
            name=beginning.name,
            device_count=beginning.devices,
            template_count=beginning.templates,
        )


@strawberry.type(description="A rule made from a template, ready to be edited or created. Nothing is stored.")
class RuleFilled:
    """A filled template."""

    document: Json | None = strawberry.field(description="The document; null where something has yet to be chosen.")
    check: RuleCheck = strawberry.field(description="What it would be as a rule, or which choice is missing.")

    @classmethod
    def of(cls, draft: "FilledModel") -> Self:
        """The contract's view of ``draft``."""
        document = None if draft.document is None else Json(dict(draft.document))
        return cls(document=document, check=RuleCheck.of(draft.checked))


@strawberry.input(description="A new rule.")
class RuleCreate:
    """Input of ruleCreate."""

    document: Json = strawberry.field(description="The rule's document, version 1.", directives=[EXAMPLE])
    is_enabled: bool = strawberry.field(description="Whether it is evaluated at once.", default=True)


@strawberry.input(description="A rule's new document.")
class RuleUpdate:
    """Input of ruleUpdate."""

    document: Json = strawberry.field(description="The whole document; it replaces the old one.", directives=[EXAMPLE])
