"""A faster way through plain data: objects become dictionaries in one go, with the objects that lie in them.

graphql-core completes every value of every object by itself: about four microseconds each. Here a selection becomes
columns: leaves and objects, read from an attribute, or by a field's own function where it takes no arguments and
answers at once, as of things that were fetched before. Of the columns a function of Python is written, once for all who
select the same. Whatever is unusual, a null where none may be, a value that does not convert or one that must be waited
for, is left to graphql-core, which then says what was wrong and where. Why so: ADR 77.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import isfinite
from types import CoroutineType
from typing import Any, NamedTuple, Never, cast

from graphql import (
    GraphQLEnumType,
    GraphQLField,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLResolveInfoHelpers,
    is_leaf_type,
)
from graphql.execution.collect_fields import collect_fields
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext
from strawberry.types.field import StrawberryField

from schema.scalars import format_instant

Convert = Callable[[Any], Any]
Resolve = Callable[[Any, "Info"], Any]


@dataclass(frozen=True, slots=True)
class Info:
    """All that a field's own function may ask for on the short way."""

    context: Any


class Plain(NamedTuple):
    """How a field is read: its attribute, or what resolves it; of a leaf, what converts its value.

    ``kind``: a value that is exactly of this type goes out as it is; where it is ``object``, any value does.
    """

    attribute: str
    resolve: Resolve | None
    convert: Convert | None
    is_nullable: bool
    kind: type | None


class Column(NamedTuple):
    """A field that was asked for: its name in the answer, how it is read, and of objects what is asked of them."""

    name: str
    attribute: str
    resolve: Resolve | None
    convert: Convert | None
    is_nullable: bool
    kind: type | None
    below: "Projection | None"
    is_list: bool


Projection = Callable[[Any, Info], dict[str, Any]]
"""Makes an object into what was asked of it; raises whatever where that is not plain."""
Compiled = dict[tuple[Any, ...], Projection | None]
"""What the selections of one document were compiled into, by the type and the fields' nodes."""


class Unusual(Exception):
    """A value that the short way does not know."""


class Waits(Exception):
    """A value that is not at hand: it would be the same for the next object."""


