"""Methods of an OPC-UA server: which arguments they take, and what they answer."""

from collections.abc import Mapping, Sequence
from typing import Any

from asyncua import Node, ua
from asyncua.common.ua_utils import data_type_to_variant_type

from ingest.edge.opcua.errors import Refused, status_words
from ingest.edge.opcua.session import Session
from ingest.edge.opcua.values import raw_of, variant_of
from ingest.edge.usable import Unusable


async def call(session: Session, method: ua.NodeId, owner: ua.NodeId | None, arguments: Mapping[str, Any]) -> Any:
    """Call a method with arguments by name; its results by name, None without any.

    Raises Refused or Unreachable. Without an `owner` the object is asked for of which the method is a component.
    """
    taken, given = await _arguments(session, method, "InputArguments"), dict(arguments)
    variants = []
    for argument in taken:
        if argument.Name not in given:
            raise Refused(f"The argument {argument.Name!r} is missing; it takes {_names(taken)}.")
        variants.append(await _variant(session, argument, given.pop(argument.Name)))
    if given:
        raise Refused(f"The method takes no argument {sorted(given)[0]!r}; it takes {_names(taken)}.")
    request = ua.CallMethodRequest()
    request.ObjectId = owner if owner is not None else await _owner(session, method)
    request.MethodId = method
    request.InputArguments = variants
    (result,) = await session.ask(session.services.call([request]))
    if not result.StatusCode.is_good():
        raise Refused(_why(result, taken))
    outputs = result.OutputArguments or []
    if not outputs:
        return None
    names = [argument.Name for argument in await _arguments(session, method, "OutputArguments")]
    return {
        (names[n] if n < len(names) and names[n] else f"result{n + 1}"): _shown(output)
        for n, output in enumerate(outputs)
    }


async def _arguments(session: Session, method: ua.NodeId, which: str) -> Sequence[ua.Argument]:
    for reference in await _references(session, method, ua.ObjectIds.HasProperty, ua.BrowseDirection.Forward):
        if reference.BrowseName.Name != which:
            continue
        (said,) = await session.ask(session.services.read_attributes([_node(reference)], ua.AttributeIds.Value))
        value = said.Value.Value if said.Value is not None else None
        # the library has two classes of this name
        return [argument for argument in value if hasattr(argument, "DataType")] if isinstance(value, list) else []
    return []


async def _variant(session: Session, argument: ua.Argument, value: object) -> ua.Variant:
    node = Node(session.services, argument.DataType)
    variant_type = await session.ask(data_type_to_variant_type(node))
    try:
        if argument.ValueRank < 0:
            return variant_of(value, variant_type)
        if not isinstance(value, list):
            raise Refused(f"a list is taken, not {value!r}.")
        return ua.Variant([variant_of(item, variant_type).Value for item in value], variant_type, is_array=True)
    except Refused as error:
        raise Refused(f"Argument {argument.Name!r}: {error}") from error


async def _owner(session: Session, method: ua.NodeId) -> ua.NodeId:
    for reference in await _references(session, method, ua.ObjectIds.HasComponent, ua.BrowseDirection.Inverse):
        return _node(reference)
    raise Refused("No object has this method: browse the server, name the `object` in the point's address.")


async def _references(
    session: Session, node: ua.NodeId, kind: int, direction: ua.BrowseDirection
) -> Sequence[ua.ReferenceDescription]:
    description = ua.BrowseDescription(
        NodeId=node,
        BrowseDirection=direction,
        ReferenceTypeId=ua.NodeId(kind),
        IncludeSubtypes=True,
        NodeClassMask=0,
        ResultMask=ua.BrowseResultMask.All,
    )
    parameters = ua.BrowseParameters()
    parameters.NodesToBrowse = [description]
    (result,) = await session.ask(session.services.browse(parameters))
    if not result.StatusCode.is_good():
        raise Refused(status_words(result.StatusCode.value))
    return list(result.References or ())


def _node(reference: ua.ReferenceDescription) -> ua.NodeId:
    target = reference.NodeId
    return ua.NodeId(target.Identifier, target.NamespaceIndex, target.NodeIdType)


def _why(result: ua.CallMethodResult, taken: Sequence[ua.Argument]) -> str:
    for argument, status in zip(taken, result.InputArgumentResults or (), strict=False):
        if not status.is_good():
            return f"Argument {argument.Name!r}: {status_words(status.value)}"
    return status_words(result.StatusCode.value)


def _shown(output: ua.Variant) -> Any:
    if output.is_array and isinstance(output.Value, list):
        return [_shown(ua.Variant(item, output.VariantType)) for item in output.Value[:1_000]]
    try:
        return raw_of(output)
    except Unusable:
        return None if output.Value is None else str(output.Value)[:200]


def _names(arguments: Sequence[ua.Argument]) -> str:
    return ", ".join(f"`{argument.Name}`" for argument in arguments) or "none"
