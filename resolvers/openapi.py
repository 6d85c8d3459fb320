"""The OpenAPI 3.1 document of the REST mirror, derived from the same routes and types."""

from collections.abc import Mapping
from typing import Any, TypeVar

import orjson
from graphql import (
    GraphQLArgument,
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    Undefined,
    get_named_type,
    get_nullable_type,
    is_leaf_type,
)
from strawberry.types.arguments import StrawberryArgument
from strawberry.types.field import StrawberryField

from resolvers.nested import is_node, needs_of
from resolvers.routes import PREFIX, Parameter, Restful, reference, routes, shown_fields
from schema.directives import Constraint, Example, Method

Json = dict[str, Any]
D = TypeVar("D")

_LEAVES: Mapping[str, Json] = {
    "ID": {"type": "string", "format": "uuid", "pattern": "^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"},
    "String": {"type": "string"},
    "Boolean": {"type": "boolean"},
    "Int": {"type": "integer", "minimum": -2_147_483_648, "maximum": 2_147_483_647},
    "Float": {"type": "number"},
    "DateTime": {"type": "string", "format": "date-time"},
    "JSON": {"type": ["object", "array", "string", "number", "boolean"]},
    "Labels": {
        "type": "object",
        "maxProperties": 20,
        "propertyNames": {"minLength": 1, "maxLength": 40},
        "additionalProperties": {"type": "string", "maxLength": 120},
    },
    "Times": {"type": "array", "items": {"type": "integer"}},
}
_WORDS = {
    200: "Done.",
    201: "Made.",
    304: "Unchanged since the ETag in If-None-Match.",
    400: "The request cannot be read: a parameter or field is unknown, missing, of the wrong type or out of bounds.",
    401: "Not signed in, or the token is no longer valid.",
    403: "The caller lacks the right, or their tenant is suspended.",
    404: "There is no such thing, or none that the caller may see.",
    409: "It is taken, has changed meanwhile, or cannot be done from where it stands.",
    410: "It was valid once and no longer is.",
    412: "It has changed since the version in If-Match.",
    413: "The body is too long.",
    415: "The body is not application/json.",
    422: "Well-formed, and still not acceptable; the problem says why.",
    429: "A quota of the tenant is used up; Retry-After says when there is some again.",
    500: "Something failed on our side; the correlation id in the detail leads to it.",
    503: "A part of the platform is away for the moment.",
}
_PROBLEM: Json = {
    "type": "object",
    "description": "A problem after RFC 9457.",
    "required": ["type", "title", "status", "detail", "code"],
    "properties": {
        "type": {"type": "string", "description": "The problem's kind: /problems/ and its short name."},
        "title": {"type": "string", "description": "The problem's kind in words."},
        "status": {"type": "integer", "description": "The HTTP status."},
        "detail": {"type": "string", "description": "What was wrong this time, in plain English."},
        "code": {"type": "string", "description": "The same code that GraphQL errors carry in extensions.code."},
        "details": {"type": "object", "description": "More about it, by name."},
    },
}


def document(schema: GraphQLSchema) -> Json:
    """The whole document."""
    return _Document(schema).build()


