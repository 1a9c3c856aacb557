"""OpenAPI over HTTP: v3 as an index and one document per group version, and v2 as one document of everything.

kubectl explains, validates and patches by them. A document is made when it is first asked for, and made anew when a
kind of its group version has changed. Its hash is in the index, so that clients may keep it for as long as they like.
Source: kube-openapi pkg/handler and pkg/handler3.
Not done: the protobuf form of v3, and the documents of discovery itself (api, apis, version).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from aiohttp import web

from dpf_async.sim.apiserver.http.responses import headers_with
from dpf_async.sim.apiserver.openapi.paths import paths_of
from dpf_async.sim.apiserver.openapi.schemas import schemas_of, with_references
from dpf_async.sim.apiserver.openapi.v2 import document_v2
from dpf_async.sim.apiserver.openapi.v2_protobuf import encode_document
from dpf_async.sim.apiserver.storage.kinds import Kind, Registry
from dpf_async.sim.apiserver.wire.codec import Obj, encode_in_order

_V2, _V3 = "/openapi/v2", "/openapi/v3"
_JSON: Final = "application/json"
_PROTOBUF: Final = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
_ACCEPTED: Final = {
    _JSON: _JSON,
    "application/*": _JSON,
    "*/*": _JSON,
    _PROTOBUF: _PROTOBUF,
    "application/com.github.proto-openapi.spec.v2@v1.0+protobuf": _PROTOBUF,  # as old clients say it
}
_CACHED: Final = timedelta(days=365)


def is_published(path: str) -> bool:
    """Whether a path is one of OpenAPI's."""
    return path in (_V2, _V3) or path.startswith(f"{_V3}/")


@dataclass(frozen=True, slots=True)
class _Document:
    kinds: tuple[Kind, ...]
    value: Obj
    content: bytes
    hash: str


@dataclass(frozen=True, slots=True)
class _Swagger:
    of: tuple[_Document, ...]
    content: dict[str, bytes]
    hash: str


class OpenAPI:
    """The documents of the kinds that a registry serves."""

    def __init__(self, registry: Registry, *, minor: int) -> None:
        self._registry = registry
        self._minor = minor
        self._documents: dict[str, _Document] = {}
        self._swagger = _Swagger((), {}, "")

    def respond(self, request: web.BaseRequest) -> web.Response:
        """Answer a request for the index or a document; of any method, as Kubernetes does."""
        if request.path == _V3:
            content = encode_in_order({"paths": self._index()}).rstrip()
            return _response(content, {"Content-Type": "text/plain; charset=utf-8"})
        if request.path == _V2:
            return self._answer_v2(request)
        document = self._document(request.path.removeprefix(f"{_V3}/"))
        if document is None:
            return web.Response(status=404, headers=headers_with({}))
        if _chosen(request) != _JSON:
            return web.Response(status=406, headers=headers_with({"Vary": "Accept"}))
        return self._answer(request, document)

    def _answer(self, request: web.BaseRequest, document: _Document) -> web.Response:
        headers = {"Content-Type": _JSON, "Etag": f'"{document.hash}"', "Vary": "Accept"}
        if wanted := request.query.get("hash"):
            if wanted != document.hash:
                location = f"{request.path}?hash={document.hash}"
                return web.Response(status=301, headers=headers_with({**headers, "Location": location}))
            expires = (datetime.now(UTC) + _CACHED).strftime("%a, %d %b %Y %H:%M:%S UTC")
            headers |= {"Cache-Control": "public, immutable", "Expires": expires}
        return _unless_known(request, document.content, headers)

    def _answer_v2(self, request: web.BaseRequest) -> web.Response:
        chosen = _chosen(request)
        if not chosen:
            return web.Response(status=406, headers=headers_with({"Vary": "Accept"}))
        documents = tuple(document for _, document in self._named())
        if self._swagger.of != documents:
            swagger = document_v2((document.value for document in documents), minor=self._minor)
            content = encode_in_order(swagger).rstrip()
            forms = {_JSON: content, _PROTOBUF: encode_document(swagger)}
            self._swagger = _Swagger(documents, forms, _hash(content))
        headers = {"Content-Type": chosen, "Etag": f'"{self._swagger.hash}"', "Vary": "Accept"}
        return _unless_known(request, self._swagger.content[chosen], headers)

    def _index(self) -> Obj:
        return {
            name: {"serverRelativeURL": f"{_V3}/{name}?hash={document.hash}"}
            for name, document in sorted(self._named())
        }

    def _named(self) -> Iterator[tuple[str, _Document]]:
        for group, versions in self._registry.groups().items():
            for version in versions:
                name = f"apis/{group}/{version}" if group else f"api/{version}"
                if (document := self._document(name)) is not None:
                    yield name, document

    def _document(self, name: str) -> _Document | None:
        match name.split("/"):
            case ["api", version]:
                group = ""
            case ["apis", group, version] if group:
                pass
            case _:
                return None
        kinds = tuple(self._registry.of(group, version))
        if not kinds:
            return None
        known = self._documents.get(name)
        # A kind that changes is replaced by another one.
        if known is None or known.kinds != kinds:
            made = self._made(kinds, version)
            content = encode_in_order(made).rstrip()
            known = self._documents[name] = _Document(kinds, made, content, _hash(content))
        return known

    def _made(self, kinds: tuple[Kind, ...], version: str) -> Obj:
        info = {"title": "Kubernetes CRD Swagger", "version": "v0.1.0"}
        if not kinds[0].custom:
            info = {"title": "Kubernetes", "version": f"1.{self._minor}"}
        paths: Obj = {}
        schemas: Obj = {}
        for kind in kinds:
            paths |= paths_of(kind, version)
            schemas |= schemas_of(kind, version)
        return {
            "openapi": "3.0.0",
            "info": info,
            "paths": dict(sorted(paths.items())),
            "components": {"schemas": with_references(schemas)},
        }


def _hash(content: bytes) -> str:
    return hashlib.sha512(content).hexdigest().upper()


def _unless_known(request: web.BaseRequest, content: bytes, headers: dict[str, str]) -> web.Response:
    if request.headers.get("If-None-Match") == headers["Etag"]:
        del headers["Content-Type"]
        return web.Response(status=304, headers=headers_with(headers))
    return _response(content, headers)


def _response(content: bytes, headers: dict[str, str]) -> web.Response:
    return web.Response(body=content, headers=headers_with(headers))


def _chosen(request: web.BaseRequest) -> str:
    """The first type that the client takes and that there is; empty if there is none."""
    accept = request.headers.get("Accept") or "*/*"
    types = (part.split(";")[0].strip() for part in accept.split(","))
    return next((_ACCEPTED[each] for each in types if each in _ACCEPTED), "")
