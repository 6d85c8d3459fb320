"""The REST mirror's routes, derived from the schema: one constant GraphQL document for each ``@rest``."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from graphql import (
    GraphQLArgument,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLSchema,
    Undefined,
    get_named_type,
    get_nullable_type,
    is_leaf_type,
    is_required_argument,
)
from strawberry.types.arguments import StrawberryArgument
from strawberry.types.field import StrawberryField

from resolvers.limits import MAX_BODY_BYTES, MAX_LONG_BODY_BYTES
from resolvers.nested import REFERENCE, is_node, needs_of
from schema.directives import Constraint, Method, Needs, Problem, Rest, Secret

PREFIX = "/api/v1"
_PLACEHOLDER = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class Parameter:
    """One argument on its way in: by ``path``, ``query``, ``body`` or ``if-match``."""

    name: str
    variable: str
    place: str
    argument: GraphQLArgument

    @property
    def is_required(self) -> bool:
        """Whether the request must bring it."""
        return is_required_argument(self.argument)


@dataclass(frozen=True, slots=True)
class Restful:
    """A route of the mirror and the operation behind it. ``fields`` leads from the answer's data to what is shown."""

    method: Method
    path: str
    status: int
    kind: str
    name: str
    fields: tuple[str, ...]
    document: str
    parameters: tuple[Parameter, ...]
    result: GraphQLOutputType
    description: str
    scopes: tuple[str, ...]
    problems: tuple[Problem, ...]
    withheld: Mapping[str, tuple[Needs, ...]]
    """What the document asks whether to show: the variable, and the rights that show it."""
    body: Parameter | None = None
    """The argument whose input object is the whole body, if there is one."""

    @property
    def type(self) -> GraphQLObjectType | None:
        """The object type of the answer, if it is one object."""
        named = get_named_type(self.result)
        return named if isinstance(named, GraphQLObjectType) and get_nullable_type(self.result) is named else None

    @property
    def is_page(self) -> bool:
        """Whether the answer is one page of a list."""
        return self.type is not None and self.type.name.endswith("Page")

    @property
    def is_stream(self) -> bool:
        """Whether the answer is a stream of events."""
        return self.kind == "subscription"

    @property
    def has_version(self) -> bool:
        """Whether the answer is one thing with a version, for a change to be bound to."""
        return self.type is not None and {"id", "version"} <= self.type.fields.keys()

    @property
    def is_tagged(self) -> bool:
        """Whether the answer has an ETag: one thing with a version, or one thing that is only read."""
        is_read = self.method is Method.GET and not (self.is_page or self.is_stream or self.shows_secret)
        return self.has_version or (is_read and self.type is not None)

    @property
    def takes_if_match(self) -> bool:
        """Whether a change can be bound to the version seen."""
        return any(parameter.place == "if-match" for parameter in self.parameters)

    @property
    def takes_body(self) -> bool:
        """Whether the request brings JSON."""
        return self.body is not None or any(parameter.place == "body" for parameter in self.parameters)

    @property
    def needs_body(self) -> bool:
        """Whether the request must bring JSON."""
        return self.body is not None or any(p.place == "body" and p.is_required for p in self.parameters)

    @property
    def max_body_bytes(self) -> int:
        """How long the body may be: more where the contract allows one argument to be longer than a whole request."""
        longest = max((_longest(parameter.argument) for parameter in self.parameters), default=0)
        return MAX_LONG_BODY_BYTES if longest > MAX_BODY_BYTES else MAX_BODY_BYTES

    @property
    def shows_secret(self) -> bool:
        """Whether the answer holds something that is shown once."""
        return self.type is not None and any(_directive(f, Secret) for f in self.type.fields.values())


@dataclass(slots=True)
class _Chain:
    """A root field and the fields below it that lead to the one with ``@rest``."""

    steps: list[tuple[str, GraphQLField]] = field(default_factory=list)

    @property
    def last(self) -> GraphQLField:
        return self.steps[-1][1]


def routes(schema: GraphQLSchema) -> list[Restful]:
    """Every route of the mirror; fixed paths before those with placeholders."""
    roots = {"query": schema.query_type, "mutation": schema.mutation_type, "subscription": schema.subscription_type}
    found = [_route(kind, chain) for kind, root in roots.items() if root is not None for chain in _chains(root)]
    return sorted(found, key=lambda route: (_PLACEHOLDER.sub("~", route.path), route.method))


def locations(found: list[Restful]) -> dict[str, str]:
    """Where one thing of a type is found: type name to path with ``{id}``."""
    return {
        route.type.name: route.path
        for route in found
        if route.method is Method.GET and route.path.endswith("/{id}") and route.type is not None
    }


def reference(type_: object) -> list[str]:
    """The fields by which one refers to things of this type."""
    assert isinstance(type_, GraphQLObjectType)
    return [name for name in REFERENCE if name in type_.fields]


def shown_fields(type_: GraphQLObjectType) -> Iterator[tuple[str, GraphQLField]]:
    """The fields that the mirror shows of a type: those without required arguments and without a route of their own."""
    for name, field_ in type_.fields.items():
        if not any(is_required_argument(argument) for argument in field_.args.values()) and not _directive(
            field_, Rest
        ):
            yield name, field_


