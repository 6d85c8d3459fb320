"""Stands before every root field: signed in, allowed, arguments within their bounds, in the right transaction."""

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from strawberry.extensions import FieldExtension
from strawberry.types import get_object_definition
from strawberry.types.arguments import StrawberryArgument
from strawberry.types.base import StrawberryList, StrawberryOptional
from strawberry.types.field import StrawberryField

from engine.errors import Conflict, Forbidden
from resolvers.context import Info
from schema.directives import Constraint, Needs
from schema.errors import BadInput, Unstorable
from schema.scalars import refuse_unstorable

Check = Callable[[object, str], None]


class Guard(FieldExtension):
    """Enforces ``@needs`` and ``@constraint``, and opens the transaction of a mutation root field.

    What fields below the root fields need is asked for the operation as a whole, before it runs: see nested.py.

    ``writes``: the field runs in a transaction of its own, committed before its answer is read. Who is turned away for
    want of a right is noted in the audit log, of a field that writes also who is because the thing stands otherwise;
    ``deed`` is what the log calls it, the field's name in its braces.
    """

    def __init__(self, *needs: Needs, writes: bool = False, deed: str = "{}") -> None:
        self.needs = needs
        self._writes = writes
        self._deed = deed
        self._checks: dict[str, Check] = {}

    def apply(self, field: StrawberryField) -> None:
        """Compile the checks of the field's arguments, once, when the schema is built."""
        for argument in field.arguments:
            self._checks[argument.python_name] = _argument_check(argument)

    def _check(self, info: Info, arguments: Mapping[str, Any]) -> None:
        for each in self.needs:
            info.context.require(each.scope, whole=each.whole)
        for name, check in self._checks.items():
            if (value := arguments.get(name)) is not None:
                check(value, "")

    def resolve(self, next_: Callable[..., Any], source: Any, info: Info, **kwargs: Any) -> Any:
        """Check, then run a field that answers at once or with an awaitable."""
        try:
            self._check(info, kwargs)
            return next_(source, info, **kwargs)
        except Forbidden as error:
            self._note(info, kwargs, error)
            raise

    async def resolve_async(self, next_: Callable[..., Awaitable[Any]], source: Any, info: Info, **kwargs: Any) -> Any:
        """Check, then run the field, in its own transaction if it writes."""
        if not self._writes:
            try:
                self._check(info, kwargs)
                return await next_(source, info, **kwargs)
            except Forbidden as error:
                self._note(info, kwargs, error)
                raise
        try:
            self._check(info, kwargs)
            async with info.context.writing():
                return await next_(source, info, **kwargs)
        except (Forbidden, Conflict) as error:
            await info.context.turned_away(self._deed.format(info.field_name), kwargs.get("id"), error)
            raise

    def _note(self, info: Info, arguments: Mapping[str, Any], error: Forbidden) -> None:
        info.context.denied(self._deed.format(info.field_name), arguments.get("id"), error)


def _argument_check(argument: StrawberryArgument) -> Check:
    name = argument.graphql_name or _camel(argument.python_name)
    own = _bounds([d for d in argument.directives if isinstance(d, Constraint)])
    deeper = _type_check(argument.type)

    def check(value: object, _path: str) -> None:
        own(value, name)
        deeper(value, name)

    return check


def _type_check(type_: Any) -> Check:
    """Checks of what lies inside a value of ``type_``: text, lists, and the bounds of input fields."""
    if isinstance(type_, StrawberryOptional):
        return _type_check(type_.of_type)
    if isinstance(type_, StrawberryList):
        item = _type_check(type_.of_type)

        def check_all(value: object, path: str) -> None:
            for each in value if isinstance(value, list) else []:
                if each is not None:
                    item(each, path)

        return check_all
    definition = get_object_definition(type_)
    if definition is None:
        return _storable
    checks = [(f.python_name, f.graphql_name or _camel(f.python_name), _field_check(f)) for f in definition.fields]

    def check(value: object, path: str) -> None:
        for python_name, graphql_name, field_check in checks:
            if (inner := getattr(value, python_name, None)) is not None:
                field_check(inner, f"{path}.{graphql_name}")

    return check


def _field_check(field: StrawberryField) -> Check:
    own = _bounds([d for d in field.directives if isinstance(d, Constraint)])
    deeper = _type_check(field.type)

    def check(value: object, path: str) -> None:
        own(value, path)
        deeper(value, path)

    return check


def _storable(value: object, path: str) -> None:
    if isinstance(value, str | Mapping | list):
        try:
            refuse_unstorable(value)
        except Exception as error:
            raise Unstorable(f"{path}: {error}", argument=path) from None


def _bounds(constraints: list[Constraint]) -> Check:
    if not constraints:
        return lambda _value, _path: None
    constraint = constraints[0]
    pattern = re.compile(constraint.pattern) if isinstance(constraint.pattern, str) else None

    def check(value: object, path: str) -> None:
        if isinstance(value, int | float) and not isinstance(value, bool):
            if isinstance(constraint.min, int) and value < constraint.min:
                raise BadInput(f"{path} must be at least {constraint.min}.", argument=path)
            if isinstance(constraint.max, int) and value > constraint.max:
                raise BadInput(f"{path} must be at most {constraint.max}.", argument=path)
        if isinstance(value, str | list):
            _check_length(value, path, constraint)
        if pattern and isinstance(value, str) and not pattern.fullmatch(value):
            raise BadInput(f"{path} must match {pattern.pattern}.", argument=path)

    return check


def _check_length(value: str | list[object], path: str, constraint: Constraint) -> None:
    what = "characters" if isinstance(value, str) else "items"
    if isinstance(constraint.min_length, int) and len(value) < constraint.min_length:
        raise BadInput(f"{path} must have at least {constraint.min_length} {what}.", argument=path)
    if isinstance(constraint.max_length, int) and len(value) > constraint.max_length:
        raise BadInput(f"{path} must have at most {constraint.max_length} {what}.", argument=path)


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)
