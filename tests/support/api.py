"""Speaks to the gateway as a tenant would."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx


@dataclass
class Api:
    """GraphQL and REST with a bearer token."""

    client: httpx.AsyncClient

    async def graphql(self, secret: str, query: str, **variables: Any) -> dict[str, Any]:
        """The whole answer of one operation."""
        response = await self.client.post(
            "/graphql", json={"query": query, "variables": variables}, headers={"Authorization": f"Bearer {secret}"}
        )
        answer: dict[str, Any] = response.json()
        return answer

    async def data(self, secret: str, query: str, **variables: Any) -> dict[str, Any]:
        """The data of one operation that must succeed."""
        answer = await self.graphql(secret, query, **variables)
        assert "errors" not in answer, answer["errors"]
        data: dict[str, Any] = answer["data"]
        return data

    async def code(self, secret: str, query: str, **variables: Any) -> str:
        """The code with which an operation is refused."""
        answer = await self.graphql(secret, query, **variables)
        assert "errors" in answer, f"not refused: {answer}"
        return str(answer["errors"][0]["extensions"]["code"])

    async def rest(
        self,
        secret: str | None,
        method: str,
        path: str,
        *,
        json: Any = None,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, Any] | None = None,
    ) -> httpx.Response:
        """One request to the mirror, the path below /api/v1."""
        given = {**({"Authorization": f"Bearer {secret}"} if secret else {}), **(headers or {})}
        return await self.client.request(method, f"/api/v1{path}", json=json, headers=given, params=params)