def _chains(root: GraphQLObjectType) -> Iterator[_Chain]:
    for name, field_ in root.fields.items():
        if _directive(field_, Rest):
            yield _Chain([(name, field_)])
        type_ = get_nullable_type(field_.type)
        # Only what is found by id leads on to routes below it: /devices/{id} to /devices/{id}/latest.
        if isinstance(type_, GraphQLObjectType) and list(field_.args) == ["id"] and name[0].islower():
            if (rest := _directive(field_, Rest)) is None or rest.method is not Method.GET:
                continue
            for inner_name, inner in type_.fields.items():
                if _directive(inner, Rest):
                    yield _Chain([(name, field_), (inner_name, inner)])


def _route(kind: str, chain: _Chain) -> Restful:
    rest = _directive(chain.last, Rest)
    assert rest is not None
    parameters = tuple(_parameters(chain, rest))
    withheld: dict[str, tuple[Needs, ...]] = {}
    placed = [p for p in parameters if p.place == "body"]
    is_whole = len(placed) == 1 and isinstance(get_nullable_type(placed[0].argument.type), GraphQLInputObjectType)
    return Restful(
        method=rest.method,
        path=rest.path,
        status=rest.status,
        kind=kind,
        name=chain.steps[-1][0] if len(chain.steps) == 1 else chain.steps[0][0] + _capital(chain.steps[-1][0]),
        fields=tuple(name for name, _ in chain.steps),
        document=_document(kind, chain, parameters, withheld),
        parameters=parameters,
        result=chain.last.type,
        description=chain.last.description or "",
        scopes=tuple(dict.fromkeys(need.scope for _, step in chain.steps for need in needs_of(step) if need.scope)),
        problems=tuple(directive for directive in _directives(chain.last) if isinstance(directive, Problem)),
        withheld=withheld,
        body=placed[0] if is_whole else None,
    )


def _parameters(chain: _Chain, rest: Rest) -> Iterator[Parameter]:
    in_path = set(_PLACEHOLDER.findall(rest.path))
    is_in_url = rest.method in (Method.GET, Method.DELETE)
    for _, step in chain.steps:
        for name, argument in step.args.items():
            if name in in_path:
                place = "path"
            elif name == "version" and rest.method is Method.PATCH:
                place = "if-match"
            else:
                place = "query" if is_in_url else "body"
            yield Parameter(name, name, place, argument)


def _document(
    kind: str, chain: _Chain, parameters: tuple[Parameter, ...], withheld: dict[str, tuple[Needs, ...]]
) -> str:
    """The document; what it is to be told is added to ``withheld``."""
    selection = _selection(get_named_type(chain.last.type), withheld, is_below_node=False)
    variables = [f"${p.variable}: {_variable_type(p.argument)}" for p in parameters]
    declared = ", ".join([*variables, *(f"${name}: Boolean!" for name in withheld)])
    for name, step in reversed(chain.steps):
        given = ", ".join(f"{argument}: ${argument}" for argument in step.args)
        selection = f"{{ {name}{f'({given})' if given else ''} {selection} }}"
    return f"{kind} {_capital(chain.steps[-1][0])}{f'({declared})' if declared else ''} {selection}"


def _variable_type(argument: GraphQLArgument) -> str:
    """Nullable where the argument has a default, so that leaving it out means the default."""
    type_ = argument.type
    if isinstance(type_, GraphQLNonNull) and argument.default_value is not Undefined:
        type_ = type_.of_type
    return str(type_)


def _selection(type_: Any, withheld: dict[str, tuple[Needs, ...]], *, is_below_node: bool) -> str:
    """Every leaf and value object; things found below another thing are shown by id alone.

    A thing that another right protects is shown by what anybody may read of it, whoever asks: the rest is at its own
    route. Any other field that another right protects is shown to those who hold it, and left out otherwise.
    """
    if is_leaf_type(type_):
        return ""
    assert isinstance(type_, GraphQLObjectType)
    if is_node(type_) and is_below_node:
        return "{ id }"
    below = is_below_node or is_node(type_)
    return f"{{ {' '.join(_shown(type_, name, withheld, is_below_node=below) for name in dict(shown_fields(type_)))} }}"


def _shown(type_: GraphQLObjectType, name: str, withheld: dict[str, tuple[Needs, ...]], *, is_below_node: bool) -> str:
    field_ = type_.fields[name]
    named, needs = get_named_type(field_.type), needs_of(field_)
    if needs and is_node(named):
        return f"{name} {{ {' '.join(reference(named))} }}"
    if needs:
        variable = "_".join(["may", *(need.scope.replace(":", "_") for need in needs)])
        withheld[variable] = needs
        name = f"{name} @include(if: ${variable})"
    return f"{name} {_selection(named, withheld, is_below_node=is_below_node)}".rstrip()


def _longest(argument: GraphQLArgument) -> int:
    """The longest text an argument may be, 0 where nothing is said."""
    definition = argument.extensions.get("strawberry-definition")
    directives = definition.directives if isinstance(definition, StrawberryArgument) else ()
    bounds = [d.max_length for d in directives if isinstance(d, Constraint) and isinstance(d.max_length, int)]
    return max(bounds, default=0)


def _directives(field_: GraphQLField) -> list[object]:
    definition = field_.extensions.get("strawberry-definition")
    return list(definition.directives) if isinstance(definition, StrawberryField) else []


def _directive(field_: GraphQLField, kind: type[Any]) -> Any:
    return next((directive for directive in _directives(field_) if isinstance(directive, kind)), None)


def _capital(name: str) -> str:
    return name[0].upper() + name[1:]