class Projector(StrawberryGraphQLCoreExecutionContext):
    """graphql-core's executor with the short way for plain objects and lists of them."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._projections: dict[tuple[GraphQLObjectType, int], Projection | None] = {}
        self.compiled: Compiled | None = None

    @property
    def async_helpers(self) -> GraphQLResolveInfoHelpers:
        """Made for whoever asks: kept, they and the executor would hold each other until garbage is collected."""
        return GraphQLResolveInfoHelpers(gather=self.gather_async_work, track=self.track_async_work)

    @async_helpers.setter
    def async_helpers(self, _made: GraphQLResolveInfoHelpers) -> None:
        pass

    def build_per_event_executor(self, payload: Any) -> "Projector":
        """Each event collects its fields anew: kept with the stream, they would grow for as long as it lasts."""
        executor = cast(Projector, super().build_per_event_executor(payload))
        executor._projections, executor._relevant_sub_fields = {}, {}
        return executor

    def of_events(self) -> tuple[str, Projection] | None:
        """How the events of this subscription become what was asked of them, and under which name in the answer.

        None where some of it is not plain. An event is the value of its root field (Strawberry resolves it so).
        """
        root = self.schema.subscription_type
        assert root is not None
        fields = collect_fields(self.schema, self.fragments, self.variable_values, root, self.operation)
        ((name, details),) = fields.grouped_field_set.items()  # which validation has seen to
        field = root.fields.get(details[0].node.name.value)
        type_, is_list = _object(field.type) if field is not None else (None, False)
        if type_ is None or is_list or type_.is_type_of is not None:
            return None
        project = self._remembered(type_, details)
        return (name, project) if project is not None else None

    def complete_object_value(
        self, return_type: Any, field_details_list: Any, info: Any, path: Any, result: Any, position_context: Any
    ) -> Any:
        """One object: the short way where all that is asked of it is plain."""
        project = self._projection(return_type, field_details_list)
        if project is not None:
            try:
                return project(result, Info(self.context_value))
            except Waits:
                self._projections[return_type, id(field_details_list)] = None
            except Exception:  # noqa: S110  the long way says what is wrong
                pass
        return super().complete_object_value(return_type, field_details_list, info, path, result, position_context)

    def complete_list_value(
        self, return_type: Any, field_details_list: Any, info: Any, path: Any, result: Any, position_context: Any
    ) -> Any:
        """A list of objects: the short way for all of them."""
        item = return_type.of_type
        if isinstance(result, list | tuple) and isinstance(item, GraphQLNonNull):
            item = item.of_type
            project = self._projection(item, field_details_list) if isinstance(item, GraphQLObjectType) else None
            if project is not None:
                given = Info(self.context_value)
                try:
                    return [project(each, given) for each in result]
                except Waits:
                    self._projections[item, id(field_details_list)] = None
                except Exception:  # noqa: S110
                    pass
        return super().complete_list_value(return_type, field_details_list, info, path, result, position_context)

    def execute_field(
        self, parent_type: Any, source: Any, field_details_list: Any, path: Any, position_context: Any
    ) -> Any:
        """One plain field of an object that has others too."""
        name = field_details_list[0].node.name.value
        plain = _plain(parent_type, name)
        if plain is not None and plain.resolve is None and plain.convert is not None:
            try:
                value = getattr(source, plain.attribute)
                if value is not None:
                    return plain.convert(value)
                if plain.is_nullable:
                    return None
            except Exception:  # noqa: S110
                pass
        return super().execute_field(parent_type, source, field_details_list, path, position_context)

    def _projection(self, type_: GraphQLObjectType, field_details_list: Any) -> Projection | None:
        """The compiled selection, or None where some of it is not plain."""
        key = (type_, id(field_details_list))  # which lives as long as this executor, in the operation's own tree
        try:
            return self._projections[key]
        except KeyError:
            pass
        self._projections[key] = self._remembered(type_, field_details_list) if type_.is_type_of is None else None
        return self._projections[key]

    def _remembered(self, type_: GraphQLObjectType, field_details_list: Any) -> Projection | None:
        """What an earlier operation of the same document made of the same selections."""
        if self.compiled is None:
            return self._compiled(type_, field_details_list)
        key = (type_, *(id(details.node) for details in field_details_list))  # which live as long as their document
        if key not in self.compiled:
            self.compiled[key] = self._compiled(type_, field_details_list)
        return self.compiled[key]

    def _compiled(self, type_: GraphQLObjectType, field_details_list: Any) -> Projection | None:
        found: list[Column] = []
        for name, details in self.collect_subfields(type_, field_details_list).grouped_field_set.items():
            field_name = details[0].node.name.value
            plain = _plain(type_, field_name)
            if plain is None:
                return None
            below, is_list = None, False
            if plain.convert is None:
                object_, is_list = _object(type_.fields[field_name].type)
                below = self._projection(object_, details) if object_ is not None else None
                if below is None:
                    return None
            found.append(Column(name, *plain, below, is_list))
        return _written(tuple(found))


@lru_cache(maxsize=2_000)
def _written(columns: tuple[Column, ...]) -> Projection:
    """A function that does for these columns what a loop over them would do, in a third of its time.

    Into its text go the names of attributes, which are ours, and those of the answer as literals; all else is given.
    """
    given: dict[str, Any] = {"Unusual": Unusual, "waits": _waits, "listed": _listed}
    lines = ["def project(source, info):"]
    for place, column in enumerate(columns):
        given |= {f"resolve{place}": column.resolve, f"convert{place}": column.convert, f"below{place}": column.below}
        lines += (f"    {line}" for line in _lines(column, str(place)))
    answer = ", ".join(f"{column.name!r}: value{place}" for place, column in enumerate(columns))
    exec("\n".join([*lines, f"    return {{{answer}}}"]), given)  # noqa: S102
    written: Projection = given["project"]
    return written


def _lines(column: Column, n: str) -> Iterator[str]:
    """How the value of one column is read, and becomes what goes out."""
    value = f"value{n}"
    if column.resolve is None:
        yield f"{value} = source.{column.attribute}"
    else:
        yield f"{value} = resolve{n}(source, info)"
        yield f"if hasattr({value}, '__await__'): waits({value})"  # as isinstance Awaitable, which asks much longer
    if not column.is_nullable:
        yield f"if {value} is None: raise Unusual"
    if column.kind is object:
        return
    asked = [f"{value} is not None"] * column.is_nullable
    if column.kind is not None:
        asked.append(f"type({value}) is not {column.kind.__name__}")
    if column.convert is not None:
        made = f"convert{n}({value})"
    elif column.is_list:
        made = f"[below{n}(each, info) for each in listed({value})]"
    else:
        made = f"below{n}({value}, info)"
    yield f"if {' and '.join(asked) or True}: {value} = {made}"


def _listed(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return value
    raise Unusual


def _waits(value: Any) -> Never:
    if isinstance(value, CoroutineType):
        value.close()  # it was not begun
    raise Waits


_known: dict[tuple[GraphQLObjectType, str], Plain | None] = {}


def _plain(type_: GraphQLObjectType, name: str) -> Plain | None:
    """How to read a field on the short way; None for a field that has none."""
    key = (type_, name)
    try:
        return _known[key]
    except KeyError:
        pass
    field = type_.fields.get(name)
    _known[key] = _read(field) if field is not None else None
    return _known[key]


def _read(field: GraphQLField) -> Plain | None:
    definition = field.extensions.get("strawberry-definition")
    if not isinstance(definition, StrawberryField) or field.args:
        return None
    resolve = None if definition.is_basic_field else _resolving(definition)
    is_nullable = not isinstance(field.type, GraphQLNonNull)
    type_ = field.type if is_nullable else field.type.of_type  # type: ignore[union-attr]
    convert = _conversion(type_)
    is_known = (definition.is_basic_field or resolve) and (convert or _object(field.type)[0])
    kind = _AS_IT_IS.get(type_.name) if is_leaf_type(type_) else None
    return Plain(definition.python_name, resolve, convert, is_nullable, kind) if is_known else None


def _resolving(definition: StrawberryField) -> Resolve | None:
    """A field's own function, if it asks for nothing but its object and the context, and nothing stands before it."""
    resolver = definition.base_resolver
    if resolver is None or resolver.is_async or definition.extensions or definition.permission_classes:
        return None
    function: Any = resolver.wrapped_func
    taken = tuple(resolver.signature.parameters)
    shapes: Mapping[tuple[str, ...], Resolve] = {
        ("self", "info"): function,
        ("self",): lambda source, _info: function(source),
    }
    return shapes.get(taken)


