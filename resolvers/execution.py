"""Running GraphQL operations: parsed and validated once per text, measured, executed, and turned into plain answers."""

import asyncio
import weakref
from collections import OrderedDict
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Coroutine, Hashable, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from inspect import isawaitable
from typing import Any, cast

import orjson
from graphql import (
    DocumentNode,
    ExecutionResult,
    FragmentDefinitionNode,
    GraphQLError,
    OperationDefinitionNode,
    OperationType,
    VariableNode,
    parse,
    specified_rules,
    validate,
)
from graphql.execution import Executor, create_source_event_stream, execute_root_selection_set
from graphql.validation import MaxIntrospectionDepthRule
from strawberry.execution import optimized_is_awaitable
from strawberry.schema import Schema

from engine.errors import EngineError, Forbidden
from resolvers.context import RequestContext, Selected
from resolvers.errors import formatted
from resolvers.feeds import Followed
from resolvers.limits import MAX_TOKENS, measure_cost, measure_shape
from resolvers.nested import asked_below
from resolvers.projector import Compiled, Info, Projector, Waits
from resolvers.selections import Fragments
from schema.directives import Needs
from schema.errors import BadInput, Unauthenticated

_DECIDING = "@"
"""In a text without this sign nothing says @skip or @include."""
_RULES = (*specified_rules, MaxIntrospectionDepthRule)
_CACHED = 500
_CACHED_MAX_CHARACTERS = 8_000
_SHARED = 2_000
_COSTS_KNOWN = 100
"""Of one text, by the numbers it was asked with."""

Answer = dict[str, Any]
"""A GraphQL response: ``data`` and ``errors`` as they go out."""


class Refused(Exception):
    """An operation that was refused before it ran; ``errors`` are GraphQL errors."""

    def __init__(self, *errors: GraphQLError) -> None:
        super().__init__(errors[0].message)
        self.errors = errors

    def answer(self) -> Answer:
        """The response without data."""
        return {"errors": [formatted(error) for error in self.errors]}


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """A document that passed parsing, validation and the shape limits."""

    text: str
    document: DocumentNode
    operations: Mapping[str, OperationDefinitionNode]
    fragments: Fragments
    needed: Mapping[str | None, Sequence[Needs]]
    """Which rights each operation may need below its root fields."""
    costs: dict[Hashable, int] = field(default_factory=dict)
    compiled: Compiled | None = None
    """Where no variable decides what is left out, selections are compiled once for all times the document is asked."""
    selected: Selected = field(default_factory=dict)

    def operation(self, name: str | None) -> OperationDefinitionNode:
        """The operation called ``name``, or the only one; raises Refused."""
        if name is None and len(self.operations) == 1:
            return next(iter(self.operations.values()))
        if name is None:
            raise Refused(GraphQLError("This document has several operations: say which by operationName."))
        if name not in self.operations:
            raise Refused(GraphQLError("This document has no operation of that name."))
        return self.operations[name]


