"""What a list and a watch are made of: pages, and the stream of lines, of one selection of one kind.

One request each; nothing here heals anything. Whoever drives it decides what a failure means.
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
"""Objects asked for at once: 9 ms of decoding, the longest the event loop is kept from others (peers 2.6)."""


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
        self.words: str = paths.words(kind, namespace)
        """What it is, for messages and for operators: "dpus in namespace dpf-operator-system"."""
        if self._selectors:
            self.words += f" with {' and '.join(f'{name} {value}' for name, value in self._selectors)}"

    async def page(self, *, limit: int = PAGE_SIZE, continue_: str = "") -> Page[T]:
        """One page of the list, from the most recent state; the next one with the token of the last.

        resourceVersion is never sent: "0" may travel back in time, and later pages must not have one
        (reliability 1.1). limit=0 asks for everything at once.

        Raises:
            APIError: the server refused; Gone if the token is too old.
            ConnectionFailed: no answer, or one that is not the server's.
            DecodeError: the answer is no list, or one that leads to itself.
        """
        query = list(self._selectors)
        if limit:
            query.append(("limit", str(limit)))
        if continue_:
            query.append(("continue", continue_))
        answer = await self._transport.request("GET", self._path, query=query)
        if answer.status >= 300:
            raise self._transport.refusal(
                answer.status, answer.headers, answer.body, method="GET", path=self._path, target=self.words
            )
        if not is_json(answer.headers):
            raise _foreign(answer.headers, self.words)
        page = self.codec.read_page(answer.body)
        if continue_ and page.continue_ == continue_:
            raise DecodeError(
                f"{self.words}: the list does not end: each page leads to itself", kind=self.kind.KIND
            )
        return page

    @asynccontextmanager
    async def watch(self, resource_version: str, *, timeout_seconds: int) -> AsyncIterator[Stream]:
        """The stream of what happens after resource_version; the server ends it after timeout_seconds.

        Raises:
            APIError: the server refused before the first event.
            ConnectionFailed: no answer, or one that is not the server's.
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
                    target=f"watch of {self.words}",
                    verb="watch",
                )
            if not is_json(stream.headers):
                raise _foreign(stream.headers, self.words)
            yield stream


def _foreign(headers: Mapping[str, str], words: str) -> ConnectionFailed:
    what = headers.get("Content-Type", "") or "no content type"
    if (compressed := encoding(headers)) != "identity":
        what += f" compressed with {compressed}"
    return ConnectionFailed(
        f"{words}: something between here and the API server answered with {printable(what, 100)} instead of"
        " plain JSON"
    )