def _object(type_: Any) -> tuple[GraphQLObjectType | None, bool]:
    """The type of an object or of those in a list that holds no null, and whether it is a list."""
    if isinstance(type_, GraphQLNonNull):
        type_ = type_.of_type
    is_list = isinstance(type_, GraphQLList)
    if is_list:
        type_ = type_.of_type.of_type if isinstance(type_.of_type, GraphQLNonNull) else None
    return (type_ if isinstance(type_, GraphQLObjectType) else None), is_list


def _conversion(type_: Any) -> Convert | None:
    if isinstance(type_, GraphQLList):
        item = _conversion(type_.of_type.of_type) if isinstance(type_.of_type, GraphQLNonNull) else None
        return (lambda values: _items(item, values)) if item else None
    if not is_leaf_type(type_):
        return None
    if isinstance(type_, GraphQLEnumType):
        return _remembering(type_.coerce_output_value)
    return _SHORT.get(type_.name, type_.coerce_output_value)


def _items(convert: Convert, values: Any) -> list[Any]:
    if not isinstance(values, list | tuple) or None in values:
        raise Unusual
    return [convert(value) for value in values]


def _remembering(convert: Convert) -> Convert:
    """Converts each value of an enumeration once; a text that equals one is another."""
    known: dict[tuple[type, Any], Any] = {}

    def again(value: Any) -> Any:
        key = type(value), value
        try:
            return known[key]
        except KeyError:
            known[key] = made = convert(value)
            return made

    return again


def _exactly(kind: type, is_fine: Callable[[Any], bool]) -> Convert:
    def convert(value: Any) -> Any:
        if type(value) is kind and is_fine(value):
            return value
        raise Unusual

    return convert


_AS_IT_IS: dict[str, type] = {"String": str, "Boolean": bool, "JSON": object}
_SHORT: dict[str, Convert] = {
    "ID": str,
    "DateTime": lru_cache(maxsize=4096)(format_instant),  # what was measured at once, and by whoever asks again
    "String": _exactly(str, lambda _: True),
    "Boolean": _exactly(bool, lambda _: True),
    "Int": _exactly(int, lambda value: -2_147_483_648 <= value <= 2_147_483_647),
    "Float": _exactly(float, isfinite),
}
