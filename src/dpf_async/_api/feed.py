"""The requests of a list and of a watch: pages, and the stream of lines, of the selected objects of one kind.

Each call is one request without a retry. The caller decides how to handle a failure.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from dpf_async._api import paths
from dpf_async._api.codec import Codec, Page
from dpf_async._api.text import printable
from dpf_async._api.transport import Stream, encoding, is_json
from dpf_async.errors import ConnectionFailed, DecodeError
from dpf_async.models import Resource

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from dpf_async._api.transport import Transport

T = TypeVar("T", bound=Resource)

PAGE_SIZE: Final = 500
"""Objects per page: decoding them takes 9 ms, the longest time for which the event loop is blocked.

Source: docs/watching.md#page-size.
"""


class Feed(Generic[T]):
    """The objects of one kind in one namespace that match both selectors."""

    def __init__(
        self,
        transport: Transport,
        kind: type[T],
        namespace: str,
        *,
        label_selector: str = "",
        field_selector: str = "",
    ) -> None:
        self.kind = kind
        self.codec: Codec[T] = Codec(kind)
        self._transport = transport
        self._path = paths.collection(kind, namespace)
        self._selectors = paths.selectors(label_selector, field_selector)
        self.description: str = paths.describe(kind, namespace)
        """The selected objects, for messages and logs: "dpus in namespace dpf-operator-system"."""
        if self._selectors:
            self.description += f" with {' and '.join(f'{name} {value}' for name, value in self._selectors)}"

    async def page(self, *, limit: int = PAGE_SIZE, continue_: str = "") -> Page[T]:
        """Read one page of the list, from the most recent state; pass the token of a page to read the next one.

        resourceVersion is never sent: "0" may return an older state than an earlier list, and later pages must not
        have one (docs/watching.md#versions). limit=0 requests all objects in one page.

        Raises:
            APIError: the server rejected the request; Gone if the token expired.
            ConnectionFailed: no answer, or an answer of a proxy.
            DecodeError: the answer is not a list, or its continue token is the one that was sent.
        """
        query = list(self._selectors)
        if limit:
            query.append(("limit", str(limit)))
        if continue_:
            query.append(("continue", continue_))
        answer = await self._transport.request("GET", self._path, query=query)
        if answer.status >= 300:
            raise self._transport.refusal(
                answer.status,
                answer.headers,
                answer.body,
                method="GET",
                path=self._path,
                target=self.description,
            )
        if not is_json(answer.headers):
            raise _not_from_server(answer.headers, self.description)
        page = self.codec.read_page(answer.body)
        if continue_ and page.continue_ == continue_:
            raise DecodeError(
                f"{self.description}: the list does not end: the server returned the continue token of this page"
                " as that of the next",
                kind=self.kind.KIND,
            )
        return page

    @asynccontextmanager
    async def watch(self, resource_version: str, *, timeout_seconds: int) -> AsyncIterator[Stream]:
        """Open a watch from resource_version; the server ends it after timeout_seconds.

        Raises:
            APIError: the server rejected the request before the first event.
            ConnectionFailed: no answer, or an answer of a proxy.
        """
        query = [
            *self._selectors,
            ("watch", "true"),
            ("resourceVersion", resource_version),
            ("allowWatchBookmarks", "true"),
            ("timeoutSeconds", str(timeout_seconds)),
        ]
        async with self._transport.stream(self._path, query=query) as stream:
            if stream.status >= 300:
                body = await stream.read_rest()
                raise self._transport.refusal(
                    stream.status,
                    stream.headers,
                    body,
                    method="GET",
                    path=self._path,
                    target=f"watch of {self.description}",
                    verb="watch",
                )
            if not is_json(stream.headers):
                raise _not_from_server(stream.headers, self.description)
            yield stream


def _not_from_server(headers: Mapping[str, str], description: str) -> ConnectionFailed:
    content = headers.get("Content-Type", "") or "no content type"
    if (compressed := encoding(headers)) != "identity":
        content += f" compressed with {compressed}"
    return ConnectionFailed(
        f"{description}: a proxy before the API server answered with {printable(content, 100)} instead of plain JSON;"
        " check the address and the proxies between this client and the API server"
    )