class _Document:
    def __init__(self, schema: GraphQLSchema) -> None:
        self._routes = routes(schema)
        self._schemas: Json = {"Problem": _PROBLEM}

    def build(self) -> Json:
        paths: Json = {}
        for route in self._routes:
            paths.setdefault(PREFIX + route.path, {})[route.method.value.lower()] = self._operation(route)
        return {
            "openapi": "3.1.0",
            "info": {
                "title": "Tidegate",
                "version": "1",
                "description": "The REST mirror of the GraphQL contract, derived from its @rest directives. Problems "
                "are RFC 9457; lists are paged by keyset with Link; changes can be bound to a version by If-Match; "
                "POST may be repeated under an Idempotency-Key; streams are server-sent events resumed by "
                "Last-Event-ID. x-needs names the rights that a route asks for; of a thing that another right "
                "protects its answer shows the id, key and name, and values that another right protects are left out "
                "for whoever lacks it.",
                "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            },
            "servers": [{"url": "/"}],
            "security": [{"bearer": []}],
            "tags": [{"name": name} for name in sorted({_tag(route) for route in self._routes})],
            "paths": paths,
            "components": {
                "securitySchemes": {
                    "bearer": {"type": "http", "scheme": "bearer", "description": "An API token."},
                },
                "schemas": dict(sorted(self._schemas.items())),
            },
        }

    def _operation(self, route: Restful) -> Json:
        operation: Json = {
            "operationId": route.name if not route.is_stream else f"{route.name}Stream",
            "tags": [_tag(route)],
            "description": route.description,
            "parameters": [self._parameter(p) for p in route.parameters if p.place in ("path", "query")],
            "responses": self._responses(route),
        }
        operation["parameters"] += _header_parameters(route)
        if route.takes_body:
            operation["requestBody"] = self._body(route)
        if route.scopes:
            operation["x-needs"] = list(route.scopes)
        if links := self._links(route):
            operation["responses"][str(route.status)]["links"] = links
        return operation

    def _links(self, route: Restful) -> Json:
        """What the answer's id leads to: lets a reader, or a tester, walk from a made thing to its other operations."""
        if route.type is None or not (route.status == 201 or route.is_page):
            return {}
        links: Json = {}
        made = [("", route.type)] + [(f"/{n}", get_named_type(f.type)) for n, f in route.type.fields.items()]
        if route.is_page:
            made = [("/items/0", get_named_type(route.type.fields["items"].type))]
        for pointer, type_ in made:
            if not is_node(type_):
                continue
            for other in self._routes:
                ids = [p.name for p in other.parameters if p.place == "path"]
                is_theirs = other.type is type_ or (type_.name == "Device" and other.path.startswith("/devices/{"))
                if len(ids) == 1 and is_theirs:
                    links[other.name] = {
                        "operationId": other.name,
                        "parameters": {ids[0]: f"$response.body#{pointer}/id"},
                    }
        return links

    def _parameter(self, parameter: Parameter) -> Json:
        schema = self._input(parameter.argument, parameter.argument.type, _constraint(parameter.argument))
        # A query string has no null: what may be left out is left out.
        schema = _without_null(schema)
        shown: Json = {
            "name": parameter.name,
            "in": parameter.place,
            "required": parameter.place == "path" or parameter.is_required,
            "description": parameter.argument.description or "",
            "schema": schema,
        }
        if isinstance(get_nullable_type(parameter.argument.type), GraphQLList):
            shown |= {"style": "form", "explode": True}
        return shown

    def _body(self, route: Restful) -> Json:
        if route.body is not None:
            schema = self._reference(get_named_type(route.body.argument.type))
        else:
            fields = [p for p in route.parameters if p.place == "body"]
            schema = {
                "type": "object",
                "additionalProperties": False,
                "properties": {
                    p.name: {
                        **self._input(p.argument, p.argument.type, _constraint(p.argument)),
                        "description": p.argument.description or "",
                    }
                    for p in fields
                },
            }
            if required := [p.name for p in fields if p.is_required]:
                schema["required"] = required
        return {"required": route.needs_body, "content": {"application/json": {"schema": schema}}}

    def _responses(self, route: Restful) -> Json:
        responses: Json = {str(route.status): self._success(route)}
        statuses = {400, 401, 403, 429, 500, 503} | {problem.status for problem in route.problems}
        if route.takes_body:
            statuses |= {413, 415}
        if route.takes_if_match:
            statuses.add(412)
        if route.is_tagged and route.method is Method.GET:
            responses["304"] = {"description": _WORDS[304]}
        if route.kind == "mutation" and route.method is Method.POST:
            statuses |= {409, 422}
        for status in sorted(statuses):
            slugs = sorted({problem.slug for problem in route.problems if problem.status == status})
            named = f" Problems: {', '.join(slugs)}." if slugs else ""
            responses[str(status)] = {
                "description": _WORDS[status] + named,
                "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
            }
        return responses

    def _success(self, route: Restful) -> Json:
        schema = self._output(route.result, is_below_node=False)
        if route.is_stream:
            said = "Server-sent events; the data of each is one JSON object of this form (OpenAPI 3.1 cannot say so)."
            return {
                "description": said,
                "content": {"text/event-stream": {"schema": {"type": "string"}, "x-event-schema": schema}},
            }
        success: Json = {"description": _WORDS[route.status], "content": {"application/json": {"schema": schema}}}
        headers: Json = {}
        if route.has_version:
            headers["ETag"] = _header("The version and a fingerprint; for If-Match and If-None-Match.")
        elif route.is_tagged:
            headers["ETag"] = _header("A fingerprint; for If-None-Match.")
        if route.is_page:
            headers["Link"] = _header('The next page, as rel="next"; absent on the last.')
        if headers:
            success["headers"] = headers
        return success

    def _output(self, type_: Any, *, is_below_node: bool) -> Json:
        if not isinstance(type_, GraphQLNonNull):
            return _nullable(self._output(GraphQLNonNull(type_), is_below_node=is_below_node))
        type_ = type_.of_type
        if isinstance(type_, GraphQLList):
            return {"type": "array", "items": self._output(type_.of_type, is_below_node=is_below_node)}
        if isinstance(type_, GraphQLObjectType):
            return self._object(type_, is_below_node=is_below_node)
        return self._leaf(type_)

    def _object(self, type_: GraphQLObjectType, *, is_below_node: bool) -> Json:
        if is_node(type_) and is_below_node:
            return self._referred(type_, ["id"])
        # A value object without things in it looks the same everywhere; others depend on where they stand.
        name = type_.name if is_below_node is False or not _holds_nodes(type_) else f"{type_.name}Below"
        if name not in self._schemas:
            self._schemas[name] = {}  # a type may hold itself
            below = is_below_node or is_node(type_)
            fields = dict(shown_fields(type_))
            self._schemas[name] = {
                "type": "object",
                "description": type_.description or "",
                "required": [key for key, field in fields.items() if not _is_withheld(field)],
                "properties": {key: self._field(field, below) for key, field in fields.items()},
            }
        return {"$ref": f"#/components/schemas/{name}"}

    def _referred(self, type_: GraphQLObjectType, names: list[str]) -> Json:
        return {
            "type": "object",
            "description": f"A {type_.name}, by its {' and '.join(names)}.",
            "required": names,
            "properties": {name: self._leaf(get_named_type(type_.fields[name].type)) for name in names},
        }

    def _field(self, field: GraphQLField, is_below_node: bool) -> Json:
        named, rights = get_named_type(field.type), " and ".join(needs.scope for needs in needs_of(field))
        if rights and is_node(named):
            assert isinstance(named, GraphQLObjectType)
            refers = self._referred(named, reference(named))
            is_list = isinstance(get_nullable_type(field.type), GraphQLList)
            shown = {"type": "array", "items": refers} if is_list else refers
            return {**shown, "description": f"{field.description} Its own route shows more, by the right {rights}."}
        shown = self._output(field.type, is_below_node=is_below_node)
        said = f" Left out where the caller lacks the right {rights}." if rights else ""
        return {**shown, "description": f"{field.description or ''}{said}"}

    def _reference(self, type_: Any) -> Json:
        if isinstance(type_, GraphQLInputObjectType):
            if type_.name not in self._schemas:
                self._schemas[type_.name] = {}
                self._schemas[type_.name] = self._input_object(type_)
            return {"$ref": f"#/components/schemas/{type_.name}"}
        return self._leaf(type_)

    def _input_object(self, type_: GraphQLInputObjectType) -> Json:
        schema: Json = {
            "type": "object",
            "description": type_.description or "",
            "additionalProperties": False,
            "properties": {
                name: {**self._input(field, field.type, _constraint(field)), "description": field.description or ""}
                for name, field in type_.fields.items()
            },
        }
        required = [
            name
            for name, field in type_.fields.items()
            if isinstance(field.type, GraphQLNonNull) and field.default_value is Undefined
        ]
        return {**schema, "required": required} if required else schema

    def _input(self, holder: Any, type_: Any, constraint: Constraint | None) -> Json:
        if not isinstance(type_, GraphQLNonNull):
            return _nullable(self._input(holder, GraphQLNonNull(type_), constraint))
        inner = type_.of_type
        if isinstance(inner, GraphQLList):
            schema: Json = {"type": "array", "items": self._input(holder, inner.of_type, None)}
            _bound(schema, constraint, "minItems", "maxItems")
        else:
            schema = dict(self._reference(inner))
            _bound(schema, constraint, "minLength", "maxLength")
        default = getattr(holder, "default_value", Undefined)
        if (example := _said(holder, Example)) is not None:
            schema["examples"] = [orjson.loads(example.json)]
        if default is not Undefined and default is not None and not isinstance(default, list):
            schema["default"] = default
        return schema

    def _leaf(self, type_: Any) -> Json:
        assert is_leaf_type(type_)
        if isinstance(type_, GraphQLEnumType):
            values = "".join(f"\n- {name}: {value.description}" for name, value in type_.values.items())
            said = {"description": f"{type_.description}\n{values}", "enum": list(type_.values)}
            self._schemas.setdefault(type_.name, {"type": "string", **said})
            return {"$ref": f"#/components/schemas/{type_.name}"}
        return dict(_LEAVES[type_.name])


def _is_withheld(field: GraphQLField) -> bool:
    """Whether only some callers are shown it."""
    return bool(needs_of(field)) and not is_node(get_named_type(field.type))


def _tag(route: Restful) -> str:
    return route.path.split("/")[1]


def _holds_nodes(type_: GraphQLObjectType) -> bool:
    return any(is_node(get_named_type(field.type)) for field in type_.fields.values())


def _header(description: str) -> Json:
    return {"description": description, "schema": {"type": "string"}}


def _header_parameters(route: Restful) -> list[Json]:
    found: list[tuple[str, str, Json]] = []
    if route.takes_if_match:
        said = 'The ETag of the version that the change is meant for, as `"v7"` or as it was given.'
        found.append(("If-Match", said, {"type": "string"}))
    if route.is_tagged and route.method is Method.GET:
        found.append(("If-None-Match", "An ETag seen before: answered 304 where nothing changed.", {"type": "string"}))
    if route.kind == "mutation" and route.method is Method.POST:
        said = "Makes the request safe to repeat for a day: it is carried out once."
        schema = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"}
        found.append(("Idempotency-Key", said, schema))
    if route.is_stream:
        said = "The id of the last event seen; like the parameter `after`."
        found.append(("Last-Event-ID", said, {"type": "string"}))
    return [
        {"name": name, "in": "header", "required": False, "description": said, "schema": schema}
        for name, said, schema in found
    ]


def _constraint(holder: GraphQLArgument | GraphQLInputField) -> Constraint | None:
    return _said(holder, Constraint)


def _said(holder: GraphQLArgument | GraphQLInputField, kind: type[D]) -> D | None:
    """The directive of one kind on an argument or input field."""
    definition = holder.extensions.get("strawberry-definition")
    directives = definition.directives if isinstance(definition, StrawberryArgument | StrawberryField) else ()
    return next((directive for directive in directives if isinstance(directive, kind)), None)


def _bound(schema: Json, constraint: Constraint | None, shortest: str, longest: str) -> None:
    if constraint is None:
        return
    bounds = {
        "minimum": constraint.min,
        "maximum": constraint.max,
        shortest: constraint.min_length,
        longest: constraint.max_length,
        "pattern": constraint.pattern,
    }
    schema.update({key: value for key, value in bounds.items() if isinstance(value, int | str)})


def _nullable(schema: Json) -> Json:
    if "$ref" in schema:
        return {"anyOf": [schema, {"type": "null"}]}
    types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    return {**schema, "type": [*types, "null"]}


def _without_null(schema: Json) -> Json:
    if "anyOf" in schema:
        return {**schema["anyOf"][0], **{key: value for key, value in schema.items() if key != "anyOf"}}
    types = [name for name in schema.get("type", ()) if name != "null"] if isinstance(schema.get("type"), list) else []
    return {**schema, "type": types[0] if len(types) == 1 else types} if types else schema
