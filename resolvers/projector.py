"""A faster way through plain data: objects become dictionaries in one go, with the objects that lie in them.

graphql-core completes every value of every object by itself: about four microseconds each. Here a selection is
compiled once per operation into a list of columns: leaves and objects, read from an attribute, or by a field's own
function where it takes no arguments and answers at once, as of things that were fetched before. Whatever is unusual,
a null where none may be, a value that does not convert or one that must be waited for, is left to graphql-core, which
then says what was wrong and where.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import isfinite
from types import CoroutineType
from typing import Any, NamedTuple

from graphql import GraphQLEnumType, GraphQLField, GraphQLList, GraphQLNonNull, GraphQLObjectType, is_leaf_type
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
    below: "list[Column] | None"
    is_list: bool


Compiled = dict[tuple[Any, ...], list[Column] | None]
"""What the selections of one document were compiled into, by the type and the fields' nodes."""


class Unusual(Exception):
    """A value that the short way does not know."""


class Waits(Exception):
    """A value that is not at hand: it would be the same for the next object."""


class Projector(StrawberryGraphQLCoreExecutionContext):
    """graphql-core's executor with the short way for plain objects and lists of them."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._columns: dict[tuple[GraphQLObjectType, int], list[Column] | None] = {}
        self.compiled: Compiled | None = None

    def complete_object_value(
        self, return_type: Any, field_details_list: Any, info: Any, path: Any, result: Any, position_context: Any
    ) -> Any:
        """One object: the short way where all that is asked of it is plain."""
        columns = self._columns_of(return_type, field_details_list)
        if columns is not None:
            try:
                return _project(result, columns, Info(self.context_value))
            except Waits:
                self._columns[return_type, id(field_details_list)] = None
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
            columns = self._columns_of(item, field_details_list) if isinstance(item, GraphQLObjectType) else None
            if columns is not None:
                given = Info(self.context_value)
                try:
                    return [_project(each, columns, given) for each in result]
                except Waits:
                    self._columns[item, id(field_details_list)] = None
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

    def _columns_of(self, type_: GraphQLObjectType, field_details_list: Any) -> list[Column] | None:
        """The compiled selection, or None where some of it is not plain."""
        key = (type_, id(field_details_list))  # which lives as long as this executor, in the operation's own tree
        try:
            return self._columns[key]
        except KeyError:
            pass
        self._columns[key] = self._remembered(type_, field_details_list) if type_.is_type_of is None else None
        return self._columns[key]

    def _remembered(self, type_: GraphQLObjectType, field_details_list: Any) -> list[Column] | None:
        """What an earlier operation of the same document made of the same selections."""
        if self.compiled is None:
            return self._compiled(type_, field_details_list)
        key = (type_, *(id(details.node) for details in field_details_list))  # which live as long as their document
        if key not in self.compiled:
            self.compiled[key] = self._compiled(type_, field_details_list)
        return self.compiled[key]

    def _compiled(self, type_: GraphQLObjectType, field_details_list: Any) -> list[Column] | None:
        found: list[Column] = []
        for name, details in self.collect_subfields(type_, field_details_list).grouped_field_set.items():
            field_name = details[0].node.name.value
            plain = _plain(type_, field_name)
            if plain is None:
                return None
            below, is_list = None, False
            if plain.convert is None:
                object_, is_list = _object(type_.fields[field_name].type)
                below = self._columns_of(object_, details) if object_ is not None else None
                if below is None:
                    return None
            found.append(Column(name, *plain, below, is_list))
        return found


def _project(source: Any, columns: list[Column], info: Info) -> dict[str, Any]:
    projected: dict[str, Any] = {}
    for name, attribute, resolve, convert, is_nullable, kind, below, is_list in columns:
        value = getattr(source, attribute) if resolve is None else _resolved(resolve, source, info)
        if value is None:
            if not is_nullable:
                raise Unusual
        elif kind is object or type(value) is kind:
            pass
        elif convert is not None:
            value = convert(value)
        elif not is_list:
            value = _project(value, below, info)  # type: ignore[arg-type]  # what is no leaf has columns
        elif isinstance(value, list | tuple):
            value = [_project(each, below, info) for each in value]  # type: ignore[arg-type]
        else:
            raise Unusual
        projected[name] = value
    return projected


def _resolved(resolve: Resolve, source: Any, info: Info) -> Any:
    value = resolve(source, info)
    if hasattr(value, "__await__"):  # as isinstance(value, Awaitable), which asks much longer
        if isinstance(value, CoroutineType):
            value.close()  # it was not begun
        raise Waits
    return value


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
