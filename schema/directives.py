"""The words the contract adds to the schema: routes, scopes, refusals, bounds, costs."""

from enum import StrEnum

import strawberry
from strawberry.schema_directive import Location

from schema.enums import shown


class Method(StrEnum):
    """HTTP methods the mirror uses."""

    GET = "GET"
    POST = "POST"
    PATCH = "PATCH"
    DELETE = "DELETE"


shown(
    Method,
    "The HTTP method under which the REST mirror offers a field.",
    GET="Reads, and changes nothing.",
    POST="Makes something, or asks with a document too long for an address.",
    PATCH="Changes what is named and leaves the rest.",
    DELETE="Ends or removes something.",
)


@strawberry.schema_directive(
    locations=[Location.FIELD_DEFINITION],
    description="The route under /api/v1 at which the REST mirror offers this field. (StepZen and Mesh use a directive "
    "of this name the other way round, to read REST into GraphQL; here the schema is the source and REST the copy.)",
)
class Rest:
    """``@rest``: the field's place in the REST mirror; ``{name}`` in the path is the argument of that name."""

    method: Method = strawberry.directive_field(name="method")
    path: str = strawberry.directive_field(name="path")
    status: int = strawberry.directive_field(name="status", default=200)


@strawberry.schema_directive(
    locations=[Location.FIELD_DEFINITION],
    repeatable=True,
    description="The scope a caller must hold to use this field; of several, each. Empty: any caller who is signed in. "
    "A field that is about the whole tenant is refused to whoever is limited to groups of devices; so is every scope "
    "that does not speak of devices, telemetry, alerts, rules (to read) or the inbox. On a field below another that "
    "leads to a thing with an id: whoever lacks the scope may read the thing's id, key and name, and an operation that "
    "asks for more of it is refused before any of it runs.",
)
class Needs:
    """``@needs``: every root field declares it, and each field below that shows what another right protects."""

    scope: str = strawberry.directive_field(name="scope", default="")
    whole: bool = strawberry.directive_field(name="whole", default=False)


@strawberry.schema_directive(
    locations=[Location.FIELD_DEFINITION],
    repeatable=True,
    description="A way in which this field may refuse: the HTTP status and the problem's short name.",
)
class Problem:
    """``@problem``: documents a refusal; the slug is the error's ``code`` in lower case with dashes."""

    status: int = strawberry.directive_field(name="status")
    slug: str = strawberry.directive_field(name="slug")


@strawberry.schema_directive(
    locations=[Location.ARGUMENT_DEFINITION, Location.INPUT_FIELD_DEFINITION],
    description="Bounds of a value: numbers from min to max, text and lists up to maxLength, text matching pattern.",
)
class Constraint:
    """``@constraint``: enforced before the resolver runs, and published in the OpenAPI document."""

    min: int | None = strawberry.directive_field(name="min", default=strawberry.UNSET)
    max: int | None = strawberry.directive_field(name="max", default=strawberry.UNSET)
    min_length: int | None = strawberry.directive_field(name="minLength", default=strawberry.UNSET)
    max_length: int | None = strawberry.directive_field(name="maxLength", default=strawberry.UNSET)
    pattern: str | None = strawberry.directive_field(name="pattern", default=strawberry.UNSET)


@strawberry.schema_directive(
    locations=[Location.ARGUMENT_DEFINITION, Location.INPUT_FIELD_DEFINITION],
    description="A value that would be accepted, as JSON text.",
)
class Example:
    """``@example``: published in the OpenAPI document."""

    json: str = strawberry.directive_field(name="json")


@strawberry.schema_directive(
    locations=[Location.FIELD_DEFINITION],
    description="What a field counts towards an operation's cost, and what multiplies the cost of everything below it: "
    "the value of the argument named by times, or the number expected.",
)
class Cost:
    """``@cost``: an operation above the limit is refused before it runs."""

    weight: int = strawberry.directive_field(name="weight", default=1)
    times: str | None = strawberry.directive_field(name="times", default=strawberry.UNSET)
    expected: int | None = strawberry.directive_field(name="expected", default=strawberry.UNSET)


@strawberry.schema_directive(
    locations=[Location.FIELD_DEFINITION],
    description="A secret that is shown once and stored nowhere: no answer that holds it is ever kept for repeating.",
)
class Secret:
    """``@secret``: shown once."""