class Operations:
    """Executes operations against one schema."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self.graphql = schema._schema
        self._prepared: OrderedDict[str, Prepared] = OrderedDict()
        self.shared = Shared()

    def prepare(self, text: str) -> Prepared:
        """Parse and validate; the work is done once per text for the most recent texts. Raises Refused."""
        if (known := self._prepared.get(text)) is not None:
            self._prepared.move_to_end(text)
            return known
        prepared = self._check(text)
        if len(text) <= _CACHED_MAX_CHARACTERS:
            self._prepared[text] = prepared
            if len(self._prepared) > _CACHED:
                self._prepared.popitem(last=False)
        return prepared

    def _check(self, text: str) -> Prepared:
        try:
            document = parse(text, max_tokens=MAX_TOKENS)
        except GraphQLError as error:
            raise Refused(error) from None
        except RecursionError:
            raise Refused(GraphQLError("This document is nested too deep.")) from None
        if errors := validate(self.graphql, document, _RULES, max_errors=10):
            raise Refused(*errors)
        definitions = document.definitions
        operations = [node for node in definitions if isinstance(node, OperationDefinitionNode)]
        fragments = {node.name.value: node for node in definitions if isinstance(node, FragmentDefinitionNode)}
        try:
            measure_shape(operations, fragments)
        except Exception as error:
            raise Refused(GraphQLError(str(error), original_error=error)) from None
        named = {operation.name.value if operation.name else "": operation for operation in operations}
        needed = {name or None: self._needed(operation, fragments) for name, operation in named.items()}
        compiled: Compiled | None = None if _DECIDING in text else {}
        return Prepared(text, document, named, fragments, needed, compiled=compiled)

    def _needed(self, operation: OperationDefinitionNode, fragments: Fragments) -> Sequence[Needs]:
        asked = (each.needs for each in asked_below(self.graphql, operation, fragments))
        return tuple({(needs.scope, needs.whole): needs for needs in asked}.values())

    def build(
        self, prepared: Prepared, operation_name: str | None, variables: Mapping[str, Any] | None, context: object
    ) -> tuple[Executor[Any], int]:
        """An executor with coerced variables, and what the operation costs; raises Refused."""
        operation = prepared.operation(operation_name)
        executor = Projector.build(
            self.graphql,
            prepared.document,
            context_value=context,
            raw_variable_values=dict(variables or {}),
            operation_name=operation.name.value if operation.name else None,
            is_awaitable=cast(Any, optimized_is_awaitable),
            hide_suggestions=False,
        )
        if isinstance(executor, list):
            raise Refused(*executor)
        cast(Projector, executor).compiled = prepared.compiled
        try:
            cost = self._cost(prepared, operation, executor.variable_values.coerced)
        except Exception as error:
            raise Refused(GraphQLError(str(error), original_error=error)) from None
        return executor, cost

    def _cost(self, prepared: Prepared, operation: OperationDefinitionNode, variables: Mapping[str, Any]) -> int:
        """What it costs: of variables, only how many things are asked for counts, and null is not the same as nothing.

        Raises TooCostly.
        """
        numbers = tuple((name, value) for name, value in variables.items() if value is None or isinstance(value, int))
        key = operation.name.value if operation.name else None, numbers
        cost = prepared.costs.get(key)
        if cost is None:
            cost = measure_cost(self.graphql, operation, prepared.fragments, variables)
            if len(prepared.costs) < _COSTS_KNOWN:
                prepared.costs[key] = cost
        return cost

    async def _ask(self, prepared: Prepared, executor: Executor[Any], context: RequestContext) -> None:
        """Raise Refused where the caller lacks a right that the operation needs below its root fields.

        The log notes it as it notes what root fields turn away. Who did not sign in is turned away by those.
        """
        operation, variables = executor.operation, executor.variable_values.coerced
        needed = prepared.needed[operation.name.value if operation.name else None]
        if all(context.may(needs) for needs in needed):
            return
        for asked in asked_below(self.graphql, operation, prepared.fragments, variables):
            try:
                context.require(asked.needs.scope, whole=asked.needs.whole)
            except Unauthenticated:
                return
            except Forbidden as error:
                await context.turned_away(asked.deed, asked.target(variables), error)
                said = GraphQLError(error.message, [asked.node], path=list(asked.path), original_error=error)
                raise Refused(said) from None

    async def run(
        self,
        prepared: Prepared,
        operation_name: str | None,
        variables: Mapping[str, Any] | None,
        context: RequestContext,
    ) -> Answer:
        """The answer to a query or mutation. Raises Refused before anything ran."""
        executor, cost = self.build(prepared, operation_name, variables, context)
        context.selected = prepared.selected
        if executor.operation.operation is OperationType.SUBSCRIPTION:
            raise Refused(GraphQLError("Subscriptions need a WebSocket or `Accept: text/event-stream`."))
        with _refusing():
            await context.charge(cost)
        await self._ask(prepared, executor, context)
        try:
            return plain(await _finished(execute_root_selection_set(executor)))
        finally:
            await context.close()

    async def stream(
        self,
        prepared: Prepared,
        operation_name: str | None,
        variables: Mapping[str, Any] | None,
        context: RequestContext,
    ) -> "Stream":
        """A subscription, opened; raises Refused where it cannot begin (also when its resolver refuses)."""
        executor, cost = self.build(prepared, operation_name, variables, context)
        if executor.operation.operation is not OperationType.SUBSCRIPTION:
            raise Refused(GraphQLError("This is no subscription."))
        with _refusing():
            await context.charge(cost)
        await self._ask(prepared, executor, context)
        with _refusing():
            end = await context.services.budgets.open_stream(context.principal.tenant_id)
        try:
            source = create_source_event_stream(executor)
            if isawaitable(source):
                source = await source
            if isinstance(source, ExecutionResult):
                raise Refused(*(source.errors or [GraphQLError("The subscription could not begin.")]))
            key = self.shared.alike(_share_key(prepared, executor, variables, context))
            return Stream(executor, source, context, self.shared, key, end)
        except BaseException:
            end()
            await context.close()
            raise


class Alike:
    """Stands for all subscribers who must get the same answers: as part of a key it is compared at once."""


class Shared:
    """Answers to events that several subscribers ask for in the same words, with the same rights: made once."""

    def __init__(self) -> None:
        self._answers: OrderedDict[Hashable, bytes | asyncio.Task[bytes]] = OrderedDict()
        self._alike: weakref.WeakValueDictionary[Hashable, Alike] = weakref.WeakValueDictionary()
        self.made = 0

    def alike(self, key: Hashable) -> "Alike":
        """One for all whose key is equal, as long as one of them is there."""
        found = self._alike.get(key)
        if found is None:
            found = self._alike[key] = Alike()
        return found

    def at_once(self, key: Hashable, make: Callable[[], bytes | None]) -> bytes | None:
        """The answer under ``key`` if it is known or can be made without waiting."""
        known = self._answers.get(key)
        if known is None:
            made = make()
            if made is not None:
                self.made += 1
                self._keep(key, made)
            return made
        return known if isinstance(known, bytes) else None

    async def get(self, key: Hashable, make: Callable[[], bytes | Coroutine[Any, Any, bytes]]) -> bytes:
        """The answer under ``key``, made by whoever asks first: at once, or while the others wait."""
        known = self._answers.get(key)
        if known is None:
            self.made += 1
            made = make()
            known = made if isinstance(made, bytes) else self._begin(key, made)
            self._keep(key, known)
        if isinstance(known, bytes):
            return known
        return known.result() if known.done() else await asyncio.shield(known)

    def _keep(self, key: Hashable, answer: bytes | asyncio.Task[bytes]) -> None:
        self._answers[key] = answer
        if len(self._answers) > _SHARED:
            self._answers.popitem(last=False)

    def _begin(self, key: Hashable, making: Coroutine[Any, Any, bytes]) -> asyncio.Task[bytes]:
        task = asyncio.create_task(making)
        task.add_done_callback(lambda done: self._forget_failure(key, done))
        return task

    def _forget_failure(self, key: Hashable, done: asyncio.Task[bytes]) -> None:
        """What failed once is tried again by the next who asks."""
        if done.cancelled() or done.exception() is not None:
            self._answers.pop(key, None)


class Stream:
    """The events of one subscription, and how each becomes an answer."""

    def __init__(
        self,
        executor: Executor[Any],
        source: AsyncIterable[Any],
        context: RequestContext,
        shared: Shared,
        key: Alike,
        end: Callable[[], None],
    ) -> None:
        self._executor = executor
        self._plain = cast(Projector, executor).of_events()
        self._source = source
        self._context = context
        self.shared = shared
        self._key = key
        self._end = weakref.finalize(self, end)  # also for one whose reader left before the first event
        self._end.atexit = False

    async def events(self) -> AsyncGenerator[Any, None]:
        """The source events, unexecuted; closing this closes the subscription."""
        try:
            async with aclosing(cast(Any, self._source)) as source:
                async for event in source:
                    yield event
        finally:
            self._end()

    def hand_to(self, say: Callable[[Any, bytes], bool]) -> None:
        """Have events said at once with their answers, where both can be had without waiting (ADR 80).

        ``say`` gives back whether it did. All other events come by ``events``, in their order.
        """
        if isinstance(self._source, Followed):
            self._source.hand_to(partial(self._take, say))

    def _take(self, say: Callable[[Any, bytes], bool], event: Any) -> bool:
        try:
            answer = self._at_once(event)
            return answer is not None and say(event, answer)
        except Exception:  # whoever takes the event from `events` meets it, and says what is wrong
            return False

    def _at_once(self, event: Any) -> bytes | None:
        share = event.share
        if share is None:
            return self._made_at_once(event)
        return self.shared.at_once((self._key, share), lambda: self._made_at_once(event))

    def _made_at_once(self, event: Any) -> bytes | None:
        if self._plain is None:
            return None
        name, project = self._plain
        try:
            return orjson.dumps({"data": {name: project(event, Info(self._context.again()))}})
        except Waits:
            self._plain = None
        except Exception:  # noqa: S110  the long way says what is wrong
            pass
        return None

    async def answer(self, event: Any) -> bytes:
        """What was asked for, of one event, as JSON. Events that carry ``share`` are answered once for all."""
        share = getattr(event, "share", None)
        if share is not None:
            return await self.shared.get((self._key, share), lambda: self._made(event))
        made = self._made(event)
        return made if isinstance(made, bytes) else await made

    def _made(self, event: Any) -> bytes | Coroutine[Any, Any, bytes]:
        """The answer at once, where all that is asked of the event is plain; else what finds it."""
        made = self._made_at_once(event)
        return made if made is not None else self._executed(event, self._context.again())

    async def _executed(self, event: Any, context: RequestContext) -> bytes:
        executor = self._executor.build_per_event_executor(event)
        executor.context_value = context
        try:
            return orjson.dumps(plain(await _finished(executor.execute_operation(False))))
        finally:
            await context.close()


def _share_key(
    prepared: Prepared, executor: Executor[Any], variables: Mapping[str, Any] | None, context: RequestContext
) -> Hashable:
    """Equal for subscribers who must get the same answers: document, operation, variables, tenant, rights and limits.

    A variable that is only the root field's ``after`` says where to begin, not what to answer.
    """
    principal = context.principal
    asked = dict(variables or {})
    for node in executor.operation.selection_set.selections:
        for argument in getattr(node, "arguments", None) or ():
            if argument.name.value == "after" and isinstance(argument.value, VariableNode):
                name = argument.value.name.value
                if prepared.text.count(f"${name}") == 2:  # its definition and this use
                    asked.pop(name, None)
    operation_name = executor.operation.name.value if executor.operation.name else None
    canonical = orjson.dumps(asked, option=orjson.OPT_SORT_KEYS)
    return prepared.text, operation_name, canonical, principal.tenant_id, principal.scopes, principal.groups


@contextmanager
def _refusing() -> Iterator[None]:
    """What is refused in here was refused before the operation ran."""
    try:
        yield
    except EngineError as error:
        raise Refused(GraphQLError(error.message, original_error=error)) from None


async def _finished(result: Any) -> ExecutionResult:
    return cast(ExecutionResult, await result if isawaitable(result) else result)


def plain(result: ExecutionResult) -> Answer:
    """An execution result as it goes out."""
    answer: Answer = {"data": result.data}
    if result.errors:
        answer["errors"] = [formatted(error) for error in result.errors]
    return answer


def checked_variables(value: object) -> Mapping[str, Any] | None:
    """Variables as a request brings them: an object or nothing; raises BadInput."""
    if value is None or isinstance(value, dict):
        return value
    raise BadInput("`variables` must be an object.")
