"""A faster way through plain data: objects whose chosen fields are mere attributes become dictionaries in one go.

graphql-core completes every value of every object by itself: about four microseconds each. Here a selection of plain
leaves is compiled once per operation into a list of (name, attribute, conversion). Whatever is unusual, a null where
none may be or a value that does not convert, is left to graphql-core, which then says what was wrong and where.
"""

from collections.abc import Callable
from math import isfinite
from typing import Any

from graphql import GraphQLField, GraphQLList, GraphQLNonNull, GraphQLObjectType, is_leaf_type
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext
from strawberry.types.field import StrawberryField

Convert = Callable[[Any], Any]
Column = tuple[str, str, Convert, bool]
"""Name in the answer, attribute of the source, conversion, whether it may be null."""


class Unusual(Exception):
    """A value that the short way does not know."""


class Projector(StrawberryGraphQLCoreExecutionContext):
    """graphql-core's executor with the short way for plain objects and lists of them."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._columns: dict[int, list[Column] | None] = {}

    def complete_object_value(
        self, return_type: Any, field_details_list: Any, info: Any, path: Any, result: Any, position_context: Any
    ) -> Any:
        """One object: the short way where all that is asked of it is plain."""
        columns = self._columns_of(return_type, field_details_list)
        if columns is not None:
            try:
                return _project(result, columns)
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
                try:
                    return [_project(each, columns) for each in result]
                except Exception:  # noqa: S110
                    pass
        return super().complete_list_value(return_type, field_details_list, info, path, result, position_context)

    def execute_field(
        self, parent_type: Any, source: Any, field_details_list: Any, path: Any, position_context: Any
    ) -> Any:
        """One plain field of an object that has others too."""
        name = field_details_list[0].node.name.value
        column = _plain(parent_type, name)
        if column is not None:
            attribute, convert, is_nullable = column
            try:
                value = getattr(source, attribute)
                if value is not None:
                    return convert(value)
                if is_nullable:
                    return None
            except Exception:  # noqa: S110
                pass
        return super().execute_field(parent_type, source, field_details_list, path, position_context)

    def _columns_of(self, type_: GraphQLObjectType, field_details_list: Any) -> list[Column] | None:
        """The compiled selection, or None where some of it is not plain."""
        key = id(field_details_list)  # alive as long as this executor: it lies in the operation's own tree
        try:
            return self._columns[key]
        except KeyError:
            pass
        found: list[Column] | None = []
        for name, details in self.collect_subfields(type_, field_details_list).grouped_field_set.items():
            plain = _plain(type_, details[0].node.name.value)
            if plain is None or found is None:
                found = None
            else:
                found.append((name, *plain))
        self._columns[key] = found if type_.is_type_of is None else None
        return self._columns[key]


def _project(source: Any, columns: list[Column]) -> dict[str, Any]:
    projected: dict[str, Any] = {}
    for name, attribute, convert, is_nullable in columns:
        value = getattr(source, attribute)
        if value is not None:
            value = convert(value)
        elif not is_nullable:
            raise Unusual
        projected[name] = value
    return projected


_known: dict[tuple[int, str], tuple[str, Convert, bool] | None] = {}


def _plain(type_: GraphQLObjectType, name: str) -> tuple[str, Convert, bool] | None:
    """How to read a field that is a mere attribute of a leaf type; None for every other field."""
    key = (id(type_), name)  # types live as long as the schema, and there is one schema in a process
    try:
        return _known[key]
    except KeyError:
        pass
    field = type_.fields.get(name)
    _known[key] = _read(field) if field is not None else None
    return _known[key]


def _read(field: GraphQLField) -> tuple[str, Convert, bool] | None:
    definition = field.extensions.get("strawberry-definition")
    if not isinstance(definition, StrawberryField) or not definition.is_basic_field or field.args:
        return None
    is_nullable = not isinstance(field.type, GraphQLNonNull)
    convert = _conversion(field.type if is_nullable else field.type.of_type)  # type: ignore[union-attr]
    return (definition.python_name, convert, is_nullable) if convert else None


def _conversion(type_: Any) -> Convert | None:
    if isinstance(type_, GraphQLList):
        item = _conversion(type_.of_type.of_type) if isinstance(type_.of_type, GraphQLNonNull) else None
        return (lambda values: _items(item, values)) if item else None
    if not is_leaf_type(type_):
        return None
    return _SHORT.get(type_.name, type_.coerce_output_value)


def _items(convert: Convert, values: Any) -> list[Any]:
    if not isinstance(values, list | tuple) or None in values:
        raise Unusual
    return [convert(value) for value in values]


def _exactly(kind: type, is_fine: Callable[[Any], bool]) -> Convert:
    def convert(value: Any) -> Any:
        if type(value) is kind and is_fine(value):
            return value
        raise Unusual

    return convert


_SHORT: dict[str, Convert] = {
    "ID": str,
    "String": _exactly(str, lambda _: True),
    "Boolean": _exactly(bool, lambda _: True),
    "Int": _exactly(int, lambda value: -2_147_483_648 <= value <= 2_147_483_647),
    "Float": _exactly(float, isfinite),
}
