"""OpenAPI over HTTP: v3 as an index and one document per group and version, v2 as one document for all kinds.

kubectl uses them for explain, validation and patches. A document is built at its first request, and again when a kind
of its group and version has changed; the index has its hash, so that clients can cache it without a limit. Servers of
one process share documents of the same content.
Source: kube-openapi pkg/handler and pkg/handler3.
Not implemented: v3 in protobuf, and documents of discovery itself (api, apis, version).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final

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
    "application/com.github.proto-openapi.spec.v2@v1.0+protobuf": _PROTOBUF,  # older clients
}
_MAX_AGE: Final = timedelta(days=365)
# DPF's kinds have 5 group versions, and the core kinds 4; chosen so that some sets of kinds fit.
_CACHED_DOCUMENTS: Final = 64
_CACHED_V2: Final = 4


def is_published(path: str) -> bool:
    """Whether a path is served by OpenAPI."""
    return path in (_V2, _V3) or path.startswith(f"{_V3}/")


@dataclass(frozen=True, slots=True)
class _Subject:
    """A kind, compared by everything that its documents depend on."""

    content: tuple[Any, ...]
    kind: Kind = field(compare=False)

    @classmethod
    def of(cls, kind: Kind, version: str) -> _Subject:
        served = kind.versions[version]
        names = (kind.group, kind.plural, kind.kind, kind.list_name())
        how = (kind.namespaced, kind.custom, kind.verbs, served.has_status, served.selectable)
        return cls((*names, *how, served.content), kind)


@dataclass(frozen=True, slots=True, eq=False)
class _Document:
    value: Obj
    content: bytes
    hash: str


@dataclass(frozen=True, slots=True, eq=False)
class _DocumentV2:
    forms: dict[str, bytes]
    hash: str


class OpenAPI:
    """The documents of the kinds that a registry serves."""

    def __init__(self, registry: Registry, *, minor: int) -> None:
        self._registry = registry
        self._minor = minor

    def respond(self, request: web.BaseRequest) -> web.Response:
        """Answer a request for the index or a document, with any method, as Kubernetes does."""
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
            expires = (datetime.now(UTC) + _MAX_AGE).strftime("%a, %d %b %Y %H:%M:%S UTC")
            headers |= {"Cache-Control": "public, immutable", "Expires": expires}
        return _unless_known(request, document.content, headers)

    def _answer_v2(self, request: web.BaseRequest) -> web.Response:
        chosen = _chosen(request)
        if not chosen:
            return web.Response(status=406, headers=headers_with({"Vary": "Accept"}))
        document = _build_v2(tuple(document for _, document in self._named()), self._minor)
        headers = {"Content-Type": chosen, "Etag": f'"{document.hash}"', "Vary": "Accept"}
        return _unless_known(request, document.forms[chosen], headers)

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
        subjects = tuple(_Subject.of(kind, version) for kind in self._registry.of(group, version))
        return _build(subjects, version, self._minor) if subjects else None


@lru_cache(maxsize=_CACHED_DOCUMENTS)
def _build(subjects: tuple[_Subject, ...], version: str, minor: int) -> _Document:
    info = {"title": "Kubernetes CRD Swagger", "version": "v0.1.0"}
    if not subjects[0].kind.custom:
        info = {"title": "Kubernetes", "version": f"1.{minor}"}
    paths: Obj = {}
    schemas: Obj = {}
    for subject in subjects:
        paths |= paths_of(subject.kind, version)
        schemas |= schemas_of(subject.kind, version)
    document = {
        "openapi": "3.0.0",
        "info": info,
        "paths": dict(sorted(paths.items())),
        "components": {"schemas": with_references(schemas)},
    }
    content = encode_in_order(document).rstrip()
    return _Document(document, content, _hash(content))


@lru_cache(maxsize=_CACHED_V2)
def _build_v2(documents: tuple[_Document, ...], minor: int) -> _DocumentV2:
    document = document_v2((each.value for each in documents), minor=minor)
    content = encode_in_order(document).rstrip()
    return _DocumentV2({_JSON: content, _PROTOBUF: encode_document(document)}, _hash(content))


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
    """The first media type of the Accept header that is served; empty if none is."""
    accept = request.headers.get("Accept") or "*/*"
    types = (part.split(";")[0].strip() for part in accept.split(","))
    return next((_ACCEPTED[each] for each in types if each in _ACCEPTED), "")
