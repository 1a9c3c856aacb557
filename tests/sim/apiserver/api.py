"""An HTTP client for the embedded server, and the custom resource of its tests."""

from __future__ import annotations

import copy
import io
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import anyio

from dpf_async.sim.apiserver import EmbeddedServer

GROUP = "example.com"
NAMESPACE = "default"
WIDGETS = f"/apis/{GROUP}/v1/namespaces/{NAMESPACE}/widgets"
ALL_WIDGETS = f"/apis/{GROUP}/v1/widgets"
GADGETS = f"/apis/{GROUP}/v1/gadgets"
CONFIG_MAPS = f"/api/v1/namespaces/{NAMESPACE}/configmaps"
SECRETS = f"/api/v1/namespaces/{NAMESPACE}/secrets"
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
MERGE = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
APPLY = "application/apply-patch+yaml"

STRING: dict[str, Any] = {"type": "string"}
INTEGER: dict[str, Any] = {"type": "integer"}

WIDGET_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "spec": {
            "type": "object",
            "properties": {
                "size": {**INTEGER, "minimum": 1, "maximum": 100},
                "colour": {**STRING, "enum": ["red", "green"], "default": "red"},
                "url": {**STRING, "pattern": "^https?://.+$"},
                "parts": {
                    "type": "array",
                    "x-kubernetes-list-type": "map",
                    "x-kubernetes-list-map-keys": ["name"],
                    "items": {
                        "type": "object",
                        "required": ["name"],
                        "properties": {"name": STRING, "count": INTEGER, "note": STRING},
                    },
                },
                "tags": {"type": "array", "x-kubernetes-list-type": "set", "items": STRING},
                "order": {"type": "array", "items": STRING},
                "options": {"type": "object", "additionalProperties": STRING},
                "frozen": {
                    "type": "object",
                    "x-kubernetes-map-type": "atomic",
                    "properties": {"a": STRING, "b": STRING},
                },
                "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
            },
        },
        "status": {
            "type": "object",
            "default": {"phase": "New"},
            "properties": {"phase": STRING, "count": INTEGER},
        },
    },
}


def definition(
    kind: str = "Widget",
    *,
    schema: Mapping[str, Any] = WIDGET_SCHEMA,
    scope: str = "Namespaced",
    status: bool = True,
    **version: Any,
) -> dict[str, Any]:
    plural = kind.lower() + "s"
    served: dict[str, Any] = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": copy.deepcopy(dict(schema))},
        **version,
    }
    if status:
        served["subresources"] = {"status": {}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": scope,
            "names": {"kind": kind, "plural": plural, "shortNames": [kind[:2].lower()]},
            "versions": [served],
        },
    }


def widget(name: str = "a", spec: Mapping[str, Any] | None = None, **metadata: Any) -> dict[str, Any]:
    return {
        "apiVersion": f"{GROUP}/v1",
        "kind": "Widget",
        "metadata": {"name": name, **metadata},
        "spec": {"size": 1} if spec is None else dict(spec),
    }


@dataclass
class Reply:
    code: int
    body: Any
    headers: Mapping[str, str]
    warnings: list[str]

    @property
    def message(self) -> str:
        return str(self.body["message"])

    @property
    def causes(self) -> list[tuple[str, str, str]]:
        return [
            (cause["reason"], cause["field"], cause["message"]) for cause in self.body["details"]["causes"]
        ]

    @property
    def version(self) -> str:
        return str(self.body["metadata"]["resourceVersion"])


class Stream:
    """A watch, read chunk by chunk."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response

    async def next(self) -> tuple[str, dict[str, Any]]:
        with anyio.fail_after(60):
            line = await self.response.content.readline()
        if not line:
            raise EOFError
        event = json.loads(line)
        return event["type"], event["object"]

    async def rest(self) -> list[tuple[str, dict[str, Any]]]:
        events = []
        try:
            while True:
                events.append(await self.next())
        except EOFError:
            return events

    async def names(self, count: int) -> list[tuple[str, str]]:
        events = [await self.next() for _ in range(count)]
        return [(kind, obj["metadata"].get("name", "")) for kind, obj in events]


class API:
    def __init__(self, server: EmbeddedServer, session: aiohttp.ClientSession) -> None:
        self.server = server
        self.session = session

    async def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        headers: Mapping[str, str] | None = None,
        **query: Any,
    ) -> Reply:
        text = body if isinstance(body, str | None) else json.dumps(body)
        data = None if text is None else io.BytesIO(text.encode())
        sent = {"User-Agent": "tester/1.0", **(headers or {})}
        if data is not None:
            sent.setdefault("Content-Type", "application/json")
        with anyio.fail_after(60):
            async with self.session.request(
                method,
                path,
                data=data,
                headers=sent,
                params={key: str(value) for key, value in query.items()},
            ) as response:
                content = await response.read()
        is_json = response.content_type == "application/json"
        return Reply(
            response.status,
            json.loads(content) if is_json else content.decode(),
            response.headers,
            response.headers.getall("Warning", []),
        )

    async def get(self, path: str, **query: Any) -> Reply:
        return await self.call("GET", path, **query)

    async def create(self, path: str, body: Any, **query: Any) -> Reply:
        return await self.call("POST", path, body, **query)

    async def put(self, path: str, body: Any, **query: Any) -> Reply:
        return await self.call("PUT", path, body, **query)

    async def delete(self, path: str, body: Any = None, **query: Any) -> Reply:
        return await self.call("DELETE", path, body, **query)

    async def merge(self, path: str, body: Any, **query: Any) -> Reply:
        return await self.call("PATCH", path, body, headers={"Content-Type": MERGE}, **query)

    async def patch(self, path: str, body: Any, **query: Any) -> Reply:
        return await self.call("PATCH", path, body, headers={"Content-Type": JSON_PATCH}, **query)

    async def apply(self, path: str, body: Any, manager: str = "applier", **query: Any) -> Reply:
        headers = {"Content-Type": APPLY}
        return await self.call("PATCH", path, body, headers=headers, fieldManager=manager, **query)

    @asynccontextmanager
    async def watch(self, path: str, **query: Any) -> AsyncIterator[Stream]:
        params = {"watch": "true", **{key: str(value) for key, value in query.items()}}
        async with self.session.get(path, params=params) as response:
            assert response.status == 200, await response.text()
            yield Stream(response)


@asynccontextmanager
async def serving(*crds: Mapping[str, Any], **settings: Any) -> AsyncIterator[API]:
    headers = settings.pop("headers", None)
    async with (
        EmbeddedServer(crds=crds or (definition(),), **settings) as server,
        aiohttp.ClientSession(server.url, headers=headers) as session,
    ):
        yield API(server, session)
